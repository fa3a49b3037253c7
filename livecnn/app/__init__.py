"""The live program: `run`, `watch`, `replay` and the window. A new key is a row in `keys.py`, its case in `controls/`."""

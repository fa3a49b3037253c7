"""Read, check, describe and make layouts, which say what the figure shows; a new key is a field in `layout.py`."""

"""The network as a strip of boxes; a new word for a layer's type goes into flowchart.py."""

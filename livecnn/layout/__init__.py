"""What the figure shows: layouts are read, checked, described and made automatically; a new key is a field in `layout.py`."""

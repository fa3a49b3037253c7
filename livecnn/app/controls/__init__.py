"""React to keys and the mouse, and to what comes by itself: an edited layout, a film, another source."""

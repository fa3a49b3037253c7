"""What keys and the mouse do, and what comes by itself: an edited layout, a film, another source."""

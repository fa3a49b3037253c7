"""Share among all panels: configuration, drawer, targets of the mouse, and what a session remembers."""

"""What all panels have in common: configuration, drawer, targets of the mouse, and what a session remembers."""

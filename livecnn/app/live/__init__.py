"""TODO live."""

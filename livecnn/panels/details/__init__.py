"""TODO details."""

"""TODO controls."""

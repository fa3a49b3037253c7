"""TODO patterns."""

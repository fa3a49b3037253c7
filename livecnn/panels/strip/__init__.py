"""TODO strip."""

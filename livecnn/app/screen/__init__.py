"""TODO screen."""

"""TODO _doctor."""

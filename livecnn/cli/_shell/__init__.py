"""TODO _shell."""

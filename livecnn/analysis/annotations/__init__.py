"""What people think of units: the file that keeps it, and the agreement of several files."""

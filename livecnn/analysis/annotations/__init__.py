"""Annotations of units by people: the file that keeps them, and the agreement of several files."""

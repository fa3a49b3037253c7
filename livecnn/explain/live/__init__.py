"""Explanations beside the live loops: a worker with threads of its own, and what it asks of one copy of the network."""

"""The loops of a live run: capture, model, statistics."""

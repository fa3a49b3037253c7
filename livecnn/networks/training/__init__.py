"""Training of the shipped digit network: the data, what is done to a picture before each pass, and the loop."""

"""How the shipped weights are made: what is done to a picture before each pass, and the loop."""

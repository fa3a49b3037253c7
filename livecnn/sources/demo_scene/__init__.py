"""The scene of the demo: paper, a hand and its handwriting. Another thing in it is a layer, a file here."""

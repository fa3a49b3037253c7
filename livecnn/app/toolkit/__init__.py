"""The window toolkits: a new one is a file with a FigureCanvas, named like matplotlib's backend."""

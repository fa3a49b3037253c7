"""Maps of images by a layer's activations: features, their projection, the picture, the page and the file of a map."""

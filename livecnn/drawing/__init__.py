"""Draw pixels: artists, colors, shapes, tiles, sheets; it knows no panel, and nothing here runs a network."""

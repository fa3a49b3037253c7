"""Gather statistics of units over many images, in parts that can be merged in any order: a file a kind of figure.

Two parts merged are what one pass over both would have found: counts, quantiles and the strongest images to the last bit, means,
spreads and correlations but for rounding. Memory depends on units and classes, not on the number of images.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

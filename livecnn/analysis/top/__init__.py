"""What is gathered of units over many images, in parts that can be merged in any order: a file a kind of figure.

Two parts merged are what one pass over both would have found: counts, quantiles and the strongest images to the last bit, means,
spreads and correlations but for rounding. Memory depends on units and classes, not on the number of images.
"""

from livecnn.analysis.top.quantile_sketch import QuantileSketch
from livecnn.analysis.top.scan import CollectionStats, Covariance, LayerStats, TopK

__all__ = ["CollectionStats", "Covariance", "LayerStats", "QuantileSketch", "TopK"]

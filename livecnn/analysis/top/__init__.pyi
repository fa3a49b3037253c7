from .quantile_sketch import QuantileSketch
from .scan import CollectionStats, Covariance, LayerStats, TopK

__all__ = ["CollectionStats", "Covariance", "LayerStats", "QuantileSketch", "TopK"]

from .scan import CollectionStats, Covariance, LayerStats, QuantileSketch, TopK

__all__ = ["CollectionStats", "Covariance", "LayerStats", "QuantileSketch", "TopK"]

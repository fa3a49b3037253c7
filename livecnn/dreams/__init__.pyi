from .ascent import Ascent, Dream, State
from .images import RandomTransforms, Regularizers

__all__ = ["Ascent", "Dream", "RandomTransforms", "Regularizers", "State"]

from .ascent import Ascent, Dream, State
from .regularizers import RandomTransforms, Regularizers

__all__ = ["Ascent", "Dream", "RandomTransforms", "Regularizers", "State"]

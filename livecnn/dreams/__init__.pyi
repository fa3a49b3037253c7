from .ascent import Ascent, Dream, State
from .regularizers import Regularizers
from .transforms import RandomTransforms

__all__ = ["Ascent", "Dream", "RandomTransforms", "Regularizers", "State"]

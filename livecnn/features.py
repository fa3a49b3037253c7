"""What of a layer's activation pictures are compared by."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

MOST = 4096  # values of a picture; a principal component analysis takes their cube


def features(activation: torch.Tensor) -> torch.Tensor:
    """(N, …) -> float32 (N, D): every value if there are no more than MOST, else each map's mean over its positions."""
    values = activation.float()
    return values.flatten(1) if math.prod(values.shape[1:]) <= MOST else values.flatten(2).mean(2)


def count(shape: Sequence[int]) -> int:
    """How many features an activation of shape (N, …) gives."""
    every = math.prod(shape[1:])
    return every if every <= MOST or len(shape) < 3 else shape[1]

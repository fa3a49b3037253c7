"""How strongly one unit answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy.typing as npt
import torch

from livecnn.reduce import Reducer


class Peak(NamedTuple):
    """Of a unit: the largest value of its map, or its only one."""

    layer: str
    unit: int
    value: float


class PeakReducer(Reducer):
    """A layer's activation (1, U, ...) -> Peak of the unit `index`, which the panel may change between two ticks."""

    def __init__(self, layer: str, index: int) -> None:
        self.layer = layer
        self.index = index

    @property
    def settings(self) -> int:
        return self.index

    def reduce(self, activation: torch.Tensor, settings: int) -> tuple[torch.Tensor, ...]:
        return (activation[0, settings].float().amax(),)

    def view(self, arrays: Sequence[npt.NDArray[Any]], settings: int) -> Peak:
        return Peak(self.layer, settings, float(arrays[0]))

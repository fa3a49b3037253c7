"""What single units answer: the whole map of one, or the strongest value of each unit of a layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from livecnn.engine.reducers import Reducer
from livecnn.types import Floats


@dataclass(frozen=True, slots=True, eq=False)
class UnitActivation:
    """A unit of a layer. map: float32 (h, w), of a neuron (1, 1).

    min, max, mean: of its finite values, NaN where there are none.  peak: row and column of the largest; (0, 0) without any.
    """

    layer: str
    index: int
    map: Floats
    min: float
    max: float
    mean: float
    peak: tuple[int, int]

    @classmethod
    def of(cls, layer: str, index: int, values: Floats) -> UnitActivation:
        """Reduce a unit's map, or value, to what a panel shows."""
        finite = values[np.isfinite(values)]
        if not finite.size:
            return cls(layer, index, values, np.nan, np.nan, np.nan, (0, 0))
        row, column = divmod(int(np.where(np.isfinite(values), values, -np.inf).argmax()), values.shape[1])
        return cls(layer, index, values, float(finite.min()), float(finite.max()), float(finite.mean()), (row, column))


class UnitReducer(Reducer):
    """One unit of an activation (1, U, …) -> UnitView. The panel may change `index` between two ticks."""

    def __init__(self, layer: str, index: int) -> None:
        self.layer, self.index = layer, index

    @property
    def settings(self) -> int:
        return self.index

    def reduce(self, activation: torch.Tensor, settings: int) -> tuple[torch.Tensor, ...]:
        unit = activation[0, settings]
        # A copy: the next layer may write over the activation, of which this is a part.
        return (unit.reshape(-1, unit.shape[-1] if unit.ndim else 1).float().clone(),)

    def view(self, arrays: Sequence[npt.NDArray[Any]], settings: int) -> UnitActivation:
        return UnitActivation.of(self.layer, settings, arrays[0])


class PeaksReducer(Reducer):
    """The largest value of each unit, (1, U, …) -> float32 (U,); NaN where one of its values is."""

    settings = None

    def __init__(self, layer: str) -> None:
        self.layer = layer

    def reduce(self, activation: torch.Tensor, settings: None) -> tuple[torch.Tensor, ...]:  # noqa: ARG002
        return (activation.reshape(*activation.shape[:2], -1).amax(2)[0].float(),)

    def view(self, arrays: Sequence[npt.NDArray[Any]], settings: None) -> Floats:  # noqa: ARG002
        return np.asarray(arrays[0], np.float32)


class MaxActivation(NamedTuple):
    """Of a unit: the largest value of its map, or its only one."""

    layer: str
    unit: int
    value: float


class MaxReducer(Reducer):
    """A layer's activation (1, U, ...) -> MaxActivation of the unit `index`, which the panel may change between two ticks."""

    def __init__(self, layer: str, index: int) -> None:
        self.layer = layer
        self.index = index

    @property
    def settings(self) -> int:
        return self.index

    def reduce(self, activation: torch.Tensor, settings: int) -> tuple[torch.Tensor, ...]:
        return (activation[0, settings].float().amax(),)

    def view(self, arrays: Sequence[npt.NDArray[Any]], settings: int) -> MaxActivation:
        return MaxActivation(self.layer, settings, float(arrays[0]))

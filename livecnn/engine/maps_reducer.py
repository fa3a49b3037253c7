"""Any layer's maps or values, for a panel that pages through them and sorts them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy.typing as npt
import torch

from livecnn.engine.reducers import Reducer, ScaleRange, average_down, to_levels
from livecnn.types import Floats, Image

if TYPE_CHECKING:
    from livecnn.types import ScaleValue

Settings = tuple[tuple[int, ...], tuple[int, int]]


@dataclass(frozen=True, slots=True, eq=False)
class Maps:
    """Some units of a layer as pictures, and figures of all of them.

    codes: uint8 (len(units), h, w), see reducers.py; of a single value h = w = 1.  mean, high, low: float32 (U,), not
    finite where a unit holds such a value.
    """

    layer: str
    units: tuple[int, ...]
    codes: Image
    mean: Floats
    high: Floats
    low: Floats


class MapsReducer(Reducer):
    """Maps (1, U, h, w) or values (1, U) -> Maps.

    The panel may change `units` (those that it shows) and `room` (pixels (height, width) that one of them has; larger maps are
    averaged down to it) between two ticks. In which order units are shown is the panel's affair alone: with a new order of the
    same units the work on the device stays the same.
    """

    def __init__(self, layer: str, scale: ScaleValue) -> None:
        self.layer = layer
        self.units: tuple[int, ...] = (0,)
        self.room = (1, 1)
        self._scale = scale
        self._ranger: ScaleRange | None = None
        self._placed: tuple[tuple[int, ...], torch.Tensor] = (), torch.empty(0)

    @property
    def settings(self) -> Settings:
        return self.units, self.room

    def reduce(self, activation: torch.Tensor, settings: Settings) -> tuple[torch.Tensor, ...]:
        units, room = settings
        maps = activation[0].float()
        maps = maps if maps.ndim == 3 else maps.reshape(-1, 1, 1)
        if self._placed[0] is not units or self._placed[1].device != maps.device:
            self._placed = units, torch.tensor(units, device=maps.device)
        shown = average_down(maps.index_select(0, self._placed[1]), room)
        flat = shown.reshape(len(units), -1)
        codes = to_levels(flat, *self._ends(flat, single=maps[0].numel() == 1)).view(shown.shape)
        return codes, maps.mean((1, 2)), maps.amax((1, 2)), maps.amin((1, 2))

    def _ends(self, flat: torch.Tensor, *, single: bool) -> tuple[torch.Tensor, torch.Tensor]:
        """A single value has no range of its own: that of all that are shown."""
        if self._ranger is None:
            self._ranger = ScaleRange("layer" if single and self._scale == "map" else self._scale)
        return self._ranger(flat)

    def view(self, arrays: Sequence[npt.NDArray[Any]], settings: Settings) -> Maps:
        codes, mean, high, low = arrays
        return Maps(self.layer, settings[0], codes, mean, high, low)

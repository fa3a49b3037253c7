"""From activations on the device to the few bytes that a panel shows.

A reducer runs in the model thread, where the activations live: it scales, tiles and quantises there, with a fixed number of
tensor operations whatever the number of maps, and hands over a uint8 picture of level codes (see LEVELS). Turning codes into
colours is the panel's job and costs no more than a table look-up. On a GPU nothing of it waits for the device, so that the work
of a whole tick can be recorded and played again (engine.py).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional as F

from livecnn.types import EMPTY, LEVELS, LOWEST, NOT_FINITE, Floats, Image, ScaleValue

LEAST_SPAN = 1e-30  # ranges below this count as none; keeps the gain finite in float32
RUNNING_SHARE = 0.05  # of the way that a running range moves to the newest one, per tick
Size = tuple[int, int]  # height and width


class Reducer(ABC):
    """A layer's activation (1, ...) -> something small on the host, in two steps.

    settings: what the panel may change from its own thread between two ticks; both steps of a tick get the same.
    """

    layer: str
    model = ""  # whose layer it is, where there are several networks; "" is the main one

    @property
    @abstractmethod
    def settings(self) -> Hashable:
        """Return what `reduce` gets beside the activation."""

    @abstractmethod
    def reduce(self, activation: torch.Tensor, settings: Any) -> tuple[torch.Tensor, ...]:
        """Reduce the activation on the device, with tensor operations only."""

    @abstractmethod
    def view(self, arrays: Sequence[npt.NDArray[Any]], settings: Any) -> Any:
        """Return what the panel shows, from the arrays on the host."""

    def __call__(self, activation: torch.Tensor) -> Any:
        settings = self.settings
        return self.view([tensor.cpu().numpy() for tensor in self.reduce(activation, settings)], settings)


class ScaleRange:
    """Low and high end of the scale, per map or for the layer; not-finite values do not count."""

    def __init__(self, scale: ScaleValue) -> None:
        self.scale = scale
        self._running: tuple[torch.Tensor, torch.Tensor] | None = None

    def __call__(self, maps: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return low and high of maps (U, n), each broadcastable to them."""
        if not isinstance(self.scale, str):
            return maps.new_full((), self.scale[0]), maps.new_full((), self.scale[1])
        rows = maps if self.scale == "map" else maps.reshape(1, -1)
        low, high = rows.amin(1, keepdim=True), rows.amax(1, keepdim=True)  # aminmax takes several times longer
        # Rarely needed, but on a GPU cheaper than asking whether it is.
        if rows.device.type != "cpu" or not math.isfinite(float((high - low).sum())):
            finite, huge = rows.isfinite(), torch.finfo(rows.dtype).max
            low = torch.where(finite, rows, huge).amin(1, keepdim=True)
            high = torch.where(finite, rows, -huge).amax(1, keepdim=True)
        return self._follow(low, high) if self.scale == "running" else (low, high)

    def _follow(self, low: torch.Tensor, high: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Move the range in place, so that a tick that is played again finds it; it stays where nothing is finite."""
        if self._running is None or self._running[0].device != low.device:
            self._running = torch.full_like(low, torch.nan), torch.full_like(high, torch.nan)
        known = high >= low
        for range_, newest in zip(self._running, (low, high), strict=True):
            moved = torch.lerp(range_, newest, RUNNING_SHARE)
            range_.copy_(torch.where(known, torch.where(range_.isnan(), newest, moved), range_))
        return self._running


def to_levels(maps: torch.Tensor, low: torch.Tensor, high: torch.Tensor) -> torch.Tensor:
    """Return uint8 codes of the same shape for float values and the ends of their scale.

    A map in which all values are the same has no range of its own: it is shown as the middle, or as the lowest if it is all 0.
    """
    span = high - low
    gain = LEVELS / span.clamp_min(LEAST_SPAN)
    flat = (span == 0) & (low != 0)
    # In place: at these sizes allocating is what costs. x - x is 0, and NaN where x is not finite: much faster than isfinite.
    codes = maps.sub(low).mul_(gain).clamp_(0, LEVELS).add_(flat * (LEVELS / 2) + (LOWEST + 0.5))
    return codes.add_(maps - maps).nan_to_num_(NOT_FINITE).to(torch.uint8)


def average_down(maps: torch.Tensor, room: tuple[int, int]) -> torch.Tensor:
    """Average maps (C, h, w) over windows of whole pixels to about room (height, width); the last windows hold what is left."""
    rows = _means_of_rows(maps, max(1, round(maps.shape[1] / room[0])))
    return _means_of_rows(rows.mT, max(1, round(maps.shape[2] / room[1]))).mT


def _means_of_rows(maps: torch.Tensor, window: int) -> torch.Tensor:
    """Average rows, (C, h, w) -> (C, ceil(h / window), w); on a CPU more than twice as fast as pooling functions."""
    if window == 1:
        return maps
    total = maps[:, ::window].clone()
    for offset in range(1, window):
        part = maps[:, offset::window]
        total[:, : part.shape[1]] += part
    total /= window
    rest = maps.shape[1] % window
    if rest:
        total[:, -1] *= window / rest
    return total


@dataclass(frozen=True, slots=True, eq=False)
class Mosaic:
    """Maps side by side, row after row."""

    codes: Image  # uint8 (rows * h, columns * w)
    grid: tuple[int, int]  # (rows, columns)
    cell: tuple[int, int]  # (h, w) of a map
    broken: int  # how many of the maps hold a value that is not finite


class MosaicReducer(Reducer):
    """Feature maps (1, C, h, w) -> Mosaic.

    channels: indices of the maps to show, in order. grid: (rows, columns). room: pixels (height, width) that one map has on the
    screen; larger maps are averaged down to it first. The panel changes `grid` and `room` when the window is resized.
    """

    def __init__(self, layer: str, channels: Sequence[int], count: int, scale: ScaleValue) -> None:
        self.layer = layer
        self.units = len(channels)
        self.grid = (1, self.units)
        self.room: tuple[int, int] | None = None
        self._index = None if tuple(channels) == tuple(range(count)) else torch.tensor(channels)
        self._ranger = ScaleRange(scale)

    @property
    def settings(self) -> tuple[Size, Size | None]:
        return self.grid, self.room

    def reduce(self, activation: torch.Tensor, settings: tuple[Size, Size | None]) -> tuple[torch.Tensor, ...]:
        (rows, columns), room = settings
        maps = activation[0].float()
        if self._index is not None:
            self._index = self._index.to(maps.device)
            maps = maps.index_select(0, self._index)
        if room is not None and (maps.shape[1] > room[0] or maps.shape[2] > room[1]):
            maps = average_down(maps, room)
        flat = maps.reshape(self.units, -1)
        codes = to_levels(flat, *self._ranger(flat)).view(maps.shape)
        h, w = codes.shape[1:]
        if rows * columns > self.units:
            codes = F.pad(codes, (0, 0, 0, 0, 0, rows * columns - self.units), value=EMPTY)
        return (codes.view(rows, columns, h, w).permute(0, 2, 1, 3).reshape(rows * h, columns * w),)

    def view(self, arrays: Sequence[npt.NDArray[Any]], settings: tuple[Size, Size | None]) -> Mosaic:
        (codes,), (rows, columns) = arrays, settings[0]
        h, w = codes.shape[0] // rows, codes.shape[1] // columns
        bad = codes == NOT_FINITE
        broken = int(bad.reshape(rows, h, columns, w).any(axis=(1, 3)).sum()) if bad.any() else 0
        return Mosaic(codes, (rows, columns), (h, w), broken)


@dataclass(frozen=True, slots=True, eq=False)
class NeuronValues:
    """Units in rows."""

    codes: Image  # uint8 (rows, columns)
    means: Floats  # float32 (rows,), the mean activation of each row, NaN for an empty one
    mean_codes: Image  # uint8 (rows,), the means on the color scale
    broken: int  # how many units are not finite


class NeuronsReducer(Reducer):
    """A vector of units (1, U) or (1, U, 1, 1) -> NeuronValues, the units of `order` in reading order.

    The panel may call `reorder` and change `rows` between two ticks, from its own thread.
    """

    def __init__(self, layer: str, order: Sequence[int], rows: int, scale: ScaleValue) -> None:
        self.layer = layer
        self.rows = rows
        self.reorder(order)
        # A unit is one number: its "own range" means the range of all units shown.
        self._ranger = ScaleRange("layer" if scale == "map" else scale)
        self._placed: tuple[tuple[int, ...], torch.Tensor] = (), torch.empty(0)

    def reorder(self, order: Sequence[int]) -> None:
        """Show the units in another order from the next frame on."""
        self._order = tuple(order)

    @property
    def settings(self) -> tuple[tuple[int, ...], int]:
        return self._order, self.rows

    def reduce(self, activation: torch.Tensor, settings: tuple[tuple[int, ...], int]) -> tuple[torch.Tensor, ...]:
        order, rows = settings
        if self._placed[0] is not order or self._placed[1].device != activation.device:
            self._placed = order, torch.tensor(order, device=activation.device)
        values = activation.float().flatten().index_select(0, self._placed[1])
        columns = -(-len(order) // rows)
        low, high = self._ranger(values[None])
        grid = F.pad(values, (0, rows * columns - len(order)), value=torch.nan).view(rows, columns)
        means = grid.nanmean(1)
        return to_levels(torch.cat((grid, means[:, None]), 1), low, high), means

    def view(self, arrays: Sequence[npt.NDArray[Any]], settings: tuple[tuple[int, ...], int]) -> NeuronValues:
        codes, means = arrays
        cells, mean_codes = codes[:, :-1].copy(), codes[:, -1]
        cells.reshape(-1)[len(settings[0]) :] = EMPTY
        return NeuronValues(cells, means, mean_codes, int(np.count_nonzero(cells == NOT_FINITE)))


@dataclass(frozen=True, slots=True, eq=False)
class UnitActivation:
    """A unit of a layer; the smallest, largest and mean of its finite values are NaN where there are none."""

    layer: str
    index: int
    map: Floats  # (h, w), of a neuron (1, 1)
    min: float
    max: float
    mean: float
    peak: tuple[int, int]  # row and column of the largest finite value; (0, 0) without any

    @classmethod
    def of(cls, layer: str, index: int, values: Floats) -> UnitActivation:
        """Reduce a unit's map, or value, to what a panel shows."""
        finite = values[np.isfinite(values)]
        if not finite.size:
            return cls(layer, index, values, np.nan, np.nan, np.nan, (0, 0))
        row, column = divmod(int(np.where(np.isfinite(values), values, -np.inf).argmax()), values.shape[1])
        return cls(layer, index, values, float(finite.min()), float(finite.max()), float(finite.mean()), (row, column))


class _OneUnitReducer(Reducer):
    """A reducer of the unit `index`, which the panel may change between two ticks."""

    def __init__(self, layer: str, index: int) -> None:
        self.layer, self.index = layer, index

    @property
    def settings(self) -> int:
        return self.index


class ValueReducer(_OneUnitReducer):
    """One of a layer's single values, (1, K) or (1, K, 1, 1) -> float."""

    def reduce(self, activation: torch.Tensor, settings: int) -> tuple[torch.Tensor, ...]:
        return (activation.float().flatten()[settings],)

    def view(self, arrays: Sequence[npt.NDArray[Any]], settings: int) -> float:  # noqa: ARG002
        return float(arrays[0])


class UnitReducer(_OneUnitReducer):
    """One unit of an activation (1, U, …) -> UnitActivation."""

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


class MaxReducer(_OneUnitReducer):
    """One unit of an activation (1, U, …) -> MaxActivation."""

    def reduce(self, activation: torch.Tensor, settings: int) -> tuple[torch.Tensor, ...]:
        return (activation[0, settings].float().amax(),)

    def view(self, arrays: Sequence[npt.NDArray[Any]], settings: int) -> MaxActivation:
        return MaxActivation(self.layer, settings, float(arrays[0]))


@dataclass(frozen=True, slots=True, eq=False)
class Maps:
    """Some units of a layer as pictures, and figures (U,) of all of them, not finite where a unit holds such a value."""

    layer: str
    units: tuple[int, ...]
    codes: Image  # uint8 (len(units), h, w); of a single value h = w = 1
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
    def settings(self) -> tuple[tuple[int, ...], Size]:
        return self.units, self.room

    def reduce(self, activation: torch.Tensor, settings: tuple[tuple[int, ...], Size]) -> tuple[torch.Tensor, ...]:
        units, room = settings
        maps = activation[0].float()
        maps = maps if maps.ndim == 3 else maps.reshape(-1, 1, 1)
        if self._placed[0] is not units or self._placed[1].device != maps.device:
            self._placed = units, torch.tensor(units, device=maps.device)
        shown = average_down(maps.index_select(0, self._placed[1]), room)
        flat = shown.reshape(len(units), -1)
        if self._ranger is None:  # single values share one range, that of all that are shown
            self._ranger = ScaleRange("layer" if maps[0].numel() == 1 and self._scale == "map" else self._scale)
        codes = to_levels(flat, *self._ranger(flat)).view(shown.shape)
        return codes, maps.mean((1, 2)), maps.amax((1, 2)), maps.amin((1, 2))

    def view(self, arrays: Sequence[npt.NDArray[Any]], settings: tuple[tuple[int, ...], Size]) -> Maps:
        codes, mean, high, low = arrays
        return Maps(self.layer, settings[0], codes, mean, high, low)

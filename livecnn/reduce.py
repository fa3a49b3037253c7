"""From activations on the device to the few bytes that a panel shows.

A reducer runs in the model thread, where the activations live: it scales, tiles and quantises there, with a fixed number of
tensor operations whatever the number of maps, and hands over a uint8 picture of level codes (see LEVELS). Turning codes into
colours is the panel's job and costs no more than a table look-up.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch.nn import functional as F

from livecnn.fields import ScaleValue
from livecnn.types import Floats, Image

EMPTY = 0  # no unit here: the card shows through
NOT_FINITE = 1  # NaN or infinite
LOWEST = 2  # codes 2 .. 255 are values from the low to the high end of the scale
LEVELS = 255 - LOWEST

LEAST_SPAN = 1e-30  # ranges below this count as none; keeps the gain finite in float32
RUNNING_SHARE = 0.05  # of the way that a running range moves to the newest one, per tick


class Reducer(Protocol):
    """Runs on the model thread: a layer's activation (1, ...) -> something small on the host."""

    layer: str

    def __call__(self, activation: torch.Tensor) -> Any: ...


class Ranger:
    """Low and high end of the scale, per map or for the layer; not-finite values do not count."""

    def __init__(self, scale: ScaleValue) -> None:
        self.scale = scale
        self._running: tuple[torch.Tensor, torch.Tensor] | None = None

    def __call__(self, maps: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """maps (U, n) -> low, high, each broadcastable to maps."""
        if not isinstance(self.scale, str):
            return maps.new_tensor(self.scale[0]), maps.new_tensor(self.scale[1])
        rows = maps if self.scale == "map" else maps.reshape(1, -1)
        low, high = rows.amin(1, keepdim=True), rows.amax(1, keepdim=True)  # aminmax takes several times longer
        if not math.isfinite(float((high - low).sum())):
            finite, huge = rows.isfinite(), torch.finfo(rows.dtype).max
            low = torch.where(finite, rows, huge).amin(1, keepdim=True)
            high = torch.where(finite, rows, -huge).amax(1, keepdim=True)
            if self.scale == "running" and bool(high < low):  # nothing is finite: the range waits
                return self._running or (low, high)
        return self._follow(low, high) if self.scale == "running" else (low, high)

    def _follow(self, low: torch.Tensor, high: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        if self._running is not None:
            low = torch.lerp(self._running[0], low, RUNNING_SHARE)
            high = torch.lerp(self._running[1], high, RUNNING_SHARE)
        self._running = low, high
        return low, high


def encode(maps: torch.Tensor, low: torch.Tensor, high: torch.Tensor) -> torch.Tensor:
    """Float values and the ends of their scale -> uint8 codes of the same shape.

    A map in which all values are the same has no range of its own: it is shown as the middle, or as the lowest if it is all 0.
    """
    span = high - low
    gain = LEVELS / span.clamp_min(LEAST_SPAN)
    flat = (span == 0) & (low != 0)
    # In place: at these sizes allocating is what costs. x - x is 0, and NaN where x is not finite: much faster than isfinite.
    codes = maps.sub(low).mul_(gain).clamp_(0, LEVELS).add_(flat * (LEVELS / 2) + (LOWEST + 0.5))
    return codes.add_(maps - maps).nan_to_num_(NOT_FINITE).to(torch.uint8)


def average_down(maps: torch.Tensor, room: tuple[int, int]) -> torch.Tensor:
    """Maps (C, h, w) averaged over windows of whole pixels to about room (height, width).

    The last row and column of windows hold what is left.
    """
    rows = _means_of_rows(maps, max(1, round(maps.shape[1] / room[0])))
    return _means_of_rows(rows.mT, max(1, round(maps.shape[2] / room[1]))).mT


def _means_of_rows(maps: torch.Tensor, window: int) -> torch.Tensor:
    """(C, h, w) -> (C, ceil(h / window), w); on a CPU more than twice as fast as pooling functions, which add one by one."""
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
    """Maps side by side, row after row. codes: uint8 (rows * h, columns * w); cell: (h, w) of a map.

    broken: how many of the maps hold a value that is not finite.
    """

    codes: Image
    grid: tuple[int, int]
    cell: tuple[int, int]
    broken: int


class MosaicReducer:
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
        self._ranger = Ranger(scale)

    def __call__(self, activation: torch.Tensor) -> Mosaic:
        maps = activation[0].float()
        if self._index is not None:
            self._index = self._index.to(maps.device)
            maps = maps.index_select(0, self._index)
        if self.room is not None and (maps.shape[1] > self.room[0] or maps.shape[2] > self.room[1]):
            maps = average_down(maps, self.room)
        flat = maps.reshape(self.units, -1)
        codes = encode(flat, *self._ranger(flat)).view(maps.shape)
        rows, columns = self.grid
        h, w = codes.shape[1:]
        if rows * columns > self.units:
            codes = F.pad(codes, (0, 0, 0, 0, 0, rows * columns - self.units), value=EMPTY)
        tiled = codes.view(rows, columns, h, w).permute(0, 2, 1, 3).reshape(rows * h, columns * w)
        return _mosaic(tiled.cpu().numpy(), (rows, columns), (h, w))


def _mosaic(codes: Image, grid: tuple[int, int], cell: tuple[int, int]) -> Mosaic:
    bad = codes == NOT_FINITE
    broken = int(bad.reshape(grid[0], cell[0], grid[1], cell[1]).any(axis=(1, 3)).sum()) if bad.any() else 0
    return Mosaic(codes, grid, cell, broken)


@dataclass(frozen=True, slots=True, eq=False)
class Neurons:
    """Units in rows. codes: uint8 (rows, columns); means: float32 (rows,) mean activation of each row, NaN for an empty one.

    mean_codes: uint8 (rows,), the means on the colour scale. broken: units that are not finite.
    """

    codes: Image
    means: Floats
    mean_codes: Image
    broken: int


class NeuronsReducer:
    """A vector of units (1, U) or (1, U, 1, 1) -> Neurons, the units of `order` in reading order.

    The panel may call `reorder` and change `rows` between two ticks, from its own thread.
    """

    def __init__(self, layer: str, order: Sequence[int], rows: int, scale: ScaleValue) -> None:
        self.layer = layer
        self.rows = rows
        self.reorder(order)
        # A unit is one number: its "own range" means the range of all units shown.
        self._ranger = Ranger("layer" if scale == "map" else scale)

    def reorder(self, order: Sequence[int]) -> None:
        self._order = torch.tensor(order)

    def __call__(self, activation: torch.Tensor) -> Neurons:
        order, rows = self._order.to(activation.device), self.rows  # one look at each: another thread may replace them
        values = activation.float().flatten().index_select(0, order)
        columns = -(-len(order) // rows)
        low, high = self._ranger(values[None])
        grid = F.pad(values, (0, rows * columns - len(order)), value=torch.nan).view(rows, columns)
        means = grid.nanmean(1)
        codes = encode(torch.cat((grid, means[:, None]), 1), low, high).cpu().numpy()
        cells, mean_codes = codes[:, :-1].copy(), codes[:, -1]
        cells.reshape(-1)[len(order) :] = EMPTY
        return Neurons(cells, means.cpu().numpy(), mean_codes, int(np.count_nonzero(cells == NOT_FINITE)))

"""Which shots every unit answered to most, in memory that does not grow."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from livecnn.io.images import thumbnail
from livecnn.types import Floats, Frame, Image

MOST = 9  # shots of a unit
APART = 1.0  # seconds: of shots closer to each other only the stronger one is kept, else nine of the same moment fill the memory
LIMIT = 2048  # shots in all: 54 MiB
NONE = -1  # no shot


class StrongImage(NamedTuple):
    """A shot, uint8 (h, w, 3), the value that a unit had, and the time of its frame."""

    shot: Image
    value: float
    time: float


class StrongestImages:
    """The MOST shots to which each unit of each layer answered most.

    A shot is kept once, however many units like it, and only for as long as one does. Where thousands of units like different
    ones, those that are the last choice of all that keep them are given up first.
    """

    def __init__(self) -> None:
        self.shots: dict[int, Image] = {}
        self._places: dict[str, slice] = {}  # of layers, in the arrays
        # (MOST, units of all layers): one array for all, as many small ones cost more. Strongest first.
        self._values = np.empty((MOST, 0), np.float32)
        self._times = np.empty((MOST, 0))
        self._ids = np.empty((MOST, 0), np.int64)
        self._uses: dict[int, int] = {}  # by shot, how many units keep it
        self._newest: Frame | None = None
        self._next = 0

    def take(self, frame: Frame, shot: Image, peaks: Mapping[str, Floats], muted: Collection[tuple[str, int]] = ()) -> None:
        """A shot of a frame, and by layer what the units answered, (U,). The same frame once more changes nothing.

        Values that are not finite and those of muted units do not count.
        """
        if frame is self._newest:
            return
        self._newest = frame
        values = self._in_one(peaks)
        for layer, unit in muted:
            if layer in self._places:
                values[self._places[layer]][unit : unit + 1] = -np.inf
        units, place = self._beaten(values, frame.time)
        if len(units):
            self._insert(units, place, values[units], frame.time)
            self.shots[self._next] = thumbnail(shot)
            self._next += 1
            if len(self.shots) > LIMIT:
                self._give_up(LIMIT // 8)

    def of(self, layer: str, unit: int) -> tuple[StrongImage, ...]:
        """Those of one unit, strongest first."""
        if layer not in self._places:
            return ()
        column = self._places[layer].start + unit
        kept = zip(self._ids[:, column], self._values[:, column], self._times[:, column], strict=True)
        return tuple(StrongImage(self.shots[int(shot)], float(value), float(time)) for shot, value, time in kept if shot != NONE)

    def _in_one(self, peaks: Mapping[str, Floats]) -> Floats:
        """The values of all units in a row; -inf where there is none."""
        for layer, values in peaks.items():
            if layer not in self._places:
                self._add(layer, len(values))
        together = np.full(self._values.shape[1], -np.inf, np.float32)
        for layer, values in peaks.items():
            together[self._places[layer]] = values
        together[~np.isfinite(together)] = -np.inf
        return together

    def _add(self, layer: str, units: int) -> None:
        self._places[layer] = slice(self._values.shape[1], self._values.shape[1] + units)
        self._values = np.hstack((self._values, np.full((MOST, units), -np.inf, np.float32)))
        self._times = np.hstack((self._times, np.full((MOST, units), -np.inf)))
        self._ids = np.hstack((self._ids, np.full((MOST, units), NONE)))

    def _beaten(self, values: Floats, time: float) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
        """Which units answer more than to the shot that would have to go, and its place: the strongest of the same moment, else
        the weakest.
        """
        units = np.flatnonzero(values > self._values[-1])  # after a while these are few
        near = np.abs(self._times[:, units] - time) < APART
        place = np.where(near.any(axis=0), near.argmax(axis=0), MOST - 1)
        beaten = values[units] > self._values[place, units]
        return units[beaten], place[beaten]

    def _insert(self, units: npt.NDArray[np.intp], place: npt.NDArray[np.intp], values: Floats, time: float) -> None:
        """The shot goes where it belongs by its value; what is weaker moves down, and what was at `place` goes."""
        self._release(self._ids[place, units])
        self._uses[self._next] = len(units)
        rank = (self._values[:, units] >= values).sum(axis=0)
        rows = np.arange(MOST)[:, None]
        here, moved = rows == rank, (rows > rank) & (rows <= place)
        for kept, new in ((self._values, values), (self._times, time), (self._ids, self._next)):
            old = kept[:, units]
            kept[:, units] = np.where(here, new, np.where(moved, np.roll(old, 1, axis=0), old))

    def _release(self, shots: npt.NDArray[np.int64]) -> None:
        for shot, count in zip(*(array.tolist() for array in np.unique(shots[shots != NONE], return_counts=True)), strict=True):
            self._uses[shot] -= count
            if not self._uses[shot]:
                del self._uses[shot], self.shots[shot]

    def _give_up(self, count: int) -> None:
        """Many at once, as this takes longer than all the rest."""
        shots, best = np.fromiter(self.shots, np.int64), np.full(len(self.shots), MOST)
        for rank in reversed(range(MOST)):
            best[np.searchsorted(shots, self._ids[rank][self._ids[rank] != NONE])] = rank
        given = shots[np.argsort(-best, kind="stable")[:count]]
        gone = np.isin(self._ids, given)
        self._values[gone], self._times[gone], self._ids[gone] = -np.inf, -np.inf, NONE
        order = np.argsort(-self._values, axis=0, kind="stable")
        for kept in (self._values, self._times, self._ids):
            kept[:] = np.take_along_axis(kept, order, axis=0)
        for shot in given.tolist():
            del self.shots[shot], self._uses[shot]

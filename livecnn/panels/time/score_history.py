"""How scores were shared out among the classes in the last seconds, in bounded memory."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from livecnn.panels.time.history import BINS, is_gap
from livecnn.types import Floats

KEPT = BINS + 1  # the oldest bin is still partly on show while the newest one fills


class ScoreSeries(NamedTuple):
    """ago: seconds until now, float64 (n,), falling.  shares: float32 (n, K), sums of a row are 1.

    run: int64 (n,), the same number for all that no gap parts.
    """

    ago: npt.NDArray[np.float64]
    shares: Floats
    run: npt.NDArray[np.int64]


class ScoreHistory:
    """Means of scores (K,) over bins of equal length; samples in the order of their times, one before the last starts it anew."""

    def __init__(self, classes: int, seconds: float) -> None:
        self.seconds = seconds
        self.now = -math.inf
        self._sums = np.zeros((KEPT, classes), np.float32)
        self._counts = np.zeros(KEPT, np.int64)
        self._bins = np.full(KEPT, -1, np.int64)  # which stretch of time each row holds
        self._runs = np.zeros(KEPT, np.int64)  # which run it belongs to
        self._run = 0

    def add(self, time: float, scores: Floats | None) -> None:
        """time in seconds; None: a gap."""
        if time < self.now:
            self._counts[:] = 0
        if scores is None or time < self.now or is_gap(time - self.now, self.seconds):
            self._run += 1
        self.now = time
        if scores is not None:
            bin_ = self._bin(time)
            row = bin_ % KEPT
            if self._bins[row] != bin_ or self._runs[row] != self._run:
                self._bins[row], self._runs[row], self._counts[row], self._sums[row] = bin_, self._run, 0, 0
            self._counts[row] += 1
            self._sums[row] += scores

    def strongest(self, most: int) -> npt.NDArray[np.intp]:
        """The classes with the largest shares in all the time, at most so many, in the order of their numbers."""
        count = self._sums.shape[1]
        if count <= most:
            return np.arange(count)
        rows = self._rows()
        total = np.einsum("i,ij->j", 1 / self._counts[rows], self._sums[rows])  # a matrix product would wake BLAS's threads
        return np.sort(np.argpartition(-total, most - 1)[:most])

    def course(self, classes: npt.NDArray[np.intp]) -> ScoreSeries:
        """Of these classes, and in a last column of all others together; the oldest first."""
        rows = self._rows()
        shares = np.empty((len(rows), len(classes) + 1), np.float32)
        shares[:, :-1] = self._sums[rows[:, None], classes] / self._counts[rows, None]
        shares[:, -1] = np.maximum(0, 1 - shares[:, :-1].sum(1))
        ago = np.maximum(0.0, self.now - (self._bins[rows] + 0.5) * self.seconds / BINS)
        return ScoreSeries(ago, shares, self._runs[rows])

    def at(self, time: float) -> Floats | None:
        """The scores (K,) nearest to a time; None in a gap."""
        rows = self._rows()
        middles = (self._bins[rows] + 0.5) * self.seconds / BINS
        later = int(np.searchsorted(middles, time))
        near = [place for place in (later - 1, later) if 0 <= place < len(rows)]
        if not near:
            return None
        nearest = min(near, key=lambda place: abs(float(middles[place]) - time))
        between = len(near) == 2 and self._runs[rows[near[0]]] == self._runs[rows[near[1]]]
        if not between and abs(middles[nearest] - time) > self.seconds / BINS:
            return None
        scores: Floats = self._sums[rows[nearest]] / self._counts[rows[nearest]]
        return scores

    def _rows(self) -> npt.NDArray[np.intp]:
        """Those that hold something of the time on show, the oldest first."""
        if not math.isfinite(self.now):
            return np.empty(0, np.intp)
        rows = np.flatnonzero((self._counts > 0) & (self._bins >= self._bin(self.now) - BINS))
        return rows[np.argsort(self._bins[rows])]

    def _bin(self, time: float) -> int:
        return math.floor(time / self.seconds * BINS)

"""Quantiles without keeping the values: how many fall between marks that lie evenly on a logarithmic scale.

Masson, Rim, Lee, "DDSketch: a fast and fully-mergeable quantile sketch with relative-error guarantees", 2019,
https://arxiv.org/abs/1908.10693. The marks are the same for all, so merging adds counts, and nothing is lost by it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from livecnn.analysis.moments import Doubles

Integers = npt.NDArray[np.int64]

ACCURACY = 0.01  # of a quantile, relative
LEAST, MOST = 1e-9, 1e15  # of absolute values; what is smaller is 0, what is larger counts as this
RATIO = (1 + ACCURACY) / (1 - ACCURACY)  # of two neighbouring marks
BINS = int(np.ceil(np.log(MOST / LEAST) / np.log(RATIO)))  # on each side of 0
WIDTH = 2 * BINS + 1
WAITING = 1 << 18  # values that have not been counted yet, more once there are many bins


class QuantileSketch:
    """Of U units in G groups of images. Only bins that hold something take memory.

    keys: int64 (B,), ascending: (group * U + unit) * WIDTH + bin.  counts: int64 (B,).
    """

    def __init__(self, groups: int, units: int, keys: Integers | None = None, counts: Integers | None = None) -> None:
        self.groups, self.units = groups, units
        self._keys = np.empty(0, np.int64) if keys is None else keys
        self._counts = np.empty(0, np.int64) if counts is None else counts
        self._waiting: list[tuple[Integers, Integers]] = []
        self._size = 0

    @property
    def keys(self) -> Integers:
        self._settle()
        return self._keys

    @property
    def counts(self) -> Integers:
        self._settle()
        return self._counts

    def add(self, values: Doubles, group: npt.NDArray[np.intp]) -> None:
        """Take in N images: values (N, U), group (N,). Values that are not finite do not count."""
        cells = group[:, None] * self.units + np.arange(self.units)
        finite = np.isfinite(values)
        keys = cells[finite] * WIDTH + _bin(values[finite])
        self._wait(keys, np.ones(len(keys), np.int64))

    def merge(self, other: QuantileSketch) -> None:
        self._wait(other.keys, other.counts)

    def total(self) -> QuantileSketch:
        """All groups in one."""
        total = QuantileSketch(1, self.units)
        total._wait(self.keys % (self.units * WIDTH), self.counts)
        return total

    def quantile(self, share: float) -> Doubles:
        """(G, U): the value of rank floor(share * (n - 1)) of n, within ACCURACY of it; NaN where there are none."""
        cells = np.arange(self.groups * self.units + 1) * WIDTH
        sums = np.concatenate(([0], np.cumsum(self.counts)))
        first, last = sums[np.searchsorted(self.keys, cells[:-1])], sums[np.searchsorted(self.keys, cells[1:])]
        if not len(self.keys):
            return np.full((self.groups, self.units), np.nan)
        rank = first + np.floor(share * np.maximum(last - first - 1, 0)).astype(np.int64)
        place = np.minimum(np.searchsorted(sums[1:], rank, side="right"), len(self.keys) - 1)
        return np.where(last > first, _value(self.keys[place] % WIDTH), np.nan).reshape(self.groups, self.units)

    def _wait(self, keys: Integers, counts: Integers) -> None:
        self._waiting.append((keys, counts))
        self._size += len(keys)
        if self._size > max(WAITING, len(self._keys) // 2):
            self._settle()

    def _settle(self) -> None:
        if not self._waiting:
            return
        keys, counts = map(np.concatenate, zip((self._keys, self._counts), *self._waiting, strict=True))
        order = np.argsort(keys, kind="stable")
        keys, counts = keys[order], counts[order]
        del order  # these are the largest arrays of a run
        first = np.flatnonzero(np.diff(keys, prepend=-1))
        self._keys, self._counts = keys[first], np.add.reduceat(counts, first)
        self._waiting, self._size = [], 0


def _bin(values: Doubles) -> Integers:
    """0 .. WIDTH - 1, rising with the value; BINS is 0."""
    size = np.clip(np.abs(values), LEAST, MOST)
    steps = np.sign(values) * np.ceil(np.log(size / LEAST) / np.log(RATIO))
    return np.asarray(BINS + steps, np.int64)


def _value(bins: Integers) -> Doubles:
    """What differs least from everything that may lie in a bin, relatively."""
    steps = np.abs(bins - BINS)
    return np.where(steps, np.sign(bins - BINS) * LEAST * RATIO**steps * (2 / (RATIO + 1)), 0.0)

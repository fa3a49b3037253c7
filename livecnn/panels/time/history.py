"""What a number was in the last seconds, in bounded memory."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

BINS = 400  # of equal length, over the seconds that are kept
PAUSE = 0.1  # of these seconds, but at least
LEAST_PAUSE = 2.0  # seconds: after a longer silence the line begins anew


def is_gap(pause: float, seconds: float) -> bool:
    """Is a pause between two samples, of a history that reaches back so many seconds, a gap?"""
    return pause > max(PAUSE * seconds, LEAST_PAUSE)


@dataclass
class Bin:
    """The samples of a stretch of time; count 0: a gap. low, high: the ends of their bands."""

    index: int
    count: int = 0
    sum: float = 0.0
    low: float = math.inf
    high: float = -math.inf

    @property
    def mean(self) -> float:
        return self.sum / self.count


class History:
    """Samples in the order of their times; a time before the last one starts it anew."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.now = -math.inf
        self._bins: deque[Bin] = deque(maxlen=2 * BINS)  # a gap may stand between any two

    def add(self, time: float, value: float, spread: float = 0.0) -> None:
        """time in seconds; a value that is not finite is a gap. spread: half the height of the band around the value."""
        if time < self.now:
            self._bins.clear()
        if not math.isfinite(value) or is_gap(time - self.now, self.seconds):
            self._interrupt(time)
        self.now = time
        if math.isfinite(value):
            self._last(time).count += 1
            newest = self._bins[-1]
            newest.sum += value
            newest.low, newest.high = min(newest.low, value - spread), max(newest.high, value + spread)
        while self._bins and self.ago(self._bins[0]) > self.seconds:
            self._bins.popleft()

    def ago(self, bin_: Bin) -> float:
        """Seconds from the middle of a bin until now; of the newest one, 0 and more."""
        return max(0.0, self.now - (bin_.index + 0.5) * self.seconds / BINS)

    def stretches(self) -> list[list[Bin]]:
        """What lies between gaps, the oldest first."""
        runs: list[list[Bin]] = [[]]
        for each in self._bins:
            if each.count:
                runs[-1].append(each)
            else:
                runs.append([])
        return [run for run in runs if run]

    def ends(self) -> tuple[float, float] | None:
        """The lowest and the highest end of the bands; None while there is nothing."""
        filled = [each for each in self._bins if each.count]
        return (min(each.low for each in filled), max(each.high for each in filled)) if filled else None

    def _interrupt(self, time: float) -> None:
        if self._bins and self._bins[-1].count:
            self._bins.append(Bin(self._index(time)))

    def _last(self, time: float) -> Bin:
        index = self._index(time)
        if not self._bins or self._bins[-1].index != index or not self._bins[-1].count:
            self._bins.append(Bin(index))
        return self._bins[-1]

    def _index(self, time: float) -> int:
        return math.floor(time / self.seconds * BINS)

"""A number and the scores of the last seconds, kept in bounded memory and drawn along an axis of seconds."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from livecnn._cv2 import cv2
from livecnn.drawing.artists import Label, text_width
from livecnn.drawing.theme import BAND, Theme, mix_colors
from livecnn.drawing.ticks import format_tick, ticks
from livecnn.geometry import Rect
from livecnn.types import Floats, Image

BINS = 400  # of equal length, over the seconds that are kept
PAUSE = 0.1  # of these seconds, but at least
LEAST_PAUSE = 2.0  # seconds: after a longer silence the line begins anew
KEPT = BINS + 1  # the oldest bin is still partly on show while the newest one fills
T = TypeVar("T", float, npt.NDArray[np.float64])

MARKS = 8  # at most
FRACTION = 4  # bits behind the point, of positions in the picture

Numbers = npt.NDArray[np.float64]


def is_gap(pause: float, seconds: float) -> bool:
    """Is a pause between two samples, of a history that reaches back so many seconds, a gap?"""
    return pause > max(PAUSE * seconds, LEAST_PAUSE)


def bin_of(time: float, seconds: float) -> int:
    """Return the number of the bin that holds a time, in a history that reaches back so many seconds."""
    return math.floor(time / seconds * BINS)


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
        """Return the mean of the values in the bin."""
        return self.sum / self.count


class History:
    """Samples in the order of their times; a time before the last one starts it anew."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.now = -math.inf
        self._bins: deque[Bin] = deque(maxlen=2 * BINS)  # a gap may stand between any two

    def add(self, time: float, value: float, spread: float = 0.0) -> None:
        """Add a sample at a time in seconds; a value that is not finite is a gap. `spread` is half the height of its band."""
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
        """Return the runs of bins between gaps, the oldest first."""
        runs: list[list[Bin]] = [[]]
        for each in self._bins:
            if each.count:
                runs[-1].append(each)
            else:
                runs.append([])
        return [run for run in runs if run]

    def ends(self) -> tuple[float, float] | None:
        """Return the lowest and the highest end of the bands; None while there is nothing."""
        filled = [each for each in self._bins if each.count]
        return (min(each.low for each in filled), max(each.high for each in filled)) if filled else None

    def _interrupt(self, time: float) -> None:
        if self._bins and self._bins[-1].count:
            self._bins.append(Bin(bin_of(time, self.seconds)))

    def _last(self, time: float) -> Bin:
        index = bin_of(time, self.seconds)
        if not self._bins or self._bins[-1].index != index or not self._bins[-1].count:
            self._bins.append(Bin(index))
        return self._bins[-1]


class ScoreSeries(NamedTuple):
    """Shares of n moments."""

    ago: Numbers  # seconds until now, (n,), falling
    shares: Floats  # (n, K), sums of a row are 1
    run: npt.NDArray[np.int64]  # (n,), the same number for all that no gap parts


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
        """Add the scores (K,) at a time in seconds; None: a gap."""
        if time < self.now:
            self._counts[:] = 0
        if scores is None or time < self.now or is_gap(time - self.now, self.seconds):
            self._run += 1
        self.now = time
        if scores is not None:
            bin_ = bin_of(time, self.seconds)
            row = bin_ % KEPT
            if self._bins[row] != bin_ or self._runs[row] != self._run:
                self._bins[row], self._runs[row], self._counts[row], self._sums[row] = bin_, self._run, 0, 0
            self._counts[row] += 1
            self._sums[row] += scores

    def strongest(self, most: int) -> npt.NDArray[np.intp]:
        """Return the classes with the largest shares in all the time, at most so many, in the order of their numbers."""
        count = self._sums.shape[1]
        if count <= most:
            return np.arange(count)
        rows = self._rows()
        total = np.einsum("i,ij->j", 1 / self._counts[rows], self._sums[rows])  # a matrix product would wake BLAS's threads
        return np.sort(np.argpartition(-total, most - 1)[:most])

    def course(self, classes: npt.NDArray[np.intp]) -> ScoreSeries:
        """Return the shares of these classes, and in a last column of all others together, the oldest first."""
        rows = self._rows()
        shares = np.empty((len(rows), len(classes) + 1), np.float32)
        shares[:, :-1] = self._sums[rows[:, None], classes] / self._counts[rows, None]
        shares[:, -1] = np.maximum(0, 1 - shares[:, :-1].sum(1))
        ago = np.maximum(0.0, self.now - (self._bins[rows] + 0.5) * self.seconds / BINS)
        return ScoreSeries(ago, shares, self._runs[rows])

    def at(self, time: float) -> Floats | None:
        """Return the scores (K,) nearest to a time; None in a gap."""
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
        """Return the bins that hold something of the time on show, the oldest first."""
        if not math.isfinite(self.now):
            return np.empty(0, np.intp)
        rows = np.flatnonzero((self._counts > 0) & (self._bins >= bin_of(self.now, self.seconds) - BINS))
        return rows[np.argsort(self._bins[rows])]


class TimeAxis:
    """labels: the marks' names, which stand still.  lines: columns of the plot in which the marks are."""

    def __init__(self, seconds: float, theme: Theme) -> None:
        self.seconds = seconds
        self.labels = [Label(theme.muted, align="center") for _ in range(MARKS)]
        self.lines: list[int] = []
        self._width = 1

    def place(self, plot: Rect, baseline: int, size: int, *, lettered: bool) -> None:
        """Place the marks' names on a baseline below the plot, if there is room for letters."""
        self._width = plot.w
        room = 1.4 * text_width(f"-{format_tick(self.seconds)} s", size)
        moments = ticks(0, self.seconds, min(MARKS, max(2, int(plot.w / room))))
        self.lines = [plot.w - 1 - round(moment / self.seconds * (plot.w - 1)) for moment in moments]
        for label in self.labels:
            label.text = ""
        for label, column, moment in zip(self.labels, self.lines, moments, strict=False):
            label.text = f"-{format_tick(moment)} s" if moment else "now"
            half = text_width(label.text, size) // 2
            label.place(plot.x + min(max(column, half), plot.w - half), baseline, size)
            label.set_visible(lettered)

    def column(self, ago: T) -> T:
        """Return the column of the plot, so many seconds ago."""
        return (1 - ago / self.seconds) * (self._width - 1)

    def ago(self, column: float) -> float:
        """Return how many seconds ago a column is."""
        return (1 - column / max(1, self._width - 1)) * self.seconds


def draw_line(
    picture: Image, history: History, scale: TimeAxis, rows: Callable[[Numbers], Numbers], theme: Theme, pen: int
) -> None:
    """Into a picture, uint8 (h, w, 3 or 4): means as a line, what lies between low and high as a band. rows: of values."""
    runs = history.stretches()
    if not runs:
        return
    ago, mean, low, high = np.array([(history.ago(each), each.mean, each.low, each.high) for run in runs for each in run]).T
    columns = scale.column(ago)
    ends = np.cumsum([len(run) for run in runs])[:-1]
    line, upper, lower = (np.split(points(columns, rows(values)), ends) for values in (mean, high, low))
    bands = [np.concatenate((top, bottom[::-1])) for top, bottom in zip(upper, lower, strict=True)]
    cv2.fillPoly(picture, bands, (*mix_colors(theme.card, theme.accent, BAND), 255), shift=FRACTION)
    cv2.polylines(picture, line, False, (*theme.accent, 255), pen, cv2.LINE_AA, FRACTION)


def points(columns: Numbers, rows: Numbers) -> npt.NDArray[np.int32]:
    """int32 (n, 2) for OpenCV's drawing, with FRACTION bits behind the point."""
    return np.asarray(np.round(np.stack([columns, rows], axis=1) * (1 << FRACTION)), np.int32)

"""Seconds along a plot, from the past at its left end to now at the right one, and a number's line over them."""

from collections.abc import Callable
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from livecnn._cv2 import cv2
from livecnn.drawing.artists import Label, text_width
from livecnn.drawing.theme import BAND, Theme, mix_colors
from livecnn.drawing.ticks import format_tick, ticks
from livecnn.geometry import Rect
from livecnn.panels.time.history import History
from livecnn.types import Image

T = TypeVar("T", float, npt.NDArray[np.float64])

MARKS = 8  # at most
FRACTION = 4  # bits behind the point, of positions in the picture

Numbers = npt.NDArray[np.float64]


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

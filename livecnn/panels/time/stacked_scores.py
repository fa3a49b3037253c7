"""Scores over time, stacked: a band of the classes' colours."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from livecnn._cv2 import cv2
from livecnn.drawing.artists import Label, text_width
from livecnn.drawing.theme import CLASSES, INK, Color, Theme, mix_colors
from livecnn.geometry import Rect
from livecnn.panels.time.history import BINS
from livecnn.panels.time.score_history import ScoreHistory, ScoreSeries
from livecnn.panels.time.time_axis import FRACTION, TimeAxis, points
from livecnn.types import Image

STRONGEST = 8  # classes that have colours of their own where there are more than colours
NAMES = 16  # written at most
OTHERS = 0.4  # of the muted colour over the card, for all classes that have none of their own
READABLE = 4  # letters of a name, about, that there has to be room for
LEAST = 0.5  # pixels of height, for what is drawn at all
BELOW = 2  # pixels under the strip that its outline runs at in gaps, where it is not seen

Mask = npt.NDArray[np.bool_]


class Span(NamedTuple):
    """Columns in which the same class is the strongest; top and bottom of its part, on an average, in rows."""

    left: float
    right: float
    which: int
    top: float
    bottom: float

    def holds(self, name: str, size: int) -> bool:
        """Is there room for the name, or for a readable part of it?"""
        wanted = max(size // 2, min(text_width(name, size), READABLE * size)) + size // 2
        return self.right - self.left >= wanted and self.bottom - self.top >= 1.3 * size


class StackedScores:
    """labels: names of classes, to be drawn over the strip."""

    def __init__(self, classes: Sequence[str], theme: Theme) -> None:
        self.labels = [Label(INK, align="center") for _ in range(NAMES)]
        self._classes = classes
        self._most = len(classes) if len(classes) <= len(CLASSES) else STRONGEST
        self._rest, self._ink = mix_colors(theme.card, theme.muted, OTHERS), theme.text  # of letters on it
        self._slots: dict[int, int] = {}  # by class, which of the colours it has while it is among the strongest

    def draw(self, picture: Image, place: Rect, shares: ScoreHistory, scale: TimeAxis, size: int) -> None:
        """Into a picture, uint8 (h, w, 4), which will lie at that place of the figure. size: of letters, in pixels."""
        chosen = shares.strongest(self._most)
        course = shares.course(chosen)
        for label in self.labels:
            label.text = ""
        if not len(course.ago):
            return
        half = shares.seconds / BINS / 2
        colors = [*self._colors([int(index) for index in chosen]), self._rest]
        columns, rows = _outline(course, scale, half, place.h)
        seen = np.flatnonzero(course.shares.max(axis=0) * place.h > LEAST)
        for part in reversed(seen):  # each reaches down to the bottom; the next covers what is not its own
            cv2.fillPoly(picture, [points(columns, rows[:, part])], (*colors[part], 255), shift=FRACTION)
        self._name(_stretches(course, scale, half, place), [*(self._classes[index] for index in chosen), "others"], place, size)

    def _colors(self, chosen: Sequence[int]) -> list[Color]:
        """A class keeps its colour for as long as it is chosen."""
        if self._most == len(self._classes):
            return list(CLASSES[: self._most])
        self._slots = {index: slot for index, slot in self._slots.items() if index in chosen}
        free = iter([slot for slot in range(len(CLASSES)) if slot not in self._slots.values()])
        self._slots |= {index: next(free) for index in chosen if index not in self._slots}
        return [CLASSES[self._slots[index]] for index in chosen]

    def _name(self, stretches: Iterator[Span], names: Sequence[str], place: Rect, size: int) -> None:
        fitting = (stretch for stretch in stretches if stretch.holds(names[stretch.which], size))
        for label, stretch in zip(self.labels, fitting, strict=False):
            label.text = names[stretch.which]
            label.color = INK if stretch.which < len(names) - 1 else self._ink
            x, y = (stretch.left + stretch.right) / 2, (stretch.top + stretch.bottom) / 2 + 0.36 * size
            label.place(place.x + round(x), place.y + round(y), size, int(stretch.right - stretch.left) - size // 2)


def _ends(changes: Mask) -> tuple[Mask, Mask]:
    """Which of n are the first and the last ones of their kind; changes (n - 1,): is the next one of another kind?"""
    return np.append(True, changes), np.append(changes, True)


def _outline(
    course: ScoreSeries, scale: TimeAxis, half: float, height: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Columns (n,), and for each class rows (n, K) of the line above it and all before it, which in gaps runs below the strip.

    half: seconds of half a bin; so a run of a single one is a band, too.
    """
    first, last = _ends(np.diff(course.run) != 0)
    points_of = 1 + 2 * first + 2 * last  # at either end of a run two more, one of them at the bottom
    which = np.repeat(np.arange(len(first)), points_of)
    place = np.arange(len(which)) - np.repeat(np.cumsum(points_of) - points_of, points_of)
    back = points_of[which] - 1 - place
    lead, tail = first[which] & (place < 2), last[which] & (back < 2)
    columns = scale.column(np.maximum(0.0, course.ago[which] + half * lead - half * tail))
    rows = (1 - np.cumsum(course.shares, axis=1, dtype=np.float64))[which] * height
    rows[(lead & (place == 0)) | (tail & (back == 0))] = height + BELOW
    return columns, rows


def _stretches(course: ScoreSeries, scale: TimeAxis, half: float, place: Rect) -> Iterator[Span]:
    """The newest first."""
    strongest = course.shares.argmax(axis=1)
    first, last = _ends((np.diff(strongest) != 0) | (np.diff(course.run) != 0))
    lefts = np.maximum(0, scale.column(course.ago[first] + half))
    rights = scale.column(np.maximum(0, course.ago[last] - half))
    starts = np.flatnonzero(first)
    means = np.add.reduceat(course.shares, starts) / np.diff(np.append(starts, len(first)))[:, None]
    bottoms = 1 - np.cumsum(means, axis=1) + means
    for i in reversed(range(len(starts))):
        part = int(strongest[starts[i]])
        bottom = float(bottoms[i, part])
        yield Span(float(lefts[i]), float(rights[i]), part, (bottom - float(means[i, part])) * place.h, bottom * place.h)

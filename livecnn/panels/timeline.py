"""Show the predictions of the last seconds, and the activation of the selected unit."""

import math
from collections.abc import Iterator, Sequence
from typing import ClassVar, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import Field

from livecnn._cv2 import cv2
from livecnn.drawing.artists import Label, Pixels, text_width
from livecnn.drawing.theme import CLASSES, INK, Color, Metrics, Theme, mix_colors
from livecnn.drawing.ticks import format_score, format_tick, round_limits, three_digits
from livecnn.engine.reducers import MaxActivation, MaxReducer
from livecnn.geometry import Rect
from livecnn.panels.base.drawer import Context, Drawer
from livecnn.panels.base.history import BINS, FRACTION, History, ScoreHistory, ScoreSeries, TimeAxis, draw_line, points
from livecnn.panels.base.spec import PanelSpec
from livecnn.panels.base.targets import Target, TimePoint, Tooltip
from livecnn.selection import INPUT, OUTPUT, Selection
from livecnn.types import Image, Scene, Tick

STRIP = 0.52  # of the height, where there is a line below
STRONGEST = 8  # classes that have colours of their own where there are more than colours
NAMES = 16  # written at most
OTHERS = 0.4  # of the muted colour over the card, for all classes that have none of their own
READABLE = 4  # letters of a name, about, that there has to be room for
LEAST = 0.5  # pixels of height, for what is drawn at all
BELOW = 2  # pixels under the strip that its outline runs at in gaps, where it is not seen

Mask = npt.NDArray[np.bool_]


class TimelinePanel(PanelSpec):
    """The scores of the last seconds, stacked, and below them how strongly the selected unit answered.

    While the picture is frozen a line marks the moment on show; a click shows the one that is clicked on.
    """

    explores: ClassVar[bool] = True

    kind: Literal["timeline"] = Field("timeline", description="Scores and the selected unit over time.")
    seconds: float = Field(30, ge=1, le=3600, description="How far back it reaches.")


class TimelineDrawer(Drawer):
    """The stacked scores, and a line below them."""

    def __init__(self, spec: TimelinePanel, name: str, context: Context) -> None:
        super().__init__(name, context)
        self.titles = (spec.title or "Timeline",)
        self._scale, self._shares = TimeAxis(spec.seconds, self.theme), ScoreHistory(len(context.classes), spec.seconds)
        self._followed: tuple[str, int | None] = INPUT, None
        self._history, self._value = History(spec.seconds), math.nan
        strip = {"distribution": StackedScores, "labels": LabelLines, "numbers": NumberLines}[context.reading]
        self._picture, self._strip = Pixels(), strip(context.classes, self.theme)
        self._percent = context.reading != "numbers"
        self._when = Label(self.theme.muted, align="right")
        self._name, self._number = Label(self.theme.text), Label(self.theme.accent, "bold")
        self._range = Label(self.theme.muted, align="right")
        self._plot, self._small, self._words, self._tall, self._pen = self.body, 12, 0, False, 2
        self._ground: Image = np.zeros((1, 1, 4), np.uint8)
        self._marked: float | None = None  # the moment on show while the picture is frozen
        self.still += self._scale.labels
        self.live = [self._picture, *self._strip.labels, self._when, self._name, self._number, self._range]

    def set_selection(self, focus: Selection) -> None:
        target = focus.target if focus.target in range(len(self.context.classes)) else None  # it may be another network's
        wanted = focus.layer, target if focus.layer == OUTPUT else focus.unit
        if wanted != self._followed:
            self._follow(*wanted)

    def _follow(self, layer: str, index: int | None) -> None:
        """Begin a new line, of a unit of a layer or, of OUTPUT, of the score of a class; None: of the predicted one."""
        self._followed = layer, index
        self._history, self._value = History(self._shares.seconds), math.nan
        if layer == OUTPUT:
            top = "confidence" if self._percent else "largest number"
            self.reducer, self._name.text = None, top if index is None else f"score of “{self.context.classes[index]}”"
        else:
            self.reducer, self._name.text = self._peak(layer, index or 0), f"{layer} {index}"

    def _peak(self, layer: str, index: int) -> MaxReducer | None:
        if index >= self.context.units(layer):
            return None
        if isinstance(self.reducer, MaxReducer) and self.reducer.layer == layer:
            self.reducer.index = index
            return self.reducer
        return MaxReducer(layer, index)

    def arrange(self, body: Rect, metrics: Metrics) -> None:
        self._small, self._pen = metrics.small, max(1, metrics.px(2))
        lettered = body.h >= metrics.px(60)
        self._plot = body.inset(0, 0, 0, metrics.px(20) if lettered else 0)
        self._tall = self._plot.h >= metrics.px(44)
        self._words = metrics.px(24) if self._plot.h >= metrics.px(96) else 0
        self._scale.place(self._plot, body.y + body.h - metrics.px(4), self._small, lettered=lettered)
        self._ground = np.full((self._plot.h, self._plot.w, 4), (*self.theme.card, 255), np.uint8)
        self._when.place(body.x + body.w, self.heading.y, self._small)

    def _parts(self) -> tuple[Rect, Rect | None]:
        """Return the places of the strip and, if there is one and room for it, of the line."""
        plot = self._plot
        if not self._tall or (self.reducer is None and self._followed[0] != OUTPUT):
            return plot, None
        strip = plot.inset(0, 0, 0, plot.h - round(STRIP * plot.h))
        top = strip.h + max(self._words, self._small // 2)
        return strip, plot.inset(0, top, 0, 0)

    def show(self, scene: Scene) -> None:
        self._take(scene.tick, frozen=scene.status.frozen)
        strip, line = self._parts()
        picture = self._ground.copy()  # RGBA: to convert it would take OpenCV's threads, and longer than all the rest
        self._rule(picture[: strip.h])
        self._strip.draw(picture[: strip.h], strip, self._shares, self._scale, self._small)
        self._write(line)
        if line is not None:
            self._draw_line(picture[line.y - self._plot.y :])
        self._mark(picture)
        self._picture.put(self._plot.x, self._plot.y, picture)

    def _take(self, tick: Tick, *, frozen: bool) -> None:
        """Add the tick, unless the picture is frozen, as it may be one of long ago then."""
        nothing = tick.patch.prepared.empty or tick.patch.lost or not np.isfinite(tick.scores).all()
        self._value = math.nan if nothing else self._sample(tick)
        self._marked = tick.frame.time if frozen else None
        if not frozen:
            self._shares.add(tick.frame.time, None if nothing else tick.scores)
            self._history.add(tick.frame.time, self._value)

    def _sample(self, tick: Tick) -> float:
        """NaN where there is none, or still one of another unit."""
        layer, index = self._followed
        if layer == OUTPUT:
            return (100 if self._percent else 1) * float(tick.scores.max() if index is None else tick.scores[index])
        view = tick.views.get(self.name)
        return view.value if isinstance(view, MaxActivation) and view[:2] == (layer, index) else math.nan

    def _ends(self) -> tuple[float, float]:
        if self._followed[0] == OUTPUT and self._percent:
            return 0.0, 100.0
        return round_limits(*(self._history.ends() or (0.0, 1.0)))

    def _write(self, line: Rect | None) -> None:
        """Write the words between strip and line, and on the right of the heading."""
        for label in (self._name, self._number, self._range):
            label.set_visible(line is not None and self._words > 0)
        if line is not None:
            low, high = self._ends()
            unit = " %" if self._followed[0] == OUTPUT and self._percent else ""
            self._number.text = f"{three_digits(self._value)}{unit}" if math.isfinite(self._value) else ""
            self._range.text = f"{format_tick(low)} to {format_tick(high)}{unit}"
            baseline, gap = line.y - (self._words - self._small) // 2, self._small
            room = line.w - self._number.advance() - gap
            self._name.place(line.x, baseline, self._small, min(room, line.w // 2))
            left = line.x + min(self._name.advance(), self._name.width or 0) + gap
            self._number.place(left, baseline, self._small)
            self._range.place(line.x + line.w, baseline, self._small)
            if left + self._number.advance() + gap + self._range.advance() > line.x + line.w:
                self._range.text = ""
        words = f"last {format_tick(self._scale.seconds)} s" if self._marked is None else self._ago(self._marked)
        room = self.body.w - self.heading.advance() - self._small
        self._when.color = self.theme.muted if self._marked is None else self.theme.accent
        self._when.text = words if text_width(words, self._small) <= room else ""

    def _ago(self, time: float) -> str:
        ago = max(0.0, self._shares.now - time)
        return f"{ago:.1f} s ago" if ago >= 0.05 else "now"

    def _rule(self, part: Image) -> None:
        """Its upper and lower edge, and the seconds."""
        part[[0, -1], :, :3] = self.theme.edge
        part[:, self._scale.lines, :3] = self.theme.edge

    def _draw_line(self, picture: Image) -> None:
        low, high = self._ends()
        height = len(picture) - 1
        self._rule(picture)
        draw_line(
            picture, self._history, self._scale, lambda values: (high - values) / (high - low) * height, self.theme, self._pen
        )

    def _mark(self, picture: Image) -> None:
        """Mark the moment on show, with a color and a rim that stand out from all classes' colors."""
        if self._marked is None or not 0 <= self._shares.now - self._marked <= self._scale.seconds:
            return
        column = round(self._scale.column(self._shares.now - self._marked))
        half = self._pen
        left = min(max(0, column - half), picture.shape[1] - 2 * half - 1)
        picture[:, max(0, left - 1) : left + 2 * half + 1, :3] = self.theme.background
        picture[:, max(0, left) + half // 2 : left + 2 * half - half // 2, :3] = self.theme.accent

    def target_at(self, x: float, y: float) -> Target | None:
        plot = self._plot
        if not math.isfinite(self._shares.now) or not plot.contains(x, y):
            return None
        return TimePoint(self._shares.now - self._scale.ago(x - plot.x))

    def tip(self, target: Target) -> Tooltip | None:
        if not isinstance(target, TimePoint) or not 0 <= self._shares.now - target.time <= self._scale.seconds:
            return None
        words, scores = self._ago(target.time), self._shares.at(target.time)
        if scores is not None:
            top = int(scores.argmax())
            words += f" · {self.context.classes[top]}, {format_score(float(scores[top]), self.context.reading, 0)}"
        column = self._plot.x + round(self._scale.column(self._shares.now - target.time))
        return Tooltip((words,), Rect(column, self._plot.y, 1, self._plot.h))


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
        """Return the color of each class, which it keeps for as long as it is chosen."""
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


class LabelLines(StackedScores):
    """A line for each class, of scores that are not shares of one whole; the names are at its newest end."""

    limits: ClassVar[tuple[float, float] | None] = (0.0, 1.0)

    def draw(self, picture: Image, place: Rect, shares: ScoreHistory, scale: TimeAxis, size: int) -> None:
        chosen = shares.strongest(self._most)
        course = shares.course(chosen)
        for label in self.labels:
            label.text = ""
        if not len(course.ago):
            return
        values = course.shares[:, :-1].astype(np.float64)
        low, high = self.limits or round_limits(float(values.min()), float(values.max()))
        columns, rows = scale.column(course.ago), (high - values) / (high - low) * (place.h - 1)
        colors, runs = self._colors([int(index) for index in chosen]), np.flatnonzero(np.diff(course.run)) + 1
        for part, color in enumerate(colors):
            lines = np.split(points(columns, rows[:, part]), runs)
            cv2.polylines(picture, lines, False, (*color, 255), max(1, size // 6), cv2.LINE_AA, FRACTION)
        above = -math.inf
        for label, part in zip(self.labels, np.argsort(rows[-1]), strict=False):
            row = min(max(float(rows[-1, part]) - size // 3, size), place.h - size // 3)
            if row - above >= 1.2 * size:
                label.text, label.color, above = self._classes[int(chosen[part])], colors[part], row
                room = min(text_width(label.text, size), round(columns[-1]))
                label.place(place.x + round(columns[-1]) - room // 2, place.y + round(row), size, room)


class NumberLines(LabelLines):
    """The same for plain numbers, on a scale that holds all that is shown."""

    limits = None


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
    """Yield the stretches in which one class leads, the newest first."""
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

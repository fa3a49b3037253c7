"""A number over time, as a line that runs on from right to left."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from livecnn._cv2 import cv2
from livecnn.axis import around, figure, short, ticks
from livecnn.drawer import Context, Drawer
from livecnn.errors import nearest
from livecnn.expectation import expected, numbers
from livecnn.fields import Range
from livecnn.geometry import Rect
from livecnn.history import Bin, History
from livecnn.panels import FieldError, PanelSpec, check_value
from livecnn.pixels import Label, Pixels, text_width
from livecnn.reduce import ValueReducer
from livecnn.theme import BAND, mixed
from livecnn.types import Scene, Tick

if TYPE_CHECKING:
    from livecnn.theme import Metrics

EXPECTED = "expected"
LEVELS = 6  # lines across, at most
MOMENTS = 8  # along
FRACTION = 4  # bits behind the point, of positions in the picture


class Trace(PanelSpec):
    """A number over time: one of a layer's, the expected value of the scores with its standard deviation, or a class's score."""

    kind: Literal["trace"] = Field("trace", description="A number over time.")
    layer: str | None = Field(None, description="Name of a layer that gives single values; left out, the scores are shown.")
    index: int = Field(0, ge=0, description="Which of the layer's values.")
    of: int | str = Field(
        EXPECTED, description="Of the scores: `expected`, where classes are numbers, or a class (its number or name), in percent."
    )
    seconds: float = Field(30, ge=1, le=3600, description="How far back it reaches.")
    unit: str = Field("", max_length=20, description="What the number is measured in, e.g. years.")
    range: Range | None = Field(None, description="Ends of the scale; by default what the number can be, or has been.")

    def layers(self) -> tuple[str, ...]:
        return () if self.layer is None else (self.layer,)

    def check(self, shapes: Mapping[str, tuple[int, ...]], classes: Sequence[str]) -> None:
        if self.layer is not None and self.of != EXPECTED:
            raise FieldError("of", f"found {self.of!r} beside the layer {self.layer!r}; allowed: one of the two")
        if self.layer is not None:
            check_value(self.layer, self.index, shapes)
        elif self.of != EXPECTED:
            class_index(self.of, classes)
        else:
            try:
                numbers(classes)
            except ValueError as error:
                raise FieldError("of", f"{error}; allowed here: a class, or a layer") from error

    def drawer(self, name: str, context: Context) -> Drawer:
        return TraceDrawer(self, name, context)


def class_index(wanted: int | str, classes: Sequence[str]) -> int:
    """Number of a class given by number or name; FieldError if there is none."""
    if isinstance(wanted, int) and 0 <= wanted < len(classes):
        return wanted
    if str(wanted) in classes:
        return list(classes).index(str(wanted))
    raise FieldError("of", f"no class {wanted!r}; allowed: 0-{len(classes) - 1}, or {nearest(str(wanted), [EXPECTED, *classes])}")


class TraceDrawer(Drawer):
    def __init__(self, spec: Trace, name: str, context: Context) -> None:
        super().__init__(name, context)
        self._spec = spec
        self._class: int | None = None
        self._unit = spec.unit
        told, self._range = self._choose()
        self.titles = (spec.title or told,)
        self._history = History(spec.seconds)
        self._picture, self._now = Pixels(), Label(self.theme.accent, "bold", "right")
        self._levels = [Label(self.theme.muted, align="right") for _ in range(LEVELS)]
        self._moments = [Label(self.theme.muted, align="center") for _ in range(MOMENTS)]
        self._plot, self._pen, self._small = self.body, 2, 12
        self._lines: list[int] = []  # columns, of the seconds
        self.still += self._moments
        self.live = [self._picture, *self._levels, self._now]

    def _choose(self) -> tuple[str, tuple[float, float] | None]:
        """What it is called, and the ends of its scale; None: those of what was."""
        spec, classes = self._spec, self.context.classes
        if spec.layer is not None:
            self.reducer = ValueReducer(spec.layer, spec.index)
            return (spec.layer if spec.index == 0 else f"{spec.layer} {spec.index}"), spec.range
        if spec.of == EXPECTED:
            self._values = numbers(classes)
            return "Expected value", spec.range or around(float(self._values.min()), float(self._values.max()))
        self._class = class_index(spec.of, classes)
        self._unit = "%"
        return f"Score of “{classes[self._class]}”", spec.range or (0.0, 100.0)

    def arrange(self, body: Rect, metrics: Metrics) -> None:
        self._small, self._pen = metrics.small, max(1, metrics.px(2))
        lettered = body.h >= metrics.px(60)
        line = metrics.px(20) if lettered else 0
        left = self._margin(metrics) if lettered and body.w >= metrics.px(120) else 0
        self._plot = body.inset(left, metrics.px(6) if lettered else 0, 0, line)
        self._now.place(body.x + body.w, self.heading.y, metrics.body, max(0, body.w - self.heading.advance() - metrics.gap))
        for label in self._levels:
            label.set_visible(left > 0)
        self._name_moments(body.y + body.h - metrics.px(4), lettered=lettered)

    def _margin(self, metrics: Metrics) -> int:
        """Room for the numbers at the scale."""
        texts = [short(end) for end in self._range] if self._range else ["-0.8888"]
        return max(text_width(text, metrics.small) for text in texts) + metrics.px(8)

    def _name_moments(self, baseline: int, *, lettered: bool) -> None:
        plot, seconds = self._plot, self._spec.seconds
        room = 1.4 * text_width(f"-{short(seconds)} s", self._small)
        moments = ticks(0, seconds, min(MOMENTS, max(2, int(plot.w / room))))
        self._lines = [plot.w - 1 - round(moment / seconds * (plot.w - 1)) for moment in moments]
        for label in self._moments:
            label.text = ""
        for label, column, moment in zip(self._moments, self._lines, moments, strict=False):
            label.text = f"-{short(moment)} s" if moment else "now"
            half = label.advance() // 2
            label.place(plot.x + min(max(column, half), plot.w - half), baseline, self._small)
            label.set_visible(lettered)

    def show(self, scene: Scene) -> None:
        self._take(scene.tick)  # once more with a newer frame, or after a resize: at the same moment, so nothing changes
        plot, (low, high) = self._plot, self._scale()
        levels = ticks(low, high, max(2, min(LEVELS, plot.h // (2 * self._small))))
        rows = [self._row(level, low, high) for level in levels]
        for label in self._levels:
            label.text = ""
        for label, level, row in zip(self._levels, levels, rows, strict=False):
            label.text = short(level)
            room = plot.x - self.body.x - self._small // 2
            label.place(plot.x - self._small // 2, plot.y + round(row) + round(0.36 * self._small), self._small, room)
        self._picture.put(plot.x, plot.y, self._drawn(low, high, rows))

    def _take(self, tick: Tick) -> None:
        value, spread = self._sample(tick)
        if tick.patch.prepared.empty or tick.patch.lost:
            value = math.nan
        self._history.add(tick.frame.time, value, spread)
        self._now.text = f"{figure(value)} {self._unit}".rstrip() if math.isfinite(value) else "–"

    def _sample(self, tick: Tick) -> tuple[float, float]:
        """The number and half the height of its band; NaN: none."""
        if self._spec.layer is not None:
            value = tick.views.get(self.name)
            return (value if isinstance(value, float) else math.nan), 0.0
        if self._class is not None:
            return 100 * float(tick.scores[self._class]), 0.0
        return expected(tick.scores, self._values)

    def _scale(self) -> tuple[float, float]:
        return self._range or around(*(self._history.ends() or (0.0, 1.0)))

    def _row(self, value: float, low: float, high: float) -> float:
        """Of the picture, from the top; what is off the scale lies at its end."""
        share = min(1.0, max(0.0, (value - low) / (high - low)))
        return (1 - share) * (self._plot.h - 1)

    def _drawn(self, low: float, high: float, rows: Sequence[float]) -> npt.NDArray[np.uint8]:
        """uint8 (h, w, 3)."""
        picture = np.full((self._plot.h, self._plot.w, 3), self.theme.card, np.uint8)
        for row in rows:
            picture[round(row)] = self.theme.edge
        picture[:, self._lines] = self.theme.edge
        for run in self._history.stretches():
            columns = [self._column(each) for each in run]
            upper = [self._row(each.high, low, high) for each in run]
            lower = [self._row(each.low, low, high) for each in run]
            band = _points([*columns, *reversed(columns)], [*upper, *reversed(lower)])
            cv2.fillPoly(picture, [band], mixed(self.theme.card, self.theme.accent, BAND), shift=FRACTION)
            line = _points(columns, [self._row(each.mean, low, high) for each in run])
            cv2.polylines(picture, [line], False, self.theme.accent, self._pen, cv2.LINE_AA, FRACTION)
        return picture

    def _column(self, each: Bin) -> float:
        return (1 - self._history.ago(each) / self._history.seconds) * (self._plot.w - 1)


def _points(columns: Sequence[float], rows: Sequence[float]) -> npt.NDArray[np.int32]:
    return np.asarray(np.round(np.array([columns, rows]).T * (1 << FRACTION)), np.int32)

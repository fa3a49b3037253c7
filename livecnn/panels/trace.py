"""A number over time, as a line that runs on from right to left."""

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from pydantic import Field

from livecnn.drawing.artists import Label, Pixels, baseline_offset, text_width
from livecnn.drawing.theme import Metrics
from livecnn.drawing.ticks import format_tick, round_limits, three_digits, ticks
from livecnn.engine.reducers import ValueReducer
from livecnn.geometry import Rect
from livecnn.panels.base.drawer import Context, Drawer
from livecnn.panels.base.history import History, Numbers, TimeAxis, draw_line
from livecnn.panels.base.spec import FieldError, PanelSpec, Range, check_value, class_field
from livecnn.panels.distribution import check_distribution, expected, numbers
from livecnn.types import Image, Scene, Tick

EXPECTED = "expected"
LEVELS = 6  # lines across, at most


class TracePanel(PanelSpec):
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

    def check(self, shapes: Mapping[str, tuple[int, ...]], classes: Sequence[str]) -> None:
        if self.layer is not None and self.of != EXPECTED:
            raise FieldError("of", f"found {self.of!r} beside the layer {self.layer!r}; allowed: one of the two")
        super().check(shapes, classes)
        if self.layer is not None:
            check_value(self.layer, self.index, shapes)
        elif self.of != EXPECTED:
            class_field("of", self.of, classes, EXPECTED)
        else:
            try:
                numbers(classes)
            except ValueError as error:
                raise FieldError("of", f"{error}; allowed here: a class, or a layer") from error


class TraceDrawer(Drawer):
    """A line over time, with levels across."""

    def __init__(self, spec: TracePanel, name: str, context: Context) -> None:
        super().__init__(name, context)
        self._spec = spec
        self._class: int | None = None
        self._unit, self._factor = spec.unit, 1.0
        told, self._range = self._choose()
        self.titles = (spec.title or told,)
        self._history = History(spec.seconds)
        self._picture, self._now = Pixels(), Label(self.theme.accent, "bold", "right")
        self._levels = [Label(self.theme.muted, align="right") for _ in range(LEVELS)]
        self._scale = TimeAxis(spec.seconds, self.theme)
        self._plot, self._pen, self._small = self.body, 2, 12
        self.still += self._scale.labels
        self.live = [self._picture, *self._levels, self._now]

    def _choose(self) -> tuple[str, tuple[float, float] | None]:
        """Return the title and the ends of the scale; None: the ends are those of the history."""
        spec, classes = self._spec, self.context.classes
        if spec.layer is not None:
            self.reducer = ValueReducer(spec.layer, spec.index)
            return (spec.layer if spec.index == 0 else f"{spec.layer} {spec.index}"), spec.range
        if spec.of == EXPECTED:
            check_distribution("of", self.context)
            self._values = numbers(classes)
            return "Expected value", spec.range or round_limits(float(self._values.min()), float(self._values.max()))
        self._class = class_field("of", spec.of, classes, EXPECTED)
        title = f"Score of “{classes[self._class]}”"
        if self.context.reading == "numbers":
            return title, spec.range
        self._unit, self._factor = "%", 100.0
        return title, spec.range or (0.0, 100.0)

    def arrange(self, body: Rect, metrics: Metrics) -> None:
        self._small, self._pen = metrics.small, max(1, metrics.px(2))
        lettered = body.h >= metrics.px(60)
        line = metrics.px(20) if lettered else 0
        left = self._margin(metrics) if lettered and body.w >= metrics.px(120) else 0
        self._plot = body.inset(left, metrics.px(6) if lettered else 0, 0, line)
        self._now.place(body.x + body.w, self.heading.y, metrics.body, max(0, body.w - self.heading.advance() - metrics.gap))
        for label in self._levels:
            label.set_visible(left > 0)
        self._scale.place(self._plot, body.y + body.h - metrics.px(4), self._small, lettered=lettered)

    def _margin(self, metrics: Metrics) -> int:
        """Room for the numbers at the scale."""
        texts = [format_tick(end) for end in self._range] if self._range else ["-0.8888"]
        return max(text_width(text, metrics.small) for text in texts) + metrics.px(8)

    def show(self, scene: Scene) -> None:
        self._take(scene.tick, frozen=scene.status.frozen)
        plot = self._plot
        low, high = self._range or round_limits(*(self._history.ends() or (0.0, 1.0)))
        levels = ticks(low, high, max(2, min(LEVELS, plot.h // (2 * self._small))))
        rows = [round(row) for row in self._rows(np.array(levels), low, high)]
        for label in self._levels:
            label.text = ""
        for label, level, row in zip(self._levels, levels, rows, strict=False):
            label.text = format_tick(level)
            room = plot.x - self.body.x - self._small // 2
            label.place(plot.x - self._small // 2, plot.y + row + baseline_offset(self._small), self._small, room)
        self._picture.put(plot.x, plot.y, self._drawn(low, high, rows))

    def _take(self, tick: Tick, *, frozen: bool) -> None:
        """Once more with a newer frame, or after a resize: it is at the same moment, so nothing changes."""
        value, spread = self._sample(tick)
        if tick.patch.prepared.empty or tick.patch.lost:
            value = math.nan
        if not frozen:  # else it may be a moment of long ago
            self._history.add(tick.frame.time, value, spread)
        self._now.text = f"{three_digits(value)} {self._unit}".rstrip() if math.isfinite(value) else "–"

    def _sample(self, tick: Tick) -> tuple[float, float]:
        """Return the number and half the height of its band; NaN: none."""
        if self._spec.layer is not None:
            value = tick.views.get(self.name)
            return (value if isinstance(value, float) else math.nan), 0.0
        if self._class is not None:
            return self._factor * float(tick.scores[self._class]), 0.0
        return expected(tick.scores, self._values)

    def _rows(self, values: Numbers, low: float, high: float) -> Numbers:
        """Of the picture, from the top; what is off the scale lies at its end."""
        return np.clip((high - values) / (high - low), 0, 1) * (self._plot.h - 1)

    def _drawn(self, low: float, high: float, lines: Sequence[int]) -> Image:
        """uint8 (h, w, 3). lines: rows of the levels."""
        picture = np.full((self._plot.h, self._plot.w, 3), self.theme.card, np.uint8)
        picture[lines] = self.theme.edge
        picture[:, self._scale.lines] = self.theme.edge
        draw_line(picture, self._history, self._scale, lambda values: self._rows(values, low, high), self.theme, self._pen)
        return picture

"""Classes that are numbers: a bar for each, their expected value and its spread."""

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from pydantic import Field

from livecnn.drawing.artists import Label, Readout, Rectangles, text_width
from livecnn.drawing.theme import BAND, Color, Metrics, mix_colors
from livecnn.drawing.ticks import format_tick, three_digits, ticks
from livecnn.geometry import Rect
from livecnn.panels.base.drawer import NOTHING, Context, Drawer
from livecnn.panels.base.spec import FieldError, PanelSpec
from livecnn.types import Floats, Scene

TOPS = (0.05, 0.1, 0.2, 0.5, 1.0)  # what the height of the panel may mean; the lowest that no bar surpasses
LABELS = 11  # below the bars, at most


class DistributionPanel(PanelSpec):
    """A bar for each class, where classes are numbers; their expected value large, and its standard deviation as a band."""

    kind: Literal["distribution"] = Field("distribution", description="Scores of classes that are numbers.")
    unit: str = Field("", max_length=20, description="What the numbers are measured in, e.g. years.")

    def check(self, shapes: Mapping[str, tuple[int, ...]], classes: Sequence[str]) -> None:  # noqa: ARG002
        try:
            numbers(classes)
        except ValueError as error:
            raise FieldError("kind", f"{error}; kind scores shows any classes") from error


class DistributionDrawer(Drawer):
    """The expected value large, and a plot with a bar for each class."""

    def __init__(self, spec: DistributionPanel, name: str, context: Context) -> None:
        super().__init__(name, context)
        self.titles = (spec.title or "Distribution",)
        check_distribution("kind", context)
        self._values = numbers(context.classes)
        self._low, self._high = float(self._values.min()), float(self._values.max())
        self._unit = spec.unit
        self._readout = Readout(self.theme, spec.unit)
        self._band, self._bars, self._mark, self._line = Rectangles(), Rectangles(), Rectangles(), Rectangles()
        self._labels = [Label(self.theme.muted, align="center") for _ in range(LABELS)]
        self._top = Label(self.theme.muted)
        self._plot = self.body
        self._step, self._pen = 1.0, 2
        self.still += [self._line, *self._labels]
        self.live = [self._band, self._bars, self._mark, self._top, *self._readout.artists]

    def captions(self) -> Sequence[str]:
        return (
            f"{len(self._values)} classes · line: expected value, band: standard deviation",
            "expected value ± standard deviation",
        )

    def arrange(self, body: Rect, metrics: Metrics) -> None:
        if body.w > 1.6 * body.h:
            left = round(body.w * (0.3 if body.w < 3 * body.h else 0.22))
            block, plot = Rect(body.x, body.y, left, body.h), body.inset(left + metrics.gap, 0, 0, 0)
        else:
            top = round(body.h * 0.34)
            block, plot = Rect(body.x, body.y, body.w, top), body.inset(0, top + metrics.px(4), 0, 0)
        self._readout.place(block, three_digits(max(abs(self._low), abs(self._high)) * 0.98), metrics)
        lettered = plot.h >= metrics.px(60)
        self._plot = plot.inset(0, metrics.px(18) if lettered else 0, 0, metrics.px(20) if lettered else 0)
        self._pen = max(2, metrics.px(3))
        gaps = np.diff(np.unique(self._values))
        gap = float(gaps.min()) if len(gaps) else 1.0
        self._step = self._plot.w * gap / (self._high - self._low + gap)
        bottom = self._plot.y + self._plot.h
        self._line.rectangles = [(Rect(self._plot.x, bottom, self._plot.w, 1), self.theme.muted)]
        self._top.place(self._plot.x, self._plot.y - metrics.px(5), metrics.small, self._plot.w)
        self._top.set_visible(lettered)
        self._name_ticks(bottom + metrics.px(16), metrics.small, lettered=lettered)

    def _name_ticks(self, baseline: int, size: int, *, lettered: bool) -> None:
        room = 1.3 * max(text_width(format_tick(end), size) for end in (self._low, self._high))
        most = min(LABELS, int(self._plot.w // room))
        values: tuple[float, ...] = (self._low,) if lettered and most else ()
        if values and self._high > self._low:
            values = ticks(self._low, self._high, most)
        for label in self._labels:
            label.text = ""
        for label, value in zip(self._labels, values, strict=False):
            label.text = format_tick(value)
            half = text_width(label.text, size) // 2
            x = min(max(self._at(value), self._plot.x + half), self._plot.x + self._plot.w - half)
            label.place(x, baseline, size)

    def _at(self, value: float) -> int:
        """Return the column of a number: the middle of its bar, or the end of the plot."""
        share = 0.5 if self._high == self._low else (value - self._low) / (self._high - self._low)
        column = round(self._step / 2 + share * (self._plot.w - self._step))
        return self._plot.x + min(max(0, column), self._plot.w - 1)

    def show(self, scene: Scene) -> None:
        patch, scores = scene.tick.patch, scene.tick.scores
        for fills in (self._band, self._bars, self._mark):
            fills.rectangles = []
        self._top.text = ""
        mean, spread = expected(scores, self._values)
        if patch.prepared.empty:
            self._readout.show("–", NOTHING, self.theme.muted)
        elif not math.isfinite(mean):
            self._readout.show("?", "not a number", self.theme.bad)
        else:
            color = self.theme.muted if patch.lost else self.theme.accent
            self._readout.show(three_digits(mean), f"± {three_digits(spread)} {self._unit}".rstrip(), color)
            self._show_bars(scores)
            self._show_spread(mean, spread, color)

    def _show_bars(self, scores: Floats) -> None:
        plot, bottom = self._plot, self._plot.y + self._plot.h
        top = next((top for top in TOPS if scores.max() <= top), 1.0)
        self._top.text = f"{100 * top:g} %"
        width = max(1, int(self._step) - (1 if self._step >= 3 else 0))
        heights = np.round(scores.clip(0, top) / top * plot.h).astype(int).tolist()
        for value, height in zip(self._values.tolist(), heights, strict=True):
            if height:
                bar = Rect(self._at(value) - width // 2, bottom - height, width, height)
                self._bars.rectangles.append((bar, self.theme.quiet))

    def _show_spread(self, mean: float, spread: float, color: Color) -> None:
        plot = self._plot
        left, right = self._at(mean - spread), self._at(mean + spread)
        tint = mix_colors(self.theme.card, color, BAND)
        self._band.rectangles = [(Rect(left, plot.y, max(1, right - left), plot.h), tint)]
        x = min(max(plot.x, self._at(mean) - self._pen // 2), plot.x + plot.w - self._pen)
        self._mark.rectangles = [(Rect(x, plot.y, self._pen, plot.h), color)]


def check_distribution(key: str, context: Context) -> None:
    """Raise FieldError if the scores are no distribution, which alone has an expected value."""
    if context.reading != "distribution":
        raise FieldError(key, f"the scores of {context.model} are {context.reading}, no distribution; kind scores shows them")


def numbers(classes: Sequence[str]) -> Floats:
    """Return the classes as numbers, float32 (K,). Raises ValueError, which names the first that is none."""
    values = []
    for name in classes:
        try:
            value = float(name)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise ValueError(f"the class {name!r} is no number; classes such as 0, 1, 2, … have an expected value")
        values.append(value)
    return np.array(values, np.float32)


def expected(scores: Floats, values: Floats) -> tuple[float, float]:
    """Return mean and standard deviation of values (K,) with probabilities (K,); NaN if a score is not finite."""
    total = float(scores.sum(dtype=np.float64))
    if not math.isfinite(total) or total <= 0:
        return math.nan, math.nan
    shares = scores.astype(np.float64) / total
    mean = float(shares @ values)
    return mean, math.sqrt(float(shares @ (values - mean) ** 2))

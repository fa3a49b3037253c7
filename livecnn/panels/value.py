"""One number of a layer, large, and where it lies on a scale."""

import math
from collections.abc import Mapping, Sequence
from typing import Literal

from pydantic import Field

from livecnn.drawing.artists import Label, Readout, Rectangles
from livecnn.drawing.theme import Metrics
from livecnn.drawing.ticks import format_tick, three_digits
from livecnn.engine.reducers import ValueReducer
from livecnn.geometry import Rect
from livecnn.panels.base.drawer import NOTHING, Context, Drawer
from livecnn.panels.base.spec import PanelSpec, Range, check_value
from livecnn.types import Scene


class ValuePanel(PanelSpec):
    """One number of a layer: large, and as a bar on a scale."""

    kind: Literal["value"] = Field("value", description="One number of a layer.")
    layer: str = Field(description="Name of a layer that gives single values.")
    index: int = Field(0, ge=0, description="Which of its values.")
    unit: str = Field("", max_length=20, description="What the number is measured in, e.g. years.")
    range: Range = Field((0.0, 100.0), description="Ends of the scale.")

    def check(self, shapes: Mapping[str, tuple[int, ...]], classes: Sequence[str]) -> None:
        super().check(shapes, classes)
        check_value(self.layer, self.index, shapes)


class ValueDrawer(Drawer):
    """The number large, and a bar on a scale."""

    def __init__(self, spec: ValuePanel, name: str, context: Context) -> None:
        super().__init__(name, context)
        self._low, self._high = spec.range
        self.titles = (spec.title or (spec.layer if spec.index == 0 else f"{spec.layer} {spec.index}"),)
        self.reducer = ValueReducer(spec.layer, spec.index)
        self._readout = Readout(self.theme, spec.unit)
        self._groove, self._bar = Rectangles(), Rectangles()
        self._ends = Label(self.theme.muted), Label(self.theme.muted, align="right")
        self._gauge = self.body
        self.still += [self._groove, *self._ends]
        self.live = [self._bar, *self._readout.artists]

    def arrange(self, body: Rect, metrics: Metrics) -> None:
        lettered = body.h >= metrics.px(90)
        line, height = metrics.px(20) if lettered else 0, min(metrics.px(12), max(1, body.h // 6))
        self._gauge = Rect(body.x, body.y + body.h - line - height, body.w, height)
        for label, end in zip(self._ends, (self._low, self._high), strict=True):
            label.text = format_tick(end)
            label.place(body.x if end == self._low else body.x + body.w, body.y + body.h - metrics.px(3), metrics.small)
            label.set_visible(lettered and sum(end.advance() for end in self._ends) < body.w)
        self._groove.rectangles = [(self._gauge, self.theme.edge)]
        widest = max((three_digits(value) for value in (self._low, self._high, (self._low + self._high) / 2)), key=len)
        self._readout.place(Rect(body.x, body.y, body.w, max(1, body.h - line - height - metrics.px(4))), widest, metrics)

    def show(self, scene: Scene) -> None:
        value, patch = scene.tick.views.get(self.name), scene.tick.patch
        self._bar.rectangles = []
        if not isinstance(value, float):
            return
        if patch.prepared.empty:
            self._readout.show("–", NOTHING, self.theme.muted)
        elif not math.isfinite(value):
            self._readout.show("?", "not a number", self.theme.bad)
        else:
            color = self.theme.muted if patch.lost else self.theme.accent
            outside = "" if self._low <= value <= self._high else "outside the scale"
            self._readout.show(three_digits(value), outside, color)
            share = min(1.0, max(0.0, (value - self._low) / (self._high - self._low)))
            x, y, w, h = self._gauge
            self._bar.rectangles = [(Rect(x, y, max(1, round(share * w)), h), color)]

"""Show how each unit of the last hidden layer contributes to the score of a class: weight times activation."""

import math
from typing import NamedTuple

import numpy as np

from livecnn.drawing.artists import Rectangles, baseline_offset, text_width
from livecnn.drawing.theme import Metrics
from livecnn.engine.reducers import Maps
from livecnn.geometry import Rect
from livecnn.networks.inspection.architecture import Node
from livecnn.panels.base.drawer import Context
from livecnn.panels.base.targets import Target
from livecnn.panels.details.base import Detail, LabelPool, quoted
from livecnn.selection import Ask, Selection, Unit
from livecnn.types import ExplanationUpdate, Floats, Scene

CALM = 0.2  # seconds between two pictures: numbers that change at every tick cannot be read
# What stands between the last hidden layer and its weights to the classes without changing the sum.
SAME = frozenset(("relu", "dropout", "identity", "flatten", "view", "reshape", "squeeze"))


class _Side(NamedTuple):
    """Units that speak for or against, strongest first, and what each adds."""

    units: list[int]
    values: Floats


class ContributionsDetail(Detail):
    """The strongest of both signs as bars: for the class to the right, against it to the left."""

    asks: tuple[Ask, ...] = ("contributions",)

    def __init__(self, node: Node, context: Context) -> None:
        super().__init__(node, context)
        self._bars, self._words = Rectangles(), LabelPool()
        self.live = [self._bars, self._words]
        self._focus = Selection(node.name)
        self._places: list[tuple[Rect, int]] = []
        self._shown = -math.inf  # when

    def height(self, room: Rect, metrics: Metrics) -> int:
        return min(metrics.px(190), round(room.h * 0.42)) if room.h >= metrics.px(260) and room.w >= metrics.px(240) else 0

    def arrange(self, body: Rect, metrics: Metrics) -> None:
        """Place everything in a rectangle."""
        super().arrange(body, metrics)
        self._shown = -math.inf

    def attend(self, focus: Selection) -> None:
        self._focus, self._shown = focus, -math.inf

    def show(self, scene: Scene, maps: Maps | None) -> None:  # noqa: ARG002
        found, time = scene.findings, scene.tick.frame.time
        if found is None or found.focus.layer != self.node.name or found.contributions is None:
            return
        values = found.contributions
        if 0 <= time - self._shown < CALM or len(values) != self.node.output[0] or not np.isfinite(values).all():
            return
        self._shown = time
        self._words.clear()
        self._bars.rectangles, self._places = [], []
        self._show(values, found)

    def _show(self, values: Floats, found: ExplanationUpdate) -> None:
        body, small, line = self.body, self.metrics.small, self.metrics.px(19)
        title = f"weight × activation for {quoted(self.context, found.target)}"
        self._words.write(title, (body.x, body.y + small), small, self.theme.text, width=body.w)
        self._words.write(_sum(values, found.logit), (body.x, body.y + body.h - self.metrics.px(4)), small, self.theme.muted,
                          width=body.w)  # fmt: skip
        rows = max(0, (body.h - 2 * line - self.metrics.px(6)) // line)
        plot = Rect(body.x, body.y + line + self.metrics.px(3), body.w, rows * line)
        order = np.argsort(-values, kind="stable")
        first, last = order[:rows], order[::-1][:rows]
        largest = max(float(np.abs(values).max()), float(np.finfo(np.float32).tiny))
        for side, units in ((1, first[values[first] > 0]), (-1, last[values[last] < 0])):
            self._draw(side, _Side(units.tolist(), values[units] / largest), plot, line)
        middle = Rect(plot.x + plot.w // 2, plot.y, 1, plot.h)
        self._bars.rectangles.append((middle, self.theme.muted))

    def _draw(self, sign: int, side: _Side, plot: Rect, line: int) -> None:
        small, gap = self.metrics.px(11), self.metrics.px(5)
        number = text_width("0" * len(str(self.node.output[0])), small) + gap
        room, middle = max(1, plot.w // 2 - number - gap), plot.x + plot.w // 2
        color = self.theme.accent if sign > 0 else self.theme.quiet
        for row, (unit, share) in enumerate(zip(side.units, side.values, strict=True)):
            length, y = max(1, round(abs(float(share)) * room)), plot.y + row * line
            bar = Rect(middle if sign > 0 else middle - length, y + 2, length, max(1, line - 4))
            self._bars.rectangles.append((bar, color))
            x = bar.x + length + gap if sign > 0 else bar.x - gap
            chosen = unit == self._focus.unit_shown.index
            ink = self.theme.text if chosen else self.theme.muted
            align = "left" if sign > 0 else "right"
            self._words.write(str(unit), (x, y + line // 2 + baseline_offset(small)), small, ink, align=align)  # type: ignore[arg-type]
            self._places.append((Rect(bar.x if sign > 0 else bar.x - number, y, length + number, line), unit))

    def target_at(self, x: float, y: float) -> Target | None:
        return next((Unit(self.node.name, unit) for place, unit in self._places if place.contains(x, y)), None)


def feeds_classes(node: Node, context: Context) -> bool:
    """Return whether the next weights behind its units are those to the classes."""
    count = node.output[0]
    names = {node.name}
    for later in context.architecture().nodes:
        if not names.isdisjoint(later.inputs):
            if later.parameters and later.output == (len(context.classes),):
                return context.class_weights(count) is not None
            if later.type.lower() in SAME and later.output[0] == count:
                names.add(later.name)
    return False


def _sum(values: Floats, logit: float | None) -> str:
    """Positive and negative parts and, where the score is known, what is left for the bias."""
    positive, negative = float(values[values > 0].sum()), float(values[values < 0].sum())
    told = f"positive {positive:+.1f}   negative {negative:+.1f}"
    return told if logit is None else f"{told}   bias {logit - positive - negative:+.1f}   = logit {logit:.1f}"

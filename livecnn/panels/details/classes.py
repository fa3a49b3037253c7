"""What a layer says of the classes: the shares of a softmax, and what each unit of the last hidden layer adds to a score."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from livecnn.drawing.artists import Rectangles, baseline_offset, text_width
from livecnn.drawing.theme import Metrics
from livecnn.engine.reducers import Maps, MapsReducer
from livecnn.geometry import Rect
from livecnn.networks.inspection.architecture import Node
from livecnn.panels.base.drawer import NOTHING, Context
from livecnn.panels.base.targets import ClassTarget, Target
from livecnn.panels.details.base import Detail, HeadingPart, LabelPool, quoted
from livecnn.selection import Ask, Selection, Unit
from livecnn.types import ExplanationUpdate, Floats, Scene

CALM = 0.2  # seconds between two pictures: numbers that change at every tick cannot be read
# What stands between the last hidden layer and its weights to the classes without changing the sum.
SAME = frozenset(("relu", "dropout", "identity", "flatten", "view", "reshape", "squeeze"))


class SoftmaxDetail(Detail):
    """threshold: share below which a class is only counted."""

    def __init__(self, node: Node, context: Context, threshold: float) -> None:
        super().__init__(node, context)
        self.threshold = threshold
        self.reducer = MapsReducer(node.name, "layer")
        self._bars, self._words = Rectangles(), LabelPool()
        self.live = [self._bars, self._words]
        self._classes: list[int] = []
        self._line = 1

    def words(self) -> Sequence[HeadingPart]:
        return (HeadingPart(f"above {100 * self.threshold:g} %"),)

    def show(self, scene: Scene, maps: Maps | None) -> None:
        self._words.clear()
        self._bars.rectangles, self._classes = [], []
        if scene.tick.patch.prepared.empty:
            self._words.say(NOTHING, self.body, self.metrics.title, self.theme.muted)
        elif maps is not None and np.isfinite(maps.mean).all():
            self._show(maps.mean)
        elif maps is not None:
            self._words.say("not a number", self.body, self.metrics.title, self.theme.muted)

    def _show(self, shares: Floats) -> None:
        body, metrics, theme = self.body, self.metrics, self.theme
        self._line = line = min(metrics.px(34), max(metrics.px(19), body.h // 12))
        order = np.argsort(-shares, kind="stable")
        above = int(np.count_nonzero(shares >= self.threshold))
        rows = min(above, max(0, (body.h - line) // line))
        self._classes = order[:rows].tolist()
        size = min(metrics.body, round(line * 0.72))
        values = text_width("100.0 %", size)
        names = min(round(body.w * 0.4), max((text_width(self._name(i), size) for i in self._classes), default=0))
        left = body.x + names + metrics.px(8)
        room = max(1, body.w - names - values - 2 * metrics.px(8))
        for row, index in enumerate(self._classes):
            y, share = body.y + row * line, float(shares[index])
            color = theme.accent if row == 0 else theme.quiet
            bar = Rect(left, y + line // 6, max(1, round(min(1.0, share) * room)), max(1, line - 2 * (line // 6)))
            self._bars.rectangles.append((bar, color))
            baseline = y + line // 2 + baseline_offset(size)
            self._words.write(self._name(index), (body.x, baseline), size, theme.text, width=names)
            self._words.write(f"{100 * share:.1f} %", (body.x + body.w, baseline), size, theme.muted, align="right")
        rest = (body.x, body.y + rows * line + line // 2 + baseline_offset(size))
        self._words.write(self._rest(len(shares) - above, above - rows), rest, metrics.small, theme.muted, width=body.w)

    def _rest(self, below: int, hidden: int) -> str:
        more = [f"{hidden} more above {100 * self.threshold:g} %"] if hidden else []
        if below:
            more.append(f"{below:,} {'class' if below == 1 else 'classes'} below {100 * self.threshold:g} %")
        return " · ".join(more)

    def _name(self, index: int) -> str:
        named = len(self.context.classes) == self.node.output[0]
        return self.context.classes[index] if named else str(index)

    def target_at(self, x: float, y: float) -> Target | None:
        row = int(y - self.body.y) // self._line
        inside = self.body.contains(x, y) and row < len(self._classes)
        return ClassTarget(self._classes[row]) if inside else None


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

"""A softmax: the classes above a threshold, sorted."""

from collections.abc import Sequence

import numpy as np

from livecnn.drawing.artists import Rectangles, baseline_offset, text_width
from livecnn.engine.reducers import Maps, MapsReducer
from livecnn.geometry import Rect
from livecnn.networks.inspection.architecture import Node
from livecnn.panels.base.drawer import NOTHING, Context
from livecnn.panels.base.targets import ClassTarget, Target
from livecnn.panels.details.base import Detail, HeadingPart, LabelPool
from livecnn.types import Floats, Scene


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
            self._say(NOTHING)
        elif maps is not None and np.isfinite(maps.mean).all():
            self._show(maps.mean)
        elif maps is not None:
            self._say("not a number")

    def _say(self, text: str) -> None:
        x, y, w, h = self.body
        size = self.metrics.title
        self._words.write(text, (x + w // 2, y + h // 2 + baseline_offset(size)), size, self.theme.muted, width=w, align="center")

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

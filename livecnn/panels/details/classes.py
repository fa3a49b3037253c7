"""What a layer says of the classes: the scores, the shares of a softmax, and what each last hidden unit adds to a score."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from livecnn.drawing.artists import Pixels, Rectangles, baseline_offset, frame, resize_exactly, text_width
from livecnn.drawing.theme import Metrics
from livecnn.drawing.ticks import format_score
from livecnn.engine.reducers import Maps, MapsReducer
from livecnn.geometry import Rect, best_grid
from livecnn.networks.inspection.architecture import Node
from livecnn.panels.base.drawer import NOTHING, Context
from livecnn.panels.base.session import ScoredShot
from livecnn.panels.base.targets import ClassTarget, Target
from livecnn.panels.details.base import Detail, HeadingPart, quoted
from livecnn.selection import Ask, Selection, Unit
from livecnn.types import ExplanationUpdate, Floats, Image, Scene

CALM = 0.2  # seconds between two pictures: numbers that change at every tick cannot be read
NONE_YET = "a shot of each class will stand here"
LEAST = 52  # pixels of an example's side at 1280x720
# What stands between the last hidden layer and its weights to the classes without changing the sum.
SAME = frozenset(("relu", "dropout", "identity", "flatten", "view", "reshape", "squeeze"))


class SoftmaxDetail(Detail):
    """threshold: share below which a class is only counted."""

    def __init__(self, node: Node, context: Context, threshold: float) -> None:
        super().__init__(node, context)
        self.threshold = threshold
        self.reducer = MapsReducer(node.name, "layer")
        self._bars = Rectangles()
        self.live = [self._bars, self.labels]
        self._classes: list[int] = []
        self._line = 1

    def words(self) -> Sequence[HeadingPart]:
        return (HeadingPart(f"above {100 * self.threshold:g} %"),)

    def show(self, scene: Scene, maps: Maps | None) -> None:
        self.labels.clear()
        self._bars.rectangles, self._classes = [], []
        if scene.tick.patch.prepared.empty:
            self.labels.say(NOTHING, self.body, self.metrics.title, self.theme.muted)
        elif maps is not None and np.isfinite(maps.mean).all():
            self._show(maps.mean)
        elif maps is not None:
            self.labels.say("not a number", self.body, self.metrics.title, self.theme.muted)

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
            self.labels.write(self._name(index), (body.x, baseline), size, theme.text, width=names)
            self.labels.write(f"{100 * share:.1f} %", (body.x + body.w, baseline), size, theme.muted, align="right")
        rest = (body.x, body.y + rows * line + line // 2 + baseline_offset(size))
        self.labels.write(self._rest(len(shares) - above, above - rows), rest, metrics.small, theme.muted, width=body.w)

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


class ContributionsDetail(Detail):
    """The strongest of both signs as bars: for the class to the right, against it to the left."""

    asks: tuple[Ask, ...] = ("contributions",)

    def __init__(self, node: Node, context: Context) -> None:
        super().__init__(node, context)
        self._bars = Rectangles()
        self.live = [self._bars, self.labels]
        self._focus = Selection(node.name)
        self._places: list[tuple[Rect, int]] = []
        self._shown = -math.inf  # when

    def height(self, room: Rect, metrics: Metrics) -> int:
        return min(metrics.px(190), round(room.h * 0.42)) if room.h >= metrics.px(260) and room.w >= metrics.px(240) else 0

    def arrange(self, body: Rect, metrics: Metrics) -> None:
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
        self.labels.clear()
        self._bars.rectangles, self._places = [], []
        self._show(values, found)

    def _show(self, values: Floats, found: ExplanationUpdate) -> None:
        body, small, line = self.body, self.metrics.small, self.metrics.px(19)
        title = f"weight × activation for {quoted(self.context, found.target)}"
        self.labels.write(title, (body.x, body.y + small), small, self.theme.text, width=body.w)
        self.labels.write(_sum(values, found.logit), (body.x, body.y + body.h - self.metrics.px(4)), small, self.theme.muted,
                          width=body.w)  # fmt: skip
        rows = max(0, (body.h - 2 * line - self.metrics.px(6)) // line)
        plot = Rect(body.x, body.y + line + self.metrics.px(3), body.w, rows * line)
        order = np.argsort(-values, kind="stable")
        first, last = order[:rows], order[::-1][:rows]
        largest = max(float(np.abs(values).max()), float(np.finfo(np.float32).tiny))
        for side, units in ((1, first[values[first] > 0]), (-1, last[values[last] < 0])):
            self._draw(side, dict(zip(units.tolist(), (values[units] / largest).tolist(), strict=True)), plot, line)
        middle = Rect(plot.x + plot.w // 2, plot.y, 1, plot.h)
        self._bars.rectangles.append((middle, self.theme.muted))

    def _draw(self, sign: int, shares: Mapping[int, float], plot: Rect, line: int) -> None:
        """Draw the units that speak for or against, the strongest first."""
        small, gap = self.metrics.px(11), self.metrics.px(5)
        number = text_width("0" * len(str(self.node.output[0])), small) + gap
        room, middle = max(1, plot.w // 2 - number - gap), plot.x + plot.w // 2
        color = self.theme.accent if sign > 0 else self.theme.quiet
        for row, (unit, share) in enumerate(shares.items()):
            length, y = max(1, round(abs(share) * room)), plot.y + row * line
            bar = Rect(middle if sign > 0 else middle - length, y + 2, length, max(1, line - 4))
            self._bars.rectangles.append((bar, color))
            x = bar.x + length + gap if sign > 0 else bar.x - gap
            chosen = unit == self._focus.unit_shown.index
            ink = self.theme.text if chosen else self.theme.muted
            align = "left" if sign > 0 else "right"
            self.labels.write(str(unit), (x, y + line // 2 + baseline_offset(small)), small, ink, align=align)  # type: ignore[arg-type]
            self._places.append((Rect(bar.x if sign > 0 else bar.x - number, y, length + number, line), unit))

    def target_at(self, x: float, y: float) -> Target | None:
        return next((Unit(self.node.name, unit) for place, unit in self._places if place.contains(x, y)), None)


class OutputDetail(Detail):
    """The predicted class large, its share, and a remembered shot of each class that was seen."""

    def __init__(self, node: Node, context: Context) -> None:
        super().__init__(node, context)
        self._picture, self._marks = Pixels(), Rectangles()
        self.live = [self._picture, self._marks, self.labels]
        self._drawn: tuple[object, ...] = ()
        self._places: dict[int, Rect] = {}  # of the examples, by class

    def words(self) -> Sequence[HeadingPart]:
        if not self.context.session.remembers:
            return ()
        seen, known = len(self.context.session.examples), len(self.context.classes)
        return HeadingPart(f"{seen:,} of {known:,} {'class' if known == 1 else 'classes'} seen"), HeadingPart(
            "surest shot of each"
        )

    def show(self, scene: Scene, maps: Maps | None) -> None:  # noqa: ARG002
        body, metrics = self.body, self.metrics
        beside = body.w > 2.2 * body.h
        head = Rect(body.x, body.y, round(body.w * 0.3), body.h) if beside else body._replace(h=max(1, round(body.h * 0.24)))
        left, top = (head.w + metrics.gap, 0) if beside else (0, head.h + metrics.gap)
        self.labels.clear()
        self._marks.rectangles = []
        top_class = self._predict(scene, head)
        self._remember(Rect(body.x + left, body.y + top, max(1, body.w - left), max(1, body.h - top)), top_class)

    def _predict(self, scene: Scene, room: Rect) -> int | None:
        scores, metrics = scene.tick.scores, self.metrics
        if scene.tick.patch.prepared.empty or not np.isfinite(scores).all():
            text = NOTHING if scene.tick.patch.prepared.empty else "not a number"
            self.labels.say(text, room, metrics.title, self.theme.muted)
            return None
        top = int(scores.argmax())
        name, share = self.context.classes[top], format_score(float(scores[top]), self.context.reading)
        if len(scores) == 1:
            name, share = share, ""
        percent = metrics.px(20) if room.h >= metrics.px(60) and room.w >= text_width(share, metrics.px(20)) else 0
        gap = metrics.px(8) if percent else 0
        tallest = max(metrics.small, min(metrics.px(96), round((room.h - percent - gap) * 0.95)))
        size = max(metrics.small, min(tallest, tallest * room.w // max(1, text_width(name, tallest, "bold"))))
        tail = size // 4  # of a “y”
        block = round(0.72 * size) + (tail + gap + round(0.72 * percent) if percent else 0)
        x, y = room.x + room.w // 2, room.y + (room.h - block) // 2 + round(0.72 * size)
        self.labels.write(name, (x, y), size, self.theme.accent, width=room.w, weight="bold", align="center")
        if percent:
            self.labels.write(share, (x, y + tail + gap + round(0.72 * percent)), percent, self.theme.text, align="center")
        return top

    def _remember(self, room: Rect, top: int | None) -> None:
        shown = self._choose(room)
        line = self.metrics.px(20)
        drawn = (room, *((index, id(example)) for index, example in shown))
        if drawn != self._drawn:
            self._drawn = drawn
            self._draw(room, shown, line)
        size = self.metrics.small
        if not shown and self.context.session.remembers:
            middle = room.x + room.w // 2, room.y + room.h // 2
            self.labels.write(NONE_YET, middle, size, self.theme.muted, width=room.w, align="center")
        for index, example in shown:
            x, y, w, h = self._places[index]
            name, share = self.context.classes[index], f"{100 * example.score:.0f} %"
            full = f"{name}   {share}"
            text = full if text_width(full, size) <= w else name
            color = self.theme.accent if index == top else self.theme.text
            self.labels.write(text, (x + w // 2, y + h + line - self.metrics.px(5)), size, color, width=w, align="center")
            if index == top:
                self._marks.rectangles += frame(self._places[index], self.theme.accent, max(1, self.metrics.px(2)))

    def _choose(self, room: Rect) -> list[tuple[int, ScoredShot]]:
        """By class; where not all fit, those that the network was surest of."""
        least, line = self.metrics.px(LEAST), self.metrics.px(20)
        most = (room.w // least) * (room.h // (least + line))
        surest = sorted(self.context.session.examples.items(), key=lambda item: -item[1].score)[:most]
        return sorted(surest, key=lambda item: item[0])

    def _draw(self, room: Rect, shown: Sequence[tuple[int, ScoredShot]], line: int) -> None:
        """All shots as one picture, which is kept."""
        self._picture.picture, self._places = None, {}
        if not shown:
            return
        gap = self.metrics.px(8)
        rows, columns = best_grid(len(shown), 0.8, room.w, room.h)
        side = max(1, min(room.w // columns - gap, room.h // rows - line - gap, self.metrics.px(150)))
        width, height = columns * (side + gap), rows * (side + line + gap)
        canvas: Image = np.full((min(height, room.h), min(width, room.w), 3), self.theme.card, np.uint8)
        left, top = room.x + (room.w - width) // 2, room.y + max(0, room.h - height) // 2
        for place, (index, example) in enumerate(shown):
            row, column = divmod(place, columns)
            x, y = column * (side + gap) + gap // 2, row * (side + line + gap) + gap // 2
            shape = Rect(x, y, side, side).fit(example.shot.shape[1] / example.shot.shape[0])
            target = canvas[shape.y : shape.y + shape.h, shape.x : shape.x + shape.w]
            target[:] = resize_exactly(example.shot, shape.w, shape.h)[: target.shape[0], : target.shape[1]]
            self._places[index] = Rect(left + x, top + y, side, side)
        self._picture.put(left, top, canvas)

    def target_at(self, x: float, y: float) -> Target | None:
        return next((ClassTarget(index) for index, place in self._places.items() if place.contains(x, y)), None)


def feeds_classes(node: Node, context: Context) -> bool:
    """Return whether the next weights behind its units are those to the classes."""
    count = node.output[0]
    names = {node.name}
    for later in context.architecture().nodes:
        if not names.isdisjoint(later.inputs):
            classes = len(context.classes)
            if later.parameters and (later.output == (classes,) or (classes == 2 and later.output == (1,))):
                return context.class_weights(count) is not None
            if later.type.lower() in SAME and later.output[0] == count:
                names.add(later.name)
    return False


def _sum(values: Floats, logit: float | None) -> str:
    """Positive and negative parts and, where the score is known, what is left for the bias."""
    positive, negative = float(values[values > 0].sum()), float(values[values < 0].sum())
    told = f"positive {positive:+.1f}   negative {negative:+.1f}"
    return told if logit is None else f"{told}   bias {logit - positive - negative:+.1f}   = logit {logit:.1f}"

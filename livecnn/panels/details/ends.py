"""The two ends of a network: what it sees, and the scores beside the surest shot of each class."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch

from livecnn.drawing.artists import Pixels, Rectangles, as_rgb, frame, resize_exactly, text_width
from livecnn.engine.reducers import Maps
from livecnn.geometry import Rect, best_grid
from livecnn.networks.inspection.architecture import Node, size_text
from livecnn.panels.base.drawer import NOTHING, Context
from livecnn.panels.base.session import ScoredShot
from livecnn.panels.base.targets import ClassTarget, Target
from livecnn.panels.details.base import Detail, HeadingPart, LabelPool
from livecnn.panels.details.text import write_lines
from livecnn.types import Image, Prepared, Scene

CALM = 1.0  # seconds between two looks at the values
NONE_YET = "a shot of each class will stand here"
LEAST = 52  # pixels of an example's side at 1280x720


class InputDetail(Detail):
    """The picture that the input pipeline makes of the shot, enlarged as the squares it consists of."""

    def __init__(self, node: Node, context: Context) -> None:
        super().__init__(node, context)
        self._picture, self._words = Pixels(), LabelPool()
        self.live = [self._picture, self._words]
        self._range, self._looked = "", -math.inf

    def show(self, scene: Scene, maps: Maps | None) -> None:  # noqa: ARG002
        prepared, time = scene.tick.patch.prepared, scene.tick.frame.time
        if not 0 <= time - self._looked < CALM:
            self._range, self._looked = range_text(prepared), time
        lines = (self._size(), self._range)
        text = len(lines) * self.metrics.px(20)
        lettered = self.body.h >= 3 * text
        room = self.body._replace(h=self.body.h - text - self.metrics.gap) if lettered else self.body
        self._picture.fit(room, as_rgb(prepared.seen), sharp=True)
        below = Rect(room.x, room.y + room.h + self.metrics.gap, room.w, text if lettered else 0)
        write_lines(self._words, lines, below, self.metrics, self)

    def _size(self) -> str:
        if len(self.node.output) != 3:
            return "what the network sees"
        channels, *size = self.node.output
        return f"what the network sees: {size_text(size)} pixels, {channels} channel{'s' if channels > 1 else ''}"


def range_text(prepared: Prepared) -> str:
    """In words, of the tensor that the network gets."""
    with torch.inference_mode():
        tensor = prepared.tensor if prepared.device_transform is None else prepared.device_transform(prepared.tensor)
        return f"values {float(tensor.min()):.2f} to {float(tensor.max()):.2f}"


class OutputDetail(Detail):
    """The predicted class large, its share, and a remembered shot of each class that was seen."""

    def __init__(self, node: Node, context: Context) -> None:
        super().__init__(node, context)
        self._picture, self._marks, self._words = Pixels(), Rectangles(), LabelPool()
        self.live = [self._picture, self._marks, self._words]
        self._drawn: tuple[object, ...] = ()
        self._places: dict[int, Rect] = {}  # of the examples, by class

    def words(self) -> Sequence[HeadingPart]:
        seen, known = len(self.context.session.examples), len(self.context.classes)
        return HeadingPart(f"{seen:,} of {known:,} {'class' if known == 1 else 'classes'} seen"), HeadingPart(
            "surest shot of each"
        )

    def show(self, scene: Scene, maps: Maps | None) -> None:  # noqa: ARG002
        body, metrics = self.body, self.metrics
        beside = body.w > 2.2 * body.h
        head = Rect(body.x, body.y, round(body.w * 0.3), body.h) if beside else body._replace(h=max(1, round(body.h * 0.24)))
        left, top = (head.w + metrics.gap, 0) if beside else (0, head.h + metrics.gap)
        self._words.clear()
        self._marks.rectangles = []
        top_class = self._predict(scene, head)
        self._remember(Rect(body.x + left, body.y + top, max(1, body.w - left), max(1, body.h - top)), top_class)

    def _predict(self, scene: Scene, room: Rect) -> int | None:
        scores, metrics = scene.tick.scores, self.metrics
        if scene.tick.patch.prepared.empty or not np.isfinite(scores).all():
            text = NOTHING if scene.tick.patch.prepared.empty else "not a number"
            self._words.say(text, room, metrics.title, self.theme.muted)
            return None
        top = int(scores.argmax())
        name, share = self.context.classes[top], f"{100 * float(scores[top]):.1f} %"
        percent = metrics.px(20) if room.h >= metrics.px(60) and room.w >= text_width(share, metrics.px(20)) else 0
        gap = metrics.px(8) if percent else 0
        tallest = max(metrics.small, min(metrics.px(96), round((room.h - percent - gap) * 0.95)))
        size = max(metrics.small, min(tallest, tallest * room.w // max(1, text_width(name, tallest, "bold"))))
        tail = size // 4  # of a “y”
        block = round(0.72 * size) + (tail + gap + round(0.72 * percent) if percent else 0)
        x, y = room.x + room.w // 2, room.y + (room.h - block) // 2 + round(0.72 * size)
        self._words.write(name, (x, y), size, self.theme.accent, width=room.w, weight="bold", align="center")
        if percent:
            self._words.write(share, (x, y + tail + gap + round(0.72 * percent)), percent, self.theme.text, align="center")
        return top

    def _remember(self, room: Rect, top: int | None) -> None:
        shown = self._choose(room)
        line = self.metrics.px(20)
        drawn = (room, *((index, id(example)) for index, example in shown))
        if drawn != self._drawn:
            self._drawn = drawn
            self._draw(room, shown, line)
        size = self.metrics.small
        if not shown:
            middle = room.x + room.w // 2, room.y + room.h // 2
            self._words.write(NONE_YET, middle, size, self.theme.muted, width=room.w, align="center")
        for index, example in shown:
            x, y, w, h = self._places[index]
            name, share = self.context.classes[index], f"{100 * example.score:.0f} %"
            full = f"{name}   {share}"
            text = full if text_width(full, size) <= w else name
            color = self.theme.accent if index == top else self.theme.text
            self._words.write(text, (x + w // 2, y + h + line - self.metrics.px(5)), size, color, width=w, align="center")
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
            target = canvas[y : y + side, x : x + side]
            target[:] = resize_exactly(example.shot, side, side)[: target.shape[0], : target.shape[1]]
            self._places[index] = Rect(left + x, top + y, side, side)
        self._picture.put(left, top, canvas)

    def target_at(self, x: float, y: float) -> Target | None:
        return next((ClassTarget(index) for index, place in self._places.items() if place.contains(x, y)), None)

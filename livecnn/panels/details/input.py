"""The network's input: what it sees, and the range of its values."""

import math

import torch

from livecnn.drawing.artists import Pixels, as_rgb, resize_exactly
from livecnn.engine.reducers import Maps
from livecnn.geometry import Rect
from livecnn.networks.inspection.architecture import Node, size_text
from livecnn.panels.base.drawer import Context
from livecnn.panels.details.base import Detail, LabelPool
from livecnn.panels.details.text import write_lines
from livecnn.types import Prepared, Scene

CALM = 1.0  # seconds between two looks at the values


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
        height, width = prepared.seen.shape[:2]
        place = room.fit(width / height)
        self._picture.put(place.x, place.y, resize_exactly(as_rgb(prepared.seen), place.w, place.h, sharp=True))
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

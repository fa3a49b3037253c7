"""Describe a layer in text, draw its kernel, stride and padding as squares, and show what the network sees."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from livecnn.drawing.artists import Pixels, as_rgb, text_width
from livecnn.drawing.theme import Metrics, Theme, mix_colors
from livecnn.drawing.tile import outline
from livecnn.engine.reducers import Maps
from livecnn.geometry import Rect
from livecnn.networks.inspection.architecture import Node, Pair, WindowSpec, size_text, window_facts
from livecnn.panels.base.drawer import Context
from livecnn.panels.details.base import Detail
from livecnn.types import Image, Prepared, Scene

LEAST = 3  # pixels of a square's side
HATCH = 4  # pixels between two strokes
CALM = 1.0  # seconds between two looks at the values of the input


def window_lines(node: Node) -> tuple[str, ...]:
    """Of a convolution or pooling; () of others."""
    told = window_facts(node.window)
    return (" · ".join(told),) if told else ()


def size_line(node: Node) -> str:
    """Of the output."""
    if len(node.output) == 3:
        return f"{node.output[0]:,} maps, {size_text(node.output[1:])}"
    return f"{' × '.join(f'{side:,}' for side in node.output) or 'no'} values"


def parameter_line(node: Node) -> str:
    """Return how many parameters a layer has."""
    return f"{node.parameters:,} parameters" if node.parameters else "no parameters"


def field_lines(node: Node) -> tuple[str, ...]:
    """Of the receptive field; () where it cannot be told."""
    return () if node.field is None else (f"each value sees {size_text(node.field.size)} pixels",)


class TextDetail(Detail):
    """Lines of words, the whole of a layer that has nothing to look at."""

    def show(self, scene: Scene, maps: Maps | None) -> None:  # noqa: ARG002
        node = self.node
        fed = ", ".join(name or "the input" for name in node.inputs)
        lines = (
            f"type {node.type}" if node.type else "not a layer of this network",
            *([f"fed by {fed}"] if fed else []),
            size_line(node),
            parameter_line(node),
            *window_lines(node),
            *field_lines(node),
        )
        write_lines(self, lines, self.body)


def write_lines(detail: Detail, lines: tuple[str, ...], room: Rect) -> None:
    """One below another from the top, as many as there is room for; the first in the colour of text."""
    words, line, size = detail.labels, detail.metrics.px(20), detail.metrics.small
    words.clear()
    for i, text in enumerate(lines[: room.h // line]):
        color = detail.theme.text if i == 0 else detail.theme.muted
        words.write(text, (room.x, room.y + i * line + size), size, color, width=room.w)


class InputDetail(Detail):
    """The picture that the input pipeline makes of the shot, enlarged as the squares it consists of."""

    def __init__(self, node: Node, context: Context) -> None:
        super().__init__(node, context)
        self._picture = Pixels()
        self.live = [self._picture, self.labels]
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
        write_lines(self, lines, below)

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


class FactsDetail(Detail):
    """A strip below a grid: the parameters in a line."""

    def height(self, room: Rect, metrics: Metrics) -> int:
        return metrics.px(18) if room.h >= metrics.px(110) else 0

    def show(self, scene: Scene, maps: Maps | None) -> None:  # noqa: ARG002
        told = [*window_lines(self.node), parameter_line(self.node), *field_lines(self.node)]
        while len(told) > 1 and text_width(" · ".join(told), self.metrics.small) > self.body.w:
            told.pop()
        self.labels.clear()
        place = self.body.x, self.body.y + self.body.h - self.metrics.px(3)
        self.labels.write(" · ".join(told), place, self.metrics.small, self.theme.muted, width=self.body.w)


class WindowStrip(FactsDetail):
    """The squares at the left, words beside them; in a low panel the words only, in one line."""

    def __init__(self, node: Node, context: Context) -> None:
        super().__init__(node, context)
        self._picture = Pixels()
        self.live.append(self._picture)

    def height(self, room: Rect, metrics: Metrics) -> int:
        high = room.h >= metrics.px(260) and room.w >= metrics.px(240)
        return metrics.px(84) if high else super().height(room, metrics)

    def arrange(self, body: Rect, metrics: Metrics) -> None:
        super().arrange(body, metrics)
        window = self.node.window
        self._picture.picture = None
        if window is not None and body.h >= metrics.px(60):
            picture = draw_window(window, self.node.output[-2:], (body.h, round(body.w * 0.4)), metrics.px(16), self.theme)
            if picture is not None:
                self._picture.put(body.x, body.y + (body.h - picture.shape[0]) // 2, picture)

    def show(self, scene: Scene, maps: Maps | None) -> None:
        picture = self._picture.picture
        if picture is None:
            super().show(scene, maps)
            return
        left = picture.shape[1] + self.metrics.gap
        room = Rect(self.body.x + left, self.body.y, self.body.w - left, self.body.h)
        lines = (*window_lines(self.node), size_line(self.node), parameter_line(self.node), *field_lines(self.node))
        write_lines(self, lines, room)


def draw_window(window: WindowSpec, output: tuple[int, ...], room: Pair, largest: int, theme: Theme) -> Image | None:
    """uint8 (h, w, 3), at most room (height, width); None if the squares would be too small to be seen.

    The first rows and columns of the input and of the padding before them (hatched), what the kernel covers first (filled) and,
    as an outline, what it covers next.
    """
    reach = [d * (k - 1) + 1 for k, d in zip(window.kernel, window.dilation, strict=True)]
    beyond = [s if o > 1 else 0 for s, o in zip(window.stride, output, strict=True)]
    rows, columns = (r + b for r, b in zip(reach, beyond, strict=True))
    side = min(largest, room[0] // rows, room[1] // columns)
    if side < LEAST:
        return None
    row, column = np.arange(rows), np.arange(columns)
    tap = [(i < r) & (i % d == 0) for i, r, d in zip((row, column), reach, window.dilation, strict=True)]
    taps = tap[0][:, None] & tap[1]
    padded = (row < window.padding[0])[:, None] | (column < window.padding[1])
    colors = np.where(taps[..., None], theme.accent, mix_colors(theme.card, theme.muted, 0.35)).astype(np.uint8)
    dim = np.where(taps[..., None], mix_colors(theme.card, theme.accent, 0.3), theme.card).astype(np.uint8)

    def enlarged(cells: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return cells.repeat(side, 0).repeat(side, 1)

    picture = enlarged(colors)
    y, x = np.indices(picture.shape[:2])
    picture = np.where((enlarged(padded) & ((x + y) % HATCH != 0))[..., None], enlarged(dim), picture)
    picture[side - 1 :: side] = picture[:, side - 1 :: side] = theme.card  # lines between the squares
    if beyond[1] or beyond[0]:
        down, along = (0, beyond[1] * side) if beyond[1] else (beyond[0] * side, 0)
        outline(picture, (down, along, down + reach[0] * side - 1, along + reach[1] * side - 1), theme.text, 2)
    return picture

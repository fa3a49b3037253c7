"""Kernel, stride and padding of a convolution or pooling, drawn as squares."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from livecnn.drawing.artists import Pixels
from livecnn.drawing.theme import Metrics, Theme, mix_colors
from livecnn.drawing.tile import outline
from livecnn.engine.maps_reducer import Maps
from livecnn.geometry import Rect
from livecnn.networks.inspection.architecture import Node
from livecnn.networks.inspection.windows import Pair, WindowSpec
from livecnn.panels.base.drawer import Context
from livecnn.panels.details.text import FactsDetail, field_lines, parameter_line, size_line, window_lines, write_lines
from livecnn.types import Image, Scene

LEAST = 3  # pixels of a square's side
HATCH = 4  # pixels between two strokes


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
        write_lines(self._words, lines, room, self.metrics, self)


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

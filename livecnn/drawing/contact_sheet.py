"""Dreams side by side, each with its unit and what the unit gives for it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.backends.backend_agg import RendererAgg

from livecnn._cv2 import cv2
from livecnn.drawing.artists import Align, Label, Rectangles, Weight, renderer_buffer, resize_exactly
from livecnn.drawing.theme import THEMES, Color
from livecnn.geometry import Rect
from livecnn.types import Floats, Image

WIDTH = 1280  # pixels at most, unless there are very many
EDGE, HEADER, GAP, CAPTION = 20, 74, 14, 26
LARGEST, SMALLEST = 196, 56  # of a tile
LEAST = 520  # for the title
SHARP = 64  # pixels of a side up to which each is shown as a square

THEME = THEMES["dark"]


def draw_dreams(
    title: str, subtitle: str, names: Sequence[str], images: Image, values: Floats, smallest: int = SMALLEST
) -> Image:
    """uint8 (H, W, 3). images: uint8 (U, h, w) or (U, h, w, 3).  names, values: one each; NaN is not shown.

    smallest: width of a tile in pixels, at least.
    """
    height, width = images.shape[1:3]
    columns = min(len(images), max(4, math.ceil(math.sqrt(1.7 * len(images)))))
    wide = min(LARGEST, max(smallest, (WIDTH - 2 * EDGE) // columns - GAP))
    if width <= SHARP and wide > width:
        wide -= wide % width  # every pixel a square of the same size
    high = max(1, round(wide * height / width))
    rows = -(-len(images) // columns)
    size = max(LEAST, 2 * EDGE + columns * (wide + GAP) - GAP), HEADER + rows * (high + CAPTION + GAP) - GAP + EDGE
    sheet = RendererAgg(*size, 72)
    _fill(sheet, Rect(0, 0, *size), THEME.background)
    _write(sheet, EDGE, 34, title, 20, THEME.text, size[0] - 2 * EDGE, weight="bold")
    _write(sheet, EDGE, 58, subtitle, 13, THEME.muted, size[0] - 2 * EDGE)
    for i, (name, image, value) in enumerate(zip(names, images, values, strict=True)):
        x, y = EDGE + i % columns * (wide + GAP), HEADER + i // columns * (high + CAPTION + GAP)
        _fill(sheet, Rect(x - 1, y - 1, wide + 2, high + 2), THEME.edge)
        color = image if image.ndim == 3 else cv2.cvtColor(image, cv2.COLOR_GRAY2RGB)
        renderer_buffer(sheet)[y : y + high, x : x + wide, :3] = resize_exactly(
            np.asarray(color), wide, high, sharp=max(image.shape) <= SHARP
        )
        told = f"{value:.3g}" if wide >= 100 and not math.isnan(value) else ""
        _write(sheet, x, y + high + 18, name, 13, THEME.text, wide - 9 * len(told), weight="bold")
        _write(sheet, x + wide, y + high + 18, told, 13, THEME.muted, wide, align="right")
    return renderer_buffer(sheet)[..., :3].copy()


def _fill(sheet: RendererAgg, at: Rect, color: Color) -> None:
    fills = Rectangles()
    fills.rectangles = [(at, color)]
    fills.draw(sheet)


def _write(
    sheet: RendererAgg,
    x: int,
    y: int,
    text: str,
    size: int,
    color: Color,
    width: int,
    *,
    weight: Weight = "normal",
    align: Align = "left",
) -> None:
    label = Label(color, weight, align)
    label.text = text
    label.place(x, y, size, width)
    label.draw(sheet)

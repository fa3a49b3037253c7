"""A unit's map, and what the network sees with the part of it that one position of the map sees."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from livecnn.drawing.artists import resize_exactly
from livecnn.drawing.theme import Color
from livecnn.drawing.tile import Margins, outline
from livecnn.engine.unit_reducers import UnitActivation
from livecnn.explain.rendering import squares
from livecnn.networks.inspection.receptive_field import ReceptiveField
from livecnn.types import Image

Position = tuple[int, int]  # row and column on a map


def seen_picture(seen: Image, size: tuple[int, int], edges: Margins | None, color: Color, pen: int) -> Image:
    """uint8 (H, W, 3) enlarged to (width, height) as the squares that its pixels are, and an outline.

    edges: of it, as shares of the picture.
    """
    image = resize_exactly(seen, *size, sharp=True)
    if edges is not None:
        outline(image, _times(edges, size), color, pen)
    return image


def map_picture(
    view: UnitActivation, size: tuple[int, int], colors: npt.NDArray[np.uint32], position: Position | None, color: Color, pen: int
) -> Image:
    """A map in squares, uint8 (height, width, 4); one position is outlined, or without one the whole."""
    low, high = (view.min, view.max) if np.isfinite(view.max) else (0.0, 1.0)
    image = squares(view.map, low, high, size, colors)
    rows, columns = view.map.shape
    (row, column), (down, across) = (position, (1, 1)) if position else ((0, 0), (rows, columns))
    edges = row / rows, column / columns, (row + down) / rows, (column + across) / columns
    outline(image, _times(edges, size), color, pen)
    return image


def receptive_edges(field: ReceptiveField, position: Position, picture: tuple[int, int]) -> Margins:
    """What a position of a map sees of a picture (height, width), as shares of it, kept inside."""
    if field.stride is None or field.centre is None:
        return 0.0, 0.0, 1.0, 1.0
    middles = [centre + 0.5 + place * step for centre, place, step in zip(field.centre, position, field.stride, strict=True)]
    (y, x), (h, w), (height, width) = middles, field.size, picture
    ends = (y - h / 2) / height, (x - w / 2) / width, (y + h / 2) / height, (x + w / 2) / width
    top, left, bottom, right = (min(1.0, max(0.0, end)) for end in ends)
    return top, left, bottom, right


def _times(edges: Margins, size: tuple[int, int]) -> Margins:
    (top, left, bottom, right), (width, height) = edges, size
    return top * height, left * width, bottom * height, right * width

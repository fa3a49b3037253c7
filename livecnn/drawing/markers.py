"""Marks that tell classes apart without colour, too."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from livecnn._cv2 import cv2
from livecnn.drawing.theme import CLASSES, Color
from livecnn.types import Floats, Image

FINE = 8  # each pixel of a mark is drawn as so many, squared

_TURN = np.linspace(0, 2 * np.pi, 24, endpoint=False)
_ARM = 0.34  # of a cross
_CROSS = [(-_ARM, -1), (_ARM, -1), (_ARM, -_ARM), (1, -_ARM), (1, _ARM), (_ARM, _ARM),
          (_ARM, 1), (-_ARM, 1), (-_ARM, _ARM), (-1, _ARM), (-1, -_ARM), (-_ARM, -_ARM)]  # fmt: skip

# Corners, x to the right and y down, -1 .. 1. As many as have no common divisor with the colours, so that all pairs occur.
SHAPES: tuple[tuple[tuple[float, float], ...], ...] = (
    tuple((round(float(np.cos(a)), 3), round(float(np.sin(a)), 3)) for a in _TURN),
    ((-0.85, -0.85), (0.85, -0.85), (0.85, 0.85), (-0.85, 0.85)),
    ((0.0, -1.0), (1.0, 0.8), (-1.0, 0.8)),
    ((0.0, -1.0), (0.95, 0.0), (0.0, 1.0), (-0.95, 0.0)),
    tuple((float(x), float(y)) for x, y in _CROSS),
    ((0.0, 1.0), (-1.0, -0.8), (1.0, -0.8)),
    tuple((round(float(x - y) * 0.72, 3), round(float(x + y) * 0.72, 3)) for x, y in _CROSS),
)


def color_of(group: int) -> Color:
    """Return the color of a class; after the last one they begin again."""
    return CLASSES[group % len(CLASSES)]


@lru_cache(maxsize=256)
def mask(group: int, side: int) -> Floats:
    """Return the coverage, 0..1, of a mark's pixels, float32 (side, side)."""
    fine = np.zeros((side * FINE, side * FINE), np.uint8)
    corners = (np.array(SHAPES[group % len(SHAPES)]) + 1) / 2 * (side * FINE - 1)
    cv2.fillPoly(fine, [corners.round().astype(np.int32)], (255,))
    small = cv2.resize(fine, (side, side), interpolation=cv2.INTER_AREA)
    return np.asarray(small / 255, np.float32)


def draw_marker(picture: Image, group: int, x: float, y: float, side: int) -> None:
    """Draw a mark in its colour on a picture, uint8 (H, W, 3), its middle at (x, y); what lies outside is cut off."""
    left, top, coverage = round(x - side / 2), round(y - side / 2), mask(group, side)
    coverage = coverage[max(0, -top) :, max(0, -left) :, None]
    part = picture[max(0, top) : max(0, top + side), max(0, left) : max(0, left + side)]
    coverage = coverage[: part.shape[0], : part.shape[1]]
    part[:] = part + coverage * (np.array(color_of(group), np.float32) - part)

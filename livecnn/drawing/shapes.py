"""Anti-aliased shapes on a picture that is drawn once and kept: plates, lines, arrow heads, and marks that tell classes apart."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from livecnn._cv2 import cv2
from livecnn.drawing.theme import CLASSES, Color
from livecnn.types import Floats, Image

SHIFT = 4  # OpenCV takes places in sixteenths of a pixel
Point = tuple[float, float]

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


@lru_cache(maxsize=256)
def rounded_rectangle(width: int, height: int, radius: float, line: float, fill: Color, edge: Color, ground: Color) -> Image:
    """Return a rectangle with round corners and an edge `line` pixels wide, on the ground, uint8 (height, width, 3)."""
    away = _distance(width, height, radius)
    picture = np.empty((height, width, 3))
    picture[:] = ground
    for color, rim in ((edge, 0.0), (fill, line)):
        cover = np.clip(0.5 - away - rim, 0, 1)[:, :, None]
        picture += (np.array(color) - picture) * cover
    result = np.round(picture).astype(np.uint8)
    result.setflags(write=False)  # it is shared
    return result


def _distance(width: int, height: int, radius: float) -> npt.NDArray[np.float64]:
    """Of every pixel's centre to the edge, below 0 inside; https://iquilezles.org/articles/distfunctions2d (rounded box)."""
    radius = min(radius, width / 2, height / 2)
    x = np.abs(np.arange(width) + 0.5 - width / 2) - (width / 2 - radius)
    y = np.abs(np.arange(height) + 0.5 - height / 2)[:, None] - (height / 2 - radius)
    outside = np.hypot(np.maximum(x, 0), np.maximum(y, 0))
    away: npt.NDArray[np.float64] = outside + np.minimum(np.maximum(x, y), 0) - radius
    return away


def paste(picture: Image, x: int, y: int, image: Image) -> None:
    """Put an image on a picture, its top left at (x, y); what is outside is cut off."""
    image = image[max(0, -y) :, max(0, -x) :]
    part = picture[max(0, y) :, max(0, x) :][: image.shape[0], : image.shape[1]]
    part[:] = image[: part.shape[0], : part.shape[1]]


def draw_polyline(picture: Image, points: Sequence[Point], color: Color, thickness: int) -> None:
    """Draw a line through these points."""
    cv2.polylines(picture, [_fixed(points)], False, color, thickness, cv2.LINE_AA, SHIFT)


def draw_arrow_head(picture: Image, x: float, y: float, size: float, color: Color) -> None:
    """Draw an arrow head that points to the right, its tip at (x, y)."""
    corners = ((x, y), (x - size, y - 0.6 * size), (x - size, y + 0.6 * size))
    cv2.fillConvexPoly(picture, _fixed(corners), color, cv2.LINE_AA, SHIFT)


def s_curve(start: Point, end: Point) -> list[Point]:
    """Return the points of a curve from start to end that leaves and arrives horizontally."""
    (x, y), (to_x, to_y) = start, end
    if y == to_y:
        return [start, end]
    shares = (i / 12 for i in range(13))
    return [(x + share * (to_x - x), y + share * share * (3 - 2 * share) * (to_y - y)) for share in shares]


def fade(picture: Image, width: int, ground: Color) -> None:
    """Fade the left edge of a picture into the ground; of a mirrored view of it the right one."""
    part = picture[:, :width]
    shares = np.linspace(0, 1, part.shape[1])[None, :, None]
    part[:] = np.round(np.array(ground) + (part - np.array(ground, float)) * shares)


def _fixed(points: Sequence[Point]) -> npt.NDArray[np.int32]:
    return np.round(np.array(points, float) * (1 << SHIFT)).astype(np.int32)


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

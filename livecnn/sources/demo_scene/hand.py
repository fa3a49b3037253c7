"""A hand with a felt pen, painted from round shapes under one lamp."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from livecnn._cv2 import cv2
from livecnn.sources.demo_scene.layer import ImageLayer, cast_shadow
from livecnn.types import Floats

Chain = Sequence[tuple[float, float, float]]  # (x, y, radius): discs and everything between each and the next
Ramp = Sequence[tuple[int, int, int]]  # RGB from the shade to the light

_SIZE = (640, 600)  # width, height of the picture of the hand
TIP = (40, 190)  # the pen's tip in it
_FINE = 2  # painted so many times larger, then shrunk: smooth edges
_LAMP = np.array([-0.45, -0.62, 0.64], np.float32)  # towards the lamp; x right, y down, z to the viewer

_SKIN: Ramp = ((122, 66, 52), (196, 128, 100), (231, 174, 142), (248, 208, 180), (255, 232, 212))
_NAIL: Ramp = ((196, 128, 110), (236, 180, 162), (250, 214, 200), (255, 236, 228), (255, 250, 246))
_CLOTH: Ramp = ((18, 38, 52), (30, 70, 92), (44, 98, 122), (64, 126, 148), (98, 158, 176))
_CUFF: Ramp = ((14, 30, 42), (24, 56, 76), (36, 82, 104), (54, 106, 128), (80, 136, 154))
_PEN: Ramp = ((16, 17, 22), (34, 36, 46), (56, 60, 74), (98, 104, 122), (190, 196, 210))
_RING: Ramp = ((120, 60, 20), (190, 104, 30), (236, 148, 52), (252, 186, 96), (255, 226, 170))
_NIB: Ramp = ((20, 20, 26), (40, 40, 50), (70, 72, 84), (100, 104, 116), (150, 154, 166))

# Painted in this order, in pixels from the pen's tip.
_PARTS: Sequence[tuple[Chain, Ramp]] = (
    (((206, 158, 21), (150, 140, 20), (112, 116, 18)), _SKIN),  # little finger
    (((206, 128, 24), (140, 112, 22), (92, 82, 20)), _SKIN),  # ring finger
    (((190, 60, 38), (214, 112, 56), (232, 150, 58), (286, 226, 52), (350, 300, 50)), _SKIN),  # back of the hand and wrist
    (((200, 84, 26), (138, 28, 24), (78, 0, 18)), _SKIN),  # middle finger
    (((0, 0, 3.5), (12, -7, 5)), _NIB),
    (((16, -9.5, 7), (34, -20, 11)), _RING),
    (((36, -21, 13), (204, -119, 14)), _PEN),
    (((191, -99, 4.5), (180, -118, 4.5)), _RING),
    (((262, 176, 40), (206, 88, 35), (184, 46, 30), (158, -8, 26), (112, -38, 22), (66, -30, 17.5)), _SKIN),  # index finger
    (((290, 226, 42), (236, 166, 42), (196, 120, 36), (146, 84, 28), (104, 44, 22), (68, 0, 17)), _SKIN),  # thumb
    (((79, -36, 7.5), (69, -34, 7)), _NAIL),
    (((76, 3, 8), (68, -5, 7.5)), _NAIL),
    (((340, 284, 62), (640, 620, 96)), _CLOTH),
    (((346, 216, 17), (262, 288, 17)), _CUFF),
)


def paint_hand() -> ImageLayer:
    """The hand, its sleeve and their shadow; the pen's tip is at TIP."""
    width, height = (_FINE * side for side in _SIZE)
    colour = np.zeros((height, width, 3), np.float32)
    cover = np.zeros((height, width), np.float32)
    for chain, ramp in _PARTS:
        _paint(colour, cover, np.array(chain, np.float32) * _FINE, np.array(ramp, np.float32))
    colour, cover = (np.asarray(cv2.resize(fine, _SIZE, interpolation=cv2.INTER_AREA), np.float32) for fine in (colour, cover))
    # Close and dark where the hand touches the paper, wide and soft where it is above it.
    shadow = 1 - (1 - 0.32 * cast_shadow(cover, 20, 30, 16)) * (1 - 0.22 * cast_shadow(cover, 5, 8, 4))
    return ImageLayer.blend(colour, (1 - cover) * (1 - shadow))


def _paint(colour: Floats, cover: Floats, chain: Floats, ramp: Floats) -> None:
    """Lay one shape over what is there, with a soft shade around it."""
    chain[:, :2] += np.array(TIP, np.float32) * _FINE
    margin = chain[:, 2:].max() + 24
    low = np.maximum(np.floor((chain[:, :2] - margin).min(axis=0)), 0).astype(int)
    high = np.ceil((chain[:, :2] + margin).max(axis=0)).astype(int)
    window = slice(low[1], high[1]), slice(low[0], high[0])
    chain[:, :2] -= low
    mask = _fill(chain, cover[window].shape)
    below, covered = colour[window], cover[window]
    below *= 1 - 0.45 * cv2.GaussianBlur(mask, (0, 0), 9)[..., None]
    below += mask[..., None] * (_shade(mask, ramp) - below)
    np.maximum(covered, mask, out=covered)


def _fill(chain: Floats, shape: tuple[int, ...]) -> Floats:
    """1 inside the chain, 0 outside, a smooth edge."""
    mask = np.zeros(shape, np.uint8)
    for start, end in pairwise(chain):
        for t in np.linspace(0, 1, 40):
            x, y, radius = np.rint(16 * (start + t * (end - start))).astype(int).tolist()
            cv2.circle(mask, (x, y), radius, 255, -1, cv2.LINE_AA, 4)
    return mask.astype(np.float32) / np.float32(255)


def _shade(mask: Floats, ramp: Floats) -> Floats:
    """Colours of the shape seen as a round body: the distance to its edge gives the height, its slope the light."""
    depth = cv2.distanceTransform((mask > 0.5).astype(np.uint8), cv2.DIST_L2, 5)
    radius = max(float(depth.max()), 1.0)
    inside = np.clip(depth / radius, 0, 1)
    height = cv2.GaussianBlur(radius * np.sqrt(inside * (2 - inside)), (0, 0), max(1.0, radius / 8))
    slope_x, slope_y = (cv2.Sobel(height, cv2.CV_32F, dx, 1 - dx, ksize=3, scale=1 / 8) for dx in (1, 0))
    lit = (_LAMP[2] - _LAMP[0] * slope_x - _LAMP[1] * slope_y) / np.sqrt(1 + slope_x**2 + slope_y**2)
    place = np.clip(0.12 + 0.78 * lit, 0, 1) * (len(ramp) - 1)
    stops = np.arange(len(ramp))
    return np.dstack([np.interp(place, stops, channel) for channel in ramp.T]).astype(np.float32)

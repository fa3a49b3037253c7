"""A sheet of paper on a wooden desk, and the light in the room."""

from __future__ import annotations

import numpy as np

from livecnn._cv2 import cv2
from livecnn.sources.demo_scene.layer import ImageLayer, cast_shadow
from livecnn.types import Floats, Image

SHEET = (560, 460)  # width, height of the layer that holds the sheet of paper and its shadow

_PAPER_SIZE = (508, 412)
_TILT = 1.3  # degrees
_PAPER = (244, 241, 233)
_WOOD = ((88, 58, 38), (146, 102, 68))  # RGB, dark and light grain
_GRID = (32, 24)  # width, height of the light before it is enlarged


def paint_desk(size: tuple[int, int], rng: np.random.Generator) -> Image:
    """uint8 (H, W, 3) RGB: planks of wood, their grain along x. size: (width, height)."""
    height = size[1]
    fine = cv2.resize(rng.normal(size=(height, 6)).astype(np.float32), size, interpolation=cv2.INTER_CUBIC)
    broad = cv2.resize(rng.normal(size=(16, 3)).astype(np.float32), size, interpolation=cv2.INTER_CUBIC)
    grain = np.clip(0.5 + 0.1 * fine + 0.2 * broad, 0, 1)[..., None]
    for seam in range(60, height, 150):
        grain[seam : seam + 2] *= 0.2
    dark, light = np.array(_WOOD, np.float32)
    return np.asarray(np.rint(dark + grain * (light - dark)), np.uint8)


def paint_sheet(rng: np.random.Generator) -> ImageLayer:
    """Blank paper with faint fibres, and its shadow."""
    width, height = SHEET
    speck, cloud = (_noise(rng, (height, width), blur) for blur in (0.8, 6))
    paper = np.array(_PAPER, np.float32) + (1.6 * speck + 1.2 * cloud)[..., None]
    corners = cv2.boxPoints(((width / 2, height / 2), _PAPER_SIZE, _TILT))
    cover = np.zeros((height, width), np.uint8)
    cv2.fillConvexPoly(cover, np.rint(corners * 16).astype(np.int32), 255, cv2.LINE_AA, 4)
    solid = cover.astype(np.float32) / 255
    return ImageLayer.blend(np.clip(paper, 0, 255) * solid[..., None], (1 - solid) * (1 - 0.5 * cast_shadow(solid, 4, 6, 6)))


def paint_noise(size: tuple[int, int], rng: np.random.Generator) -> Image:
    """uint8 (H, W, 3): what a small sensor adds, around 4."""
    return np.clip(np.rint(rng.normal(4, 1.5, (size[1], size[0], 3))), 0, 8).astype(np.uint8)


class Light:
    """Daylight that wanders: brightness, direction and warmth change within seconds; darker towards the corners."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._phases = rng.uniform(0, 2 * np.pi, 5)
        x, y = np.meshgrid(np.linspace(-1, 1, _GRID[0]), np.linspace(-1, 1, _GRID[1]))
        self._x, self._y = x, y
        self._vignette = 1 - 0.13 * (x**2 + y**2)

    def at(self, seconds: float, size: tuple[int, int]) -> Image:
        """uint8 (H, W, 3): the share of 255 by which the light dims each pixel. size: (width, height)."""
        slow, quick, across, along, warmth = np.sin(2 * np.pi * seconds / np.array([11.0, 4.3, 13.0, 17.0, 19.0]) + self._phases)
        level = (0.94 + 0.06 * slow + 0.02 * quick + 0.12 * across * self._x + 0.09 * along * self._y) * self._vignette
        tint = 1 + 0.03 * warmth * np.array([1.0, 0.2, -1.0])
        coarse = np.clip(255 * level[..., None] * tint, 0, 255).astype(np.uint8)
        return np.asarray(cv2.resize(coarse, size, interpolation=cv2.INTER_LINEAR), np.uint8)


def _noise(rng: np.random.Generator, shape: tuple[int, int], blur: float) -> Floats:
    """Smooth noise with mean 0 and standard deviation 1."""
    smooth = cv2.GaussianBlur(rng.normal(size=shape).astype(np.float32), (0, 0), blur)
    return np.asarray(smooth / smooth.std(), np.float32)

"""A sheet of paper on a wooden desk, and the light in the room."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from livecnn._cv2 import cv2
from livecnn.types import Floats, Image

SHEET = (520, 424)  # width, height of the sheet of paper
_PAPER = (243, 240, 232)
_WOOD = ((96, 64, 42), (150, 106, 72))  # RGB, dark and light grain
_GRID = (32, 24)  # width, height of the light field before it is enlarged


def paint_desk(size: tuple[int, int], rng: np.random.Generator) -> Image:
    """uint8 (H, W, 3) RGB: planks of wood, their grain along x. size: (width, height)."""
    width, height = size
    fine = cv2.resize(rng.normal(size=(height, 8)).astype(np.float32), size, interpolation=cv2.INTER_CUBIC)
    broad = cv2.resize(rng.normal(size=(14, 3)).astype(np.float32), size, interpolation=cv2.INTER_CUBIC)
    grain = np.clip(0.5 + 0.1 * fine + 0.22 * broad, 0, 1)[..., None]
    for seam in range(96, height, 168):
        grain[seam : seam + 2] *= 0.25
    dark, light = np.array(_WOOD, np.float32)
    return np.rint(dark + grain * (light - dark)).astype(np.uint8)


def paint_sheet(rng: np.random.Generator) -> Image:
    """uint8 (H, W, 3) RGB: blank paper with faint fibres."""
    width, height = SHEET
    speck = cv2.GaussianBlur(rng.normal(size=(height, width)).astype(np.float32), (0, 0), 0.8)
    cloud = cv2.GaussianBlur(rng.normal(size=(height, width)).astype(np.float32), (0, 0), 6)
    texture = 1.5 * speck / speck.std() + 1.2 * cloud / cloud.std()
    return np.rint(np.clip(np.array(_PAPER, np.float32) + texture[..., None], 0, 255)).astype(np.uint8)


@dataclass(frozen=True)
class Placed:
    """A sheet as it lies on the desk. colour: (h, w, 3), weighted by its coverage; kept: the share of the desk that stays."""

    colour: Image
    kept: Image
    left: int
    top: int

    def lay_on(self, scene: Image, dx: int = 0, dy: int = 0) -> None:
        """Blend sheet and shadow into a scene, moved by (dx, dy); parts outside are cut off."""
        lay(scene, self.colour, self.kept, self.left + dx, self.top + dy)


def lay(scene: Image, colour: Image, kept: Image, left: int, top: int) -> None:
    """scene = scene * kept / 255 + colour, where the layer, its corner at (left, top), meets the scene."""
    rows = slice(max(top, 0), min(top + kept.shape[0], scene.shape[0]))
    columns = slice(max(left, 0), min(left + kept.shape[1], scene.shape[1]))
    if rows.start >= rows.stop or columns.start >= columns.stop:
        return
    own = slice(rows.start - top, rows.stop - top), slice(columns.start - left, columns.stop - left)
    below = scene[rows, columns]
    cv2.multiply(below, kept[own], dst=below, scale=1 / 255)
    cv2.add(below, colour[own], dst=below)

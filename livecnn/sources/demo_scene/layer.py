"""Pictures with soft edges and shadows, laid over one another in whole numbers: fast enough for every frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from livecnn._cv2 import cv2
from livecnn.types import Floats, Image

AnyFloats = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True, eq=False)
class ImageLayer:
    """colour: uint8 (h, w, 3) RGB, weighted by its own coverage. kept: uint8 (h, w, 3), what stays of the scene below, of 255."""

    colour: Image
    kept: Image

    @classmethod
    def blend(cls, colour: AnyFloats, kept: AnyFloats) -> ImageLayer:
        """colour: (h, w, 3), weighted, 0-255. kept: (h, w), 0-1."""
        whole = np.rint(255 * kept).astype(np.uint8)
        return cls(np.rint(colour).astype(np.uint8), np.dstack([whole] * 3))

    def lay_on(self, scene: Image, left: int, top: int) -> None:
        """Blend into the scene in place, the layer's corner at (left, top); what is outside is cut off."""
        rows = slice(max(top, 0), min(top + self.kept.shape[0], scene.shape[0]))
        columns = slice(max(left, 0), min(left + self.kept.shape[1], scene.shape[1]))
        if rows.start >= rows.stop or columns.start >= columns.stop:
            return
        own = slice(rows.start - top, rows.stop - top), slice(columns.start - left, columns.stop - left)
        below = scene[rows, columns]
        cv2.multiply(below, self.kept[own], dst=below, scale=1 / 255)
        cv2.add(below, self.colour[own], dst=below)


def cast_shadow(cover: AnyFloats, dx: float, dy: float, blur: float) -> Floats:
    """The shadow of a shape on what lies (dx, dy) pixels further: its coverage (h, w), moved and softened by `blur` pixels."""
    height, width = cover.shape
    moved = cv2.warpAffine(cover, np.array([[1, 0, dx], [0, 1, dy]], np.float32), (width, height))
    return np.asarray(cv2.GaussianBlur(moved, (0, 0), blur), np.float32)

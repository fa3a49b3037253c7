"""From the frame to the patch: where the box is, and what the network gets of it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from livecnn.inputs import Pipeline
from livecnn.types import Box, Frame, Image, Patch

Finder = Callable[[Image, float], Box]

SMALLEST, LARGEST = 0.1, 1.0  # share of the frame's short side


def centre(image: Image, share: float) -> Box:
    """The centred square whose side is `share` of the frame's short side, at least one pixel.

    image: uint8 (H, W, 3). When the frame's and the square's parity differ the square lies half a pixel to the top left.
    """
    height, width = image.shape[:2]
    side = max(1, round(share * min(height, width)))
    return Box((width - side) // 2, (height - side) // 2, side, side)


FINDERS: dict[str, Finder] = {"centre": centre}


class Cropper:
    """Frame -> Patch. `share` (0.1 .. 1.0 of the frame's short side) may be changed between two frames."""

    def __init__(self, pipeline: Pipeline, share: float, finder: str = "centre") -> None:
        self.pipeline = pipeline
        self.share = share
        self._find = FINDERS[finder]

    def resize(self, step: float) -> float:
        """Grow (or shrink) the box by a share of the short side within its limits; returns the new share."""
        self.share = round(min(LARGEST, max(SMALLEST, self.share + step)), 4)
        return self.share

    def __call__(self, frame: Frame) -> Patch:
        box = self._find(frame.image, self.share)
        shot = np.ascontiguousarray(frame.image[box.top : box.top + box.height, box.left : box.left + box.width])
        return Patch(shot, box, self.pipeline(shot))

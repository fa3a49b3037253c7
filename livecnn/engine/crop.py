"""From the frame to the patch: where the box is, and what the network gets of it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from livecnn.engine.face_tracker import FaceTracker
from livecnn.networks.pipelines import Pipeline
from livecnn.types import Box, Frame, Image, Patch

SMALLEST, LARGEST = 0.1, 1.0  # share of the frame's short side
MARGIN = 0.1  # of a face's side, on each side of it
WIDEST = 2.0
FACE, NO_FACE = "the box follows the largest face", "no face: centre of the picture"

# What is made for each run, as it may remember; None: the box stays in the middle.
FINDERS: dict[str, Callable[[], FaceTracker | None]] = {"centre": lambda: None, "face": FaceTracker}


def center_box(image: Image, share: float) -> Box:
    """Return the centered square whose side is `share` of the short side of a frame, uint8 (H, W, 3), at least one pixel.

    When the frame's and the square's parity differ, the square is half a pixel to the top left.
    """
    height, width = image.shape[:2]
    side = max(1, round(share * min(height, width)))
    return Box((width - side) // 2, (height - side) // 2, side, side)


def check_finder(finder: str) -> None:
    """Raise SystemLibraryError if what the finder needs is missing."""
    FINDERS[finder]()


class Cropper:
    """Cut a patch out of each frame; its attributes may be changed between two frames.

    Attributes:
        share: side of the centered box, 0.1 to 1.0 of the frame's short side.
        margin: what the box around a face leaves free on each side, 0 to 2 of the face's side.
        sequential: frames follow one another, and the box follows a face; otherwise each is seen on its own.
    """

    def __init__(
        self, pipeline: Pipeline, share: float, finder: str = "centre", margin: float = MARGIN, *, sequential: bool = False
    ) -> None:
        self.pipeline = pipeline
        self.sequential = sequential
        self._finder = ""
        self.settle(share, finder, margin)

    def settle(self, share: float, finder: str, margin: float) -> None:
        """Take the settings of a layout."""
        self.share, self.margin = share, margin
        if finder != self._finder:
            self._follow, self._finder = FINDERS[finder](), finder

    def resize(self, step: float) -> str:
        """Grow or shrink the box, or the margin around a face, within its limits; return what to tell the user."""
        if self._follow is None:
            self.share = round(min(LARGEST, max(SMALLEST, self.share + step)), 4)
            return f"box: {100 * self.share:.0f} % of the picture's short side"
        self.margin = round(min(WIDEST, max(0.0, self.margin + step)), 4)
        return f"box: the face and {100 * self.margin:.0f} % of it on each side"

    def __call__(self, frame: Frame) -> Patch:
        box, note, lost = self._place(frame)
        shot = np.ascontiguousarray(frame.image[box.top : box.top + box.height, box.left : box.left + box.width])
        return Patch(shot, box, self.pipeline(shot), note, lost)

    def _place(self, frame: Frame) -> tuple[Box, str, bool]:
        """Return the box, the note of the patch, and whether the face is lost."""
        follow = self._follow
        face = None if follow is None else follow(frame, self.margin, sequential=self.sequential)
        if face is not None:
            return face, FACE, False
        return center_box(frame.image, self.share), "" if follow is None else NO_FACE, follow is not None

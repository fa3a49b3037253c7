"""From the frame to the patch: a box in the middle or around the largest face, and what the network gets of it.

Faces are found with the Haar cascade that comes with OpenCV: Viola and Jones, "Rapid object detection using a boosted cascade of
simple features" (CVPR 2001).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from livecnn._cv2 import cv2
from livecnn.errors import SystemLibraryError
from livecnn.networks.pipelines import Pipeline
from livecnn.types import Box, Frame, Image, Patch

SMALLEST, LARGEST = 0.1, 1.0  # share of the frame's short side
MARGIN = 0.1  # of a face's side, on each side of it
WIDEST = 2.0
FACE, NO_FACE = "the box follows the largest face", "no face: centre of the picture"

CASCADE = "haarcascade_frontalface_alt2.xml"
SEARCHED = 160  # pixels: short side of the picture that is searched;
SMALLEST_FACE = 20  # of the smallest face in it
FINENESS = 1.15  # from one size that is looked for to the next
WITNESSES = 4  # overlapping hits that make a face

# Seconds.
PERIOD = 0.08  # between two searches; the box moves at every frame
CALM = 0.12  # in which the box comes 63 % nearer to the face
HOLD = 1.0  # that the box waits for a face that is gone

SWITCH_FACTOR = 1.3  # by how much another face must be larger to be chosen instead
FAR = 0.6  # of the face's side: from there on it is jumped to
SIZE_STEP = math.log(1 + 1 / 16)  # few different sizes: each is 1/16 larger than the one below it,
SIZE_HYSTERESIS = 0.75  # and is kept until the size wished for is so many steps away


class Face(NamedTuple):
    """A square around a face, from the middle of the forehead to the chin: its centre and side in pixels of the frame."""

    x: float
    y: float
    side: float

    def near(self, other: Face) -> bool:
        """Return whether it is the same face, a moment later."""
        reach = FAR * other.side
        alike = other.side / 1.5 < self.side < other.side * 1.5
        return alike and abs(self.x - other.x) < reach and abs(self.y - other.y) < reach

    def towards(self, other: Face, share: float) -> Face:
        """Move a part of the way to another face."""
        return Face(*(here + share * (there - here) for here, there in zip(self, other, strict=True)))


class Detector:
    """Finds faces seen from the front, from an eighth of the frame's short side on. Raises SystemLibraryError."""

    def __init__(self) -> None:
        path = Path(getattr(getattr(cv2, "data", None), "haarcascades", ""), CASCADE)
        try:
            self._cascade = cv2.CascadeClassifier(str(path)) if path.is_file() else None
        except (AttributeError, cv2.error, SystemError):  # OpenCV 5 has no cascades; a file that is none
            self._cascade = None
        if self._cascade is None or self._cascade.empty():
            remedy = "pip install --force-reinstall 'opencv-python>=4.12,<5'"
            raise SystemLibraryError(f"{path}: the cascade that finds faces is missing or damaged; {remedy}, or finder: centre")

    def __reduce__(self) -> tuple[type[Detector], tuple[()]]:
        return Detector, ()  # in another process it is read anew

    def __call__(self, image: Image) -> list[Face]:
        """Return the faces in a picture, uint8 (H, W, 3) RGB."""
        zoom = min(1.0, SEARCHED / min(image.shape[:2]))
        width, height = (max(1, round(zoom * length)) for length in image.shape[1::-1])
        small = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA) if zoom < 1 else image
        assert self._cascade is not None
        found = self._cascade.detectMultiScale(
            cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), FINENESS, WITNESSES, minSize=(SMALLEST_FACE, SMALLEST_FACE)
        )
        squares = np.reshape(found, (-1, 4)).tolist()  # an empty tuple where there are none
        return [Face((x + side / 2) / zoom, (y + side / 2) / zoom, side / zoom) for x, y, side, _ in squares]


class FaceTracker:
    """The box around the largest face. It remembers, so each run has its own."""

    def __init__(self) -> None:
        self._detect = Detector()
        self._forget()

    def _forget(self) -> None:
        self._time = self._searched = self._seen = -math.inf
        self._goal: Face | None = None  # where the face was found last,
        self._face: Face | None = None  # and how far the box has come
        self._rung = math.inf

    def __call__(self, frame: Frame, margin: float, aspect: float = 1.0, *, sequential: bool) -> Box | None:
        """Find the box of an aspect, width over height, around the face, inside the frame; None without a face.

        Its shorter side is the face's, and `margin` more on each side, a share of that. If the frame follows the one before, the
        box follows the face and stays for a moment where it was; otherwise every frame is looked at on its own.
        """
        step = frame.time - self._time
        if not sequential or not 0 <= step <= HOLD:
            self._forget()
        self._time = frame.time
        if frame.time - self._searched >= PERIOD:
            self._search(frame)
        self._face = self._moved(step) if frame.time - self._seen <= HOLD else None
        return None if self._face is None else self._box(frame.image, self._face, margin, aspect)

    def _search(self, frame: Frame) -> None:
        self._searched = frame.time
        faces = self._detect(frame.image)
        if faces:
            self._seen = frame.time
            self._goal = max(faces, key=lambda face: (face.side * (SWITCH_FACTOR if self._known(face) else 1), face))

    def _known(self, face: Face) -> bool:
        return self._face is not None and face.near(self._face)

    def _moved(self, step: float) -> Face | None:
        if self._goal is None or self._face is None or not self._goal.near(self._face):
            return self._goal
        return self._face.towards(self._goal, 1 - math.exp(-step / CALM))

    def _box(self, image: Image, face: Face, margin: float, aspect: float) -> Box:
        height, width = image.shape[:2]
        rung = math.log(face.side * (1 + 2 * margin)) / SIZE_STEP
        if abs(rung - self._rung) > SIZE_HYSTERESIS:
            self._rung = round(rung)
        whole = center_box(image, 1.0, aspect)
        side = round(math.exp(self._rung * SIZE_STEP))
        w, h = min(whole.width, round(side * max(1.0, aspect))), min(whole.height, round(side * max(1.0, 1 / aspect)))
        left, top = (
            min(max(0, round(middle - side / 2)), length - side)
            for middle, length, side in ((face.x, width, w), (face.y, height, h))
        )  # fmt: skip
        return Box(left, top, w, h)


# What is made for each run, as it may remember; None: the box stays in the middle.
FINDERS: dict[str, Callable[[], FaceTracker | None]] = {"centre": lambda: None, "face": FaceTracker}


def center_box(image: Image, share: float, aspect: float = 1.0) -> Box:
    """Return the centered box of an aspect, width over height, that is `share` of the largest in a frame, uint8 (H, W, 3).

    It has at least one pixel. When the frame's and the box's parity differ, it is half a pixel to the top left.
    """
    height, width = image.shape[:2]
    w, h = max(1, round(share * min(width, height * aspect))), max(1, round(share * min(height, width / aspect)))
    return Box((width - w) // 2, (height - h) // 2, w, h)


def check_finder(finder: str) -> None:
    """Raise SystemLibraryError if what the finder needs is missing."""
    FINDERS[finder]()


class Cropper:
    """Cut a patch out of each frame; its attributes may be changed between two frames.

    The box has the proportions that the pipeline asks for. `share` is the size of the centered one, 0.1 to 1.0 of the largest in
    the frame; `margin` is what the box around a face leaves free on each side, 0 to 2 of the face's side.
    """

    def __init__(
        self, pipeline: Pipeline, share: float, finder: str = "centre", margin: float = MARGIN, *, sequential: bool = False
    ) -> None:
        self.pipeline = pipeline
        self.sequential = sequential  # frames follow one another, and the box a face; otherwise each is seen on its own
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
        follow, aspect = self._follow, self.pipeline.aspect(frame.image)
        face = None if follow is None else follow(frame, self.margin, aspect, sequential=self.sequential)
        if face is not None:
            return face, FACE, False
        return center_box(frame.image, self.share, aspect), "" if follow is None else NO_FACE, follow is not None

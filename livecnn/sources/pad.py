"""A sheet to draw on with the mouse."""

import threading
import time

import numpy as np

from livecnn._cv2 import cv2
from livecnn.errors import SourceError
from livecnn.sources import Source, SourceOptions
from livecnn.types import Frame, Image

SIDE = 480  # pixels of the sheet
INK, PAPER = (28, 30, 40), (255, 255, 255)
THINNEST, THICKEST, USUAL = 8, 40, 18  # pixels of the pen
STEP = 2  # pixels of thickness for each step of the wheel
ERASER = 3  # times as thick as the pen
PERIOD = 1 / 60  # seconds between two pictures at least
FINE = 4  # bits after the point in the coordinates that OpenCV is given


class PadSource(Source):
    """480x480, a frame whenever something was drawn, and silent otherwise. It needs a window to be drawn in.

    The window draws while the capture thread reads: everything here may be called from any thread. Coordinates are pixels of the
    frame, (0, 0) in the middle of the top left one; they may lie outside.
    """

    def __init__(self, address: str, options: SourceOptions) -> None:
        super().__init__(address, options)
        if address:
            raise SourceError(f"source 'pad:{address}': pad takes no address")
        self.name = "pad"
        self._sheet: Image = np.full((SIDE, SIDE, 3), PAPER, np.uint8)
        self._thickness = USUAL
        self._pen: tuple[float, float] | None = None  # where it touches the sheet
        self._erases = False
        self._open = self._fresh = False
        self._due = 0.0
        self._changed = threading.Condition()

    def open(self) -> None:
        """Take up the drawing as it was left; it is the first frame."""
        with self._changed:
            self.note = "draw with the mouse; right button erases, c clears"
            self._open = self._fresh = True

    def read(self) -> Frame | None:
        """Return the sheet as soon as something new was drawn; None once the pad is closed, also by another thread."""
        with self._changed:
            self._changed.wait_for(lambda: not self._open, self._due - time.monotonic())
            self._changed.wait_for(lambda: self._fresh or not self._open)
            if not self._open:
                return None
            self._fresh = False
            self._due = time.monotonic() + PERIOD
            return self._frame(self._sheet.copy())

    def close(self) -> None:
        """Wake a reader that waits. The drawing stays."""
        with self._changed:
            self._open = False
            self._pen = None
            self._changed.notify_all()

    def interrupt(self) -> None:
        self.close()

    def press(self, x: float, y: float, erase: bool = False) -> None:
        """Put the pen, or the eraser, on the sheet; it leaves a dot."""
        with self._changed:
            self._pen, self._erases = (x, y), erase
            self._draw_to(x, y)

    def move(self, x: float, y: float) -> None:
        """Draw a line from where the pen is; without a pen on the sheet nothing."""
        with self._changed:
            if self._pen is not None:
                self._draw_to(x, y)

    def release(self) -> None:
        """Lift the pen."""
        with self._changed:
            self._pen = None

    def clear(self) -> None:
        """Take a new sheet; a pen that touches it goes on drawing."""
        with self._changed:
            self._sheet[:] = PAPER
            self._tell()

    def thicker(self, steps: float) -> int:
        """Make the pen so many steps thicker, or thinner, within its limits; return its thickness in pixels."""
        with self._changed:
            self._thickness = min(THICKEST, max(THINNEST, self._thickness + round(STEP * steps)))
            return self._thickness

    def _draw_to(self, x: float, y: float) -> None:
        assert self._pen is not None
        color, thickness = (PAPER, ERASER * self._thickness) if self._erases else (INK, self._thickness)
        cv2.line(self._sheet, _fine(*self._pen), _fine(x, y), color, thickness, cv2.LINE_AA, FINE)
        self._pen = x, y
        self._tell()

    def _tell(self) -> None:
        self._fresh = True
        self._changed.notify_all()


def _fine(x: float, y: float) -> tuple[int, int]:
    """In OpenCV's fixed point, and not so far away that it overflows."""
    near = (min(2.0 * SIDE, max(-1.0 * SIDE, value)) for value in (x, y))
    left, top = (round(value * 2**FINE) for value in near)
    return left, top

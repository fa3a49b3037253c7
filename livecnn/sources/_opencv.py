"""Define the base of the sources on cv2.VideoCapture."""

import math

import numpy as np

from livecnn._cv2 import cv2
from livecnn.errors import SourceError
from livecnn.sources import Source, SourceOptions
from livecnn.types import Image

FALLBACK_FPS = 25.0  # of files that do not tell their rate, or tell nonsense


class OpenCVSource(Source):
    """Owns a cv2.VideoCapture that has proven itself by giving a picture: `isOpened` promises too much."""

    camera_like = True

    def __init__(self, address: str, options: SourceOptions) -> None:
        super().__init__(address, options)
        self._capture: cv2.VideoCapture | None = None
        self._first: Image | None = None
        self.size = (0, 0)  # (width, height) of the first picture; later ones may have another

    def rewind(self) -> None:
        """Open again: seeking lands on key frames, or fails, depending on the file."""
        self.close()
        self.open()

    def close(self) -> None:
        self._first = None
        if self._capture is not None:
            self._capture.release()
            self._capture = None

    def _take(self, capture: cv2.VideoCapture) -> bool:
        """Keep a capture, and its first picture for the first read, if it gives one; release it if not."""
        self._first = _picture(capture)
        if self._first is None:
            capture.release()
            return False
        self.size = self._first.shape[1], self._first.shape[0]
        self._capture = capture
        return True

    def _next(self) -> Image | None:
        """Return the next picture; None at the end of a file or when a device is lost."""
        if self._capture is None:
            raise SourceError(f"{self.name}: not open")
        first, self._first = self._first, None
        return first if first is not None else _picture(self._capture)


def file_interval(capture: cv2.VideoCapture, fps: float | None) -> float:
    """Return the seconds a frame of a video file lasts: at the rate asked for, the file's own, or a plausible one."""
    own = capture.get(cv2.CAP_PROP_FPS)
    return 1.0 / (fps or (own if math.isfinite(own) and 0.1 <= own <= 480.0 else FALLBACK_FPS))


def _picture(capture: cv2.VideoCapture) -> Image | None:
    """uint8 (H, W, 3) RGB, or None if the capture has none or cannot decode it."""
    try:
        good, picture = capture.read()
    except cv2.error:
        return None
    if not good or picture is None or picture.size == 0:
        return None
    code = cv2.COLOR_BGR2RGB if picture.ndim == 3 else cv2.COLOR_GRAY2RGB
    return np.asarray(cv2.cvtColor(picture, code), dtype=np.uint8)

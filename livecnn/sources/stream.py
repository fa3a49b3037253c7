"""A camera on the network, or a video on a server: http, https or rtsp."""

import time
from urllib.parse import urlsplit

import numpy as np

from livecnn._cv2 import cv2
from livecnn.errors import SourceError
from livecnn.sources import SourceOptions
from livecnn.sources._opencv import OpenCVSource, file_interval
from livecnn.types import Frame, Image

TIMEOUT = 4.0  # seconds without an answer, on opening and on each read


class StreamSource(OpenCVSource):
    """Pictures as they arrive from an address (MJPEG over HTTP, RTSP, …). A file on a server keeps its own pace and ends."""

    may_stand_still = True  # a test picture, or a night

    def __init__(self, address: str, options: SourceOptions) -> None:
        super().__init__(address, options)
        self.name = _without_password(address)
        self._packed = False  # OpenCV hands us the JPEGs as they come

    def open(self) -> None:
        """Connect and decode one frame. Raises SourceError if none comes."""
        milliseconds = int(1000 * TIMEOUT)
        limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, milliseconds, cv2.CAP_PROP_READ_TIMEOUT_MSEC, milliseconds]
        capture = cv2.VideoCapture(self.address, cv2.CAP_FFMPEG, limits)
        if not self._take(capture):
            raise SourceError(f"stream {self.name}: no picture within {TIMEOUT:g} s; is the address right and the camera on?")
        if capture.get(cv2.CAP_PROP_FRAME_COUNT) > 0:
            self.interval = file_interval(capture, self.options.fps)
        else:
            self.supervised = True
            self._first = None  # it will be old by the first read
            jpegs = int(capture.get(cv2.CAP_PROP_FOURCC)) == cv2.VideoWriter.fourcc(*"MJPG")
            self._packed = jpegs and capture.set(cv2.CAP_PROP_FORMAT, -1)

    def read(self) -> Frame | None:
        image = self._next()
        if image is not None:
            return self._frame(image)
        if self.interval is None:
            raise SourceError(f"stream {self.name}: lost: no picture within {TIMEOUT:g} s, or the other side hung up")
        return None

    def close(self) -> None:
        super().close()
        self._packed = False

    def _next(self) -> Image | None:
        if self._capture is None or not self._packed:
            return super()._next()
        # OpenCV itself would squeeze pictures of a new size into the first one's, and show broken ones.
        until = time.monotonic() + TIMEOUT
        while time.monotonic() < until:
            good, packet = self._capture.read()
            if not good:
                return None
            image = _decoded(np.asarray(packet, np.uint8))
            if image is not None:
                return image
        return None


def _decoded(packet: Image) -> Image | None:
    """uint8 (H, W, 3) RGB of a JPEG, or None if it is broken."""
    try:
        image = cv2.imdecode(packet, cv2.IMREAD_COLOR_RGB)
    except cv2.error:
        return None
    return None if image is None else np.asarray(image, np.uint8)


def _without_password(address: str) -> str:
    """Return the address as it may be shown on a screen or in a recording."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return address.rpartition("@")[2]
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()

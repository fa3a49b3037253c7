"""A video file."""

import os
from pathlib import Path

from livecnn._cv2 import cv2
from livecnn.errors import SourceError
from livecnn.io.images import SUFFIXES
from livecnn.sources import SourceOptions
from livecnn.sources._opencv import OpenCVSource, file_interval
from livecnn.types import Frame


class VideoSource(OpenCVSource):
    """The frames of a video file in order; the interval is the file's own, or 1 / fps where the user asks for a pace."""

    def __init__(self, address: str, options: SourceOptions) -> None:
        super().__init__(address, options)
        self._path = Path(os.path.expanduser(address))
        self.name = self._path.name
        self._position = 0

    def open(self) -> None:
        """Open the file and decode one frame. Raises SourceError if the file is missing or has no frame that can be decoded."""
        if not self.address:
            raise SourceError("source 'video': which file? write video:FILE")
        if not os.path.isfile(self._path):
            raise SourceError(f"video {self._path}: {'not a file' if os.path.exists(self._path) else 'no such file'}")
        if self._path.suffix.lower() in SUFFIXES:
            raise SourceError(f"video {self._path}: a picture, not a video; for pictures give their folder: folder:DIR")
        capture = cv2.VideoCapture(str(self._path), cv2.CAP_FFMPEG)  # other decoders know few formats and print
        if not self._take(capture):
            raise SourceError(f"video {self._path}: not a video, or one without a frame that can be decoded")
        self.interval = file_interval(capture, self.options.fps)
        self._position = 0

    def read(self) -> Frame | None:
        image = self._next()
        if image is None:
            return None
        self._position += 1
        return self._frame(image, f"{self.name} #{self._position - 1}")

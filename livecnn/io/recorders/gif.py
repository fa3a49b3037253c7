"""Animated GIF."""

from __future__ import annotations

import struct
from pathlib import Path

from livecnn.io.recorders import gif_encoder as gif
from livecnn.io.recorders.base import Recorder
from livecnn.types import Image

LEAST_DELAY = 2  # hundredths of a second; viewers slow anything faster down to 10
MOST_DELAY = 60_000  # of one picture; the format ends at 65,535


class GifRecorder(Recorder):
    """Animated GIF (GIF89a), complete after every picture. A picture that looks like the last one makes that last longer."""

    def __init__(self, path: Path, fps: float = 10.0, hold: float = 0.0, loop: int = 0) -> None:
        """Make it play `loop` times, 0: for ever."""
        super().__init__(path, fps, hold)
        self._loop = loop

    def _begin(self, width: int, height: int) -> None:
        # Unbuffered, so that what could not be written is not tried again when the file is closed.
        self._file = self._part.open("wb", buffering=0)
        self._whole = 0  # bytes, without the trailer
        self._delay_at = 0  # where the file says how long the newest block lasts,
        self._since = self._until = 0  # and from when until when, in 1/100 s
        self._encoder = gif.GifEncoder(width, height)
        self._head = gif.head(width, height, self._loop)

    def _extend(self, until: float) -> bool:
        # Rounding the ends, not the differences, keeps the sum true.
        end = round(100 * until)
        if end - self._until < LEAST_DELAY:
            return False
        self._until = end
        while end - self._since > MOST_DELAY + LEAST_DELAY:
            self._set_delay(MOST_DELAY)
            self._since += MOST_DELAY
            self._append(gif.empty_frame(LEAST_DELAY))
        self._set_delay(end - self._since)
        return True

    def _set_delay(self, delay: int) -> None:
        self._file.seek(self._delay_at)
        self._file.write(struct.pack("<H", delay))

    def _write(self, picture: Image) -> None:
        block = self._encoder.block(picture, LEAST_DELAY)
        if block:
            self._since = self._until
            self._append(block)

    def _append(self, block: bytes) -> None:
        delay_at = self._whole + len(self._head) + gif.DELAY_AT
        self._put(self._head + block)
        self._head, self._delay_at = b"", delay_at

    def _put(self, data: bytes) -> None:
        """Append to the film. Its first byte takes the trailer's place last, so that the file is complete all the time."""
        rest = memoryview(data + gif.TRAILER)[1:]
        self._file.seek(self._whole + 1)
        while rest:  # a disk that is nearly full takes a part of it
            rest = rest[self._file.write(rest) :]
        self._file.seek(self._whole)
        self._file.write(data[:1])
        self._whole += len(data)

    def _end(self) -> None:
        with self._file:
            self._file.truncate(self._whole + len(gif.TRAILER))

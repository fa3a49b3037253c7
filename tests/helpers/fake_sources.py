"""Sources that do what the test says, and what tests of the capture share."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import numpy as np

from livecnn.app.live.capture import Capture, LatestSlot, Timeouts
from livecnn.errors import SourceError
from livecnn.sources import Source, SourceOptions
from livecnn.types import Frame

PICTURE = np.zeros((2, 2, 3), np.uint8)
End = Exception | None  # how a script ends: it raises that, or just ends


class Scripted(Source):
    """Gives `frames` pictures, each after calling `before`, then raises `error` or ends."""

    def __init__(
        self, frames: int, interval: float | None = None, error: End = None, before: Callable[[], object] = lambda: None
    ) -> None:
        super().__init__("", SourceOptions())
        self.name, self.note, self.interval = "script", "a note", interval
        self._frames, self._error, self._before = frames, error, before
        self._given = 0
        self.rewinds = self.closed = 0

    def open(self) -> None:
        pass

    def read(self) -> Frame | None:
        self._before()
        if self._given < self._frames:
            self._given += 1
            return self._frame(PICTURE)
        if self._error is not None:
            raise self._error
        return None

    def rewind(self) -> None:
        self.rewinds += 1
        self._given = 0

    def close(self) -> None:
        self.closed += 1


class Device:
    """A camera that can be unplugged; what its sources do is up to the test, each of their reads and openings may hang."""

    def __init__(self) -> None:
        self.plugged = True
        self.still = False
        self.size = (2, 3)
        self.reading = threading.Event()  # not set: reads hang
        self.opening = threading.Event()  # not set: openings hang
        self.reading.set()
        self.opening.set()
        self.made: list[Plugged] = []
        self.pictures = 0

    def source(self) -> Plugged:
        return Plugged(self)

    def release(self) -> None:
        self.reading.set()
        self.opening.set()


class Plugged(Source):
    supervised = True

    def __init__(self, device: Device) -> None:
        super().__init__("", SourceOptions())
        self.name, self.note = "camera 7", "a note"
        self.device = device
        self.closed = 0
        device.made.append(self)

    def again(self) -> Source:
        return self.device.source()

    def open(self) -> None:
        self.device.opening.wait(30)
        if not self.device.plugged:
            raise SourceError("camera 7: no such device")

    def read(self) -> Frame | None:
        time.sleep(0.002)
        self.device.reading.wait(30)
        if not self.device.plugged:
            raise SourceError("camera 7: lost: is it still plugged in?")
        if not self.device.still:
            self.device.pictures += 1
        return self._frame(np.full((*self.device.size, 3), self.device.pictures % 256, np.uint8))

    def close(self) -> None:
        self.closed += 1


class Recording(LatestSlot[Frame]):
    """Keeps all that was ever put."""

    def __init__(self) -> None:
        super().__init__()
        self.frames: list[Frame] = []

    def put(self, item: Frame) -> None:
        super().put(item)
        self.frames.append(item)


def recorded(source: Source, patience: Timeouts | None = None) -> tuple[Capture, Recording]:
    capture = Capture(source, patience=patience)
    capture.slot = slot = Recording()
    return capture, slot


def ended(capture: Capture) -> bool:
    capture.slot.wait(10_000, timeout=5)
    return capture.slot.closed

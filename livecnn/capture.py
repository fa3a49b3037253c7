"""The capture thread: reads a source at its pace and publishes the newest frame."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from threading import Event, Thread
from types import TracebackType

from livecnn import _cv2  # noqa: F401  imutils imports OpenCV, too: the settings come first

# isort: split
from imutils.video import WebcamVideoStream

from livecnn.errors import SourceError
from livecnn.slot import Slot
from livecnn.sources import Source
from livecnn.types import Frame, SourceStatus

PATIENCE = 5.0  # seconds that `stop` waits for a driver that does not return


class Capture(WebcamVideoStream):  # type: ignore[misc]  # imutils has no types
    """imutils' webcam thread for every source: newest frame only, never None, paced, and with an end that can be told.

    The caller opens the source (macOS wants cameras opened on the main thread); from `start` on it belongs to the
    thread, which closes it in the end. `slot` holds the newest frame; it is closed when no more will come.

    A source with an interval is shown at its own pace and, unless `once`, again and again. Times of frames are
    `time.monotonic()`, of when they were taken or, with an interval, shown.
    """

    def __init__(self, source: Source, *, once: bool = False) -> None:
        # Not the base class's __init__, which opens a camera itself, checks nothing and cannot give it back.
        self.source = source
        self.once = once
        self.slot: Slot[Frame] = Slot()
        self.error: Exception | None = None
        self.held = False  # True: the source is read on, but the slot keeps its frame
        self._halt = Event()
        self._thread = Thread(target=self.update, name=f"capture {source.name}", daemon=True)

    def start(self) -> Capture:
        """Begin to read. Once only: a second call does nothing."""
        if self._thread.ident is None:
            self._thread.start()
        return self

    def update(self) -> None:
        """The thread: whatever happens, the reason is kept, the source closed and every reader of the slot woken."""
        try:
            self._publish()
        except Exception as error:
            self.error = error
        finally:
            self.source.close()
            self.slot.close()

    def read(self) -> Frame:
        """The newest frame; waits for the first one. Raises SourceError if the source failed, or ended without a frame."""
        frame = self.slot.wait(0)[1]
        if self.error is not None:
            raise self.error
        if frame is None:
            raise SourceError(f"{self.source.name}: ended without a picture")
        return frame

    def stop(self) -> None:
        """End the thread and give the source back, also while a read hangs: then the thread is left to itself. Idempotent."""
        self._halt.set()
        if self._thread.ident is None:
            self.source.close()
        else:
            self._thread.join(PATIENCE)
        self.slot.close()

    def status(self) -> SourceStatus:
        """State "live", "ended", "failed" (never gave a frame) or "lost" (gave some, then failed), with the reason as note."""
        name = self.source.name
        if self.error is not None:
            return SourceStatus("lost" if self.slot.get()[0] else "failed", name, str(self.error))
        return SourceStatus("ended" if self.slot.closed else "live", name, self.source.note)

    def _publish(self) -> None:
        interval = self.source.interval
        due = time.monotonic()
        for frame in self._frames():
            if interval is None:
                self._put(frame)
                continue
            now = time.monotonic()
            if now > due + interval:
                due = now  # decoding fell behind: go on from here instead of racing after the clock
            if self._halt.wait(due - now):
                return
            self._put(replace(frame, time=time.monotonic()))
            due += interval
        if interval is not None:
            self._halt.wait(due - time.monotonic())  # the last picture, too, has its time

    def _put(self, frame: Frame) -> None:
        if not self.held or self.slot.get()[1] is None:  # there has to be a picture to hold
            self.slot.put(frame)

    def _frames(self) -> Iterator[Frame]:
        """The source in order; one with a pace of its own starts over at its end, unless `once` or there is nothing in it."""
        empty = True
        while not self._halt.is_set():
            frame = self.source.read()
            if frame is not None:
                empty = False
                yield frame
            elif self.once or empty or self.source.interval is None:
                return
            else:
                self.source.rewind()
                empty = True

    def __enter__(self) -> Capture:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

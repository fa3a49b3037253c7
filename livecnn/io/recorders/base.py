"""Define the base of all recorders, and the one that works beside a live picture."""

from __future__ import annotations

import contextlib
import os
import queue
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType

import numpy as np

from livecnn._cv2 import cv2
from livecnn.errors import OutputError
from livecnn.geometry import Rect
from livecnn.io.files import partial_path
from livecnn.types import Image


class Recorder(ABC):
    """A film from pictures with their times; leaving its `with`, for whatever reason, finishes the file.

    Pictures are uint8 (H, W, 3) RGB, all brought to the size of the first; times are seconds on any clock and never go back.
    A picture is written at once and lasts until the next one's time, so the film keeps real time.
    """

    def __init__(self, path: Path, fps: float = 10.0, hold: float = 0.0) -> None:
        """Make the last picture last 1 / fps seconds if nobody says when the film ends, and `hold` seconds more in any case."""
        self.path = path
        self._lasts, self._hold = 1 / fps, hold
        self.pictures = 0
        self._part = partial_path(path)
        self._open = False
        self._start = self._last = 0.0
        self._size = 0, 0

    def add(self, picture: Image, when: float) -> None:
        """Add a picture. Raises OutputError; what was written until then is finished and kept."""
        with self._keeping():
            if not self._open:
                self._start = when
                self._size = picture.shape[1], picture.shape[0]
                self._begin(*self._size)
                self._open = True
            elif not self._extend(when - self._start):
                return
            self._write(letterbox(picture, *self._size))
            self.pictures += 1
            self._last = when

    def close(self, until: float | None = None) -> None:
        """Finish the file and give it its name. Idempotent. Raises OutputError, also if there was no picture, and so no file.

        until: when the film ends, on the clock of the pictures; the last one is held after that.
        """
        if not self._open:
            if not self.pictures:
                raise OutputError(f"{self.path}: nothing to record")
            return
        with self._keeping():
            self._extend((self._last + self._lasts if until is None else until) + self._hold - self._start)
            self._finish()

    def _finish(self) -> None:
        self._open = False
        self._end()
        if self.pictures:
            self._publish()

    def _publish(self) -> None:
        """Give what is finished its name. Raises OSError."""
        os.replace(self._part, self.path)

    def _discard(self) -> None:
        """Remove what could not be finished. Raises OSError."""
        self._part.unlink()

    @contextlib.contextmanager
    def _keeping(self) -> Iterator[None]:
        """When writing fails, finish what is whole; what cannot be finished is removed."""
        try:
            yield
        except OSError as error:
            with contextlib.suppress(OSError):
                if self._open:
                    self._finish()
            with contextlib.suppress(OSError):
                self._discard()
            raise OutputError(f"{self.path}: {error.strerror or error} after {self.pictures} pictures") from error

    @abstractmethod
    def _begin(self, width: int, height: int) -> None:
        """Make the unfinished file, or raise OSError with nothing left open."""

    @abstractmethod
    def _extend(self, until: float) -> bool:
        """Show the newest picture until then, seconds from the first; False if that is too short. Raises OSError."""

    @abstractmethod
    def _write(self, picture: Image) -> None:
        """Put a picture at the end, for the shortest time that there is. Raises OSError."""

    @abstractmethod
    def _end(self) -> None:
        """Make what was written whole a film and close it, also after a picture failed. Raises OSError."""

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        if self._open or kind is None:
            self.close()


def letterbox(picture: Image, width: int, height: int) -> Image:
    """Return the whole picture at the film's size, on black: a window may be resized while it is recorded."""
    if picture.shape[:2] == (height, width):
        return picture
    place = Rect(0, 0, width, height).fit(picture.shape[1] / picture.shape[0])
    film = np.zeros((height, width, 3), np.uint8)
    scaled = cv2.resize(picture, (place.w, place.h), interpolation=cv2.INTER_AREA)
    film[place.y : place.y + place.h, place.x : place.x + place.w] = scaled
    return film


class ThreadedRecorder:
    """Feeds a recorder from its own thread, so that encoding never holds up a live picture, and Ctrl-C never cuts one in two.

    When encoding is slower than the picture, pictures are left out, and the film keeps real time all the same; with `every` `add`
    waits instead. Use it in a `with`; leaving it finishes the file. Raises what the recorder raised, at the next `add` or on
    leaving.
    """

    WAITING = 4  # pictures, so that a slow moment of the disk costs none

    def __init__(self, recorder: Recorder, *, every: bool = False, clock: Callable[[], float] | None = None) -> None:
        """Take a recorder; with a clock, that of the pictures' times, the last picture lasts until the film is ended."""
        self._recorder, self._every, self._clock = recorder, every, clock
        # One place more, so that the end finds room at once.
        self._queue: queue.Queue[tuple[Image, float] | None] = queue.Queue(self.WAITING + 1)
        self._until: float | None = None
        self._finishing = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)

    def add(self, picture: Image, when: float) -> None:
        """Hand a picture to the thread that writes."""
        if self._error is not None:
            raise self._error
        if self._every or self._queue.qsize() < self.WAITING:
            self._queue.put((picture, when))

    def finish(self) -> None:
        """End the film now; its file is finished in the background. Idempotent; nothing may be added any more."""
        if not self._finishing:
            self._finishing = True
            self._until = None if self._clock is None else self._clock()
            self._queue.put(None)

    @property
    def done(self) -> bool:
        """The file is finished, or has failed."""
        return not self._thread.is_alive()

    def _run(self) -> None:
        item: tuple[Image, float] | None = None
        try:
            with self._recorder:
                while (item := self._queue.get()) is not None:
                    self._recorder.add(*item)
                self._recorder.close(self._until)
        except BaseException as error:
            self._error = error
            while item is not None:  # the other side must never wait on a full queue
                item = self._queue.get()

    def __enter__(self) -> ThreadedRecorder:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.finish()
        self._thread.join()
        if self._error is not None and value is None:
            raise self._error

"""A recorder on a thread of its own."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from types import TracebackType

from livecnn.io.recorders.base import Recorder
from livecnn.types import Image


class ThreadedRecorder:
    """Feeds a recorder from its own thread, so that encoding never holds up a live picture, and Ctrl-C never cuts one in two.

    When encoding is slower than the picture, pictures are left out, and the film keeps real time all the same; with `every` `add`
    waits instead. Use it in a `with`; leaving it finishes the file. Raises what the recorder raised, at the next `add` or on
    leaving.
    """

    WAITING = 4  # pictures, so that a slow moment of the disk costs none

    def __init__(self, recorder: Recorder, *, every: bool = False, clock: Callable[[], float] | None = None) -> None:
        """clock: what the pictures' times are taken from; the last picture then lasts until the film is ended."""
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
        """The film ends now; its file is finished in the background. Idempotent; nothing may be added any more."""
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

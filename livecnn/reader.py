"""One connection: a source, and the thread of its own that reads it at its pace."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from threading import Event, Thread

from livecnn.sources import Source
from livecnn.types import Frame


class Reader:
    """Reads a source until it ends, fails or is left, and closes it in the end, whatever happens.

    Nobody else touches the source meanwhile: a driver may hang, and then only this thread hangs with it.

    take: called for every frame, with an interval when it is due. over: called once at the end, with what went wrong.
    is_open: False: the thread opens the source as well.
    """

    def __init__(
        self,
        source: Source,
        take: Callable[[Reader, Frame], None],
        over: Callable[[Reader, Exception | None], None],
        *,
        once: bool = False,
        is_open: bool = True,
    ) -> None:
        self.source = source
        self._take, self._over = take, over
        self._once, self._is_open = once, is_open
        self._left = Event()
        self._thread = Thread(target=self._run, name=f"capture {source.name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    @property
    def left(self) -> bool:
        return self._left.is_set()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def leave(self) -> None:
        """Nothing more is wanted of it. It ends with its read; if that never returns, the thread is left to itself."""
        self._left.set()
        self.source.interrupt()

    def join(self, timeout: float) -> None:
        self._thread.join(timeout)

    def _run(self) -> None:
        error = None
        try:
            if not self._is_open:
                self.source.open()
            self._read()
        except Exception as caught:
            error = caught
        finally:
            self.source.close()
            self._over(self, error)

    def _read(self) -> None:
        interval = self.source.interval
        due = time.monotonic()
        for frame in self._frames():
            if interval is None:
                self._take(self, frame)
                continue
            now = time.monotonic()
            if now > due + interval:
                due = now  # decoding fell behind: go on from here instead of racing after the clock
            if self._left.wait(due - now):
                return
            self._take(self, replace(frame, time=time.monotonic()))
            due += interval
        if interval is not None:
            self._left.wait(due - time.monotonic())  # the last picture, too, has its time

    def _frames(self) -> Iterator[Frame]:
        """The source in order; one with a pace of its own starts over at its end, unless `once` or there is nothing in it."""
        empty = True
        while not self.left:
            frame = self.source.read()
            if frame is not None:
                empty = False
                yield frame
            elif self._once or empty or self.source.interval is None:
                return
            else:
                self.source.rewind()
                empty = True

"""The capture: read a source in a thread, publish the newest frame, and connect a device again that was lost."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from threading import Condition, Event, Thread
from types import TracebackType
from typing import Generic, Literal, TypeVar

import numpy as np

from livecnn import _cv2  # noqa: F401  imutils imports OpenCV, too: the settings come first
from livecnn.errors import SourceError
from livecnn.sources import Source
from livecnn.types import Frame, Image, SourceStatus

# isort: split
from imutils.video import WebcamVideoStream

PATIENCE = 4.0  # seconds that `stop` waits, all in all, for drivers that do not return
SAMPLE = 16  # of how many rows and columns one is compared before all are

SMOOTHING = 0.2  # share of the newest interval in the usual one

T = TypeVar("T")
State = Literal["live", "stale", "lost", "frozen"]
Step = Literal["leave", "connect"]


class LatestSlot(Generic[T]):
    """The box between two loops that holds the newest item; any number of readers, each with its own version number.

    `put` never blocks; old items are dropped, never queued.
    """

    def __init__(self) -> None:
        self._condition = Condition()
        self._item: T | None = None
        self._version = 0
        self._closed = False

    def put(self, item: T) -> None:
        """Replace the item, and wake every waiting reader."""
        with self._condition:
            self._item = item
            self._version += 1
            self._condition.notify_all()

    def repeat(self) -> None:
        """Give the newest item, if there is one, to every reader once more."""
        with self._condition:
            if self._version:
                self._version += 1
                self._condition.notify_all()

    def get(self) -> tuple[int, T | None]:
        """Return (version, newest item) at once; (0, None) before the first `put`."""
        with self._condition:
            return self._version, self._item

    def wait(self, seen: int, timeout: float | None = None) -> tuple[int, T | None]:
        """Do as `get` once there is something newer than version `seen`, the slot is closed, or `timeout` seconds have passed."""
        with self._condition:
            self._condition.wait_for(lambda: self._version > seen or self._closed, timeout)
            return self._version, self._item

    def close(self) -> None:
        """Say that nothing more will come, and wake every waiting reader; the last item stays readable."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()

    def reopen(self) -> None:
        """Say that more will come after all, to readers that begin now."""
        with self._condition:
            self._closed = False

    @property
    def closed(self) -> bool:
        """True if nothing more will come."""
        return self._closed


@dataclass(frozen=True)
class Timeouts:
    """Time limits of a connection; all in seconds."""

    stale: float = 2.0  # without a new picture until the state says so (or twice the usual interval, if that is longer)
    lost: float = 5.0  # without a new picture until the connection is given up
    frozen: float = 5.0  # of the same picture, bit for bit, until the state says so
    # before the first, second, … attempt to connect again; the last one for all that follow
    delays: tuple[float, ...] = (1, 2, 4, 8, 10)
    healthy: float = 60.0  # of undisturbed pictures after which the next loss counts as the first one
    dead: float = 10.0  # of the same picture until a camera is given up
    opening: float = 20.0  # until an attempt has brought a picture, or counts as failed


class ConnectionMonitor:
    """The state of a device without an end, and what to do next, from its frames and failures.

    `now` is in seconds on any clock that never goes back; the device is taken to be connected when this is made. A device that
    `may_stand_still` may give the same picture for ever.
    """

    def __init__(self, patience: Timeouts, now: float, *, may_stand_still: bool = False) -> None:
        self.reconnects = 0
        self._patience = patience
        self._may_stand_still = may_stand_still
        self._pictured = self._changed = self._well = now  # since when: newest picture, newest other picture, all is well
        self._usual = 0.0  # seconds between two pictures
        self._still = False  # a fresh connection brought the same picture once more: so that is how it looks there
        self._reason = ""  # of the loss; "" while connected
        self._tries = 0
        self._trying = False
        self._due = 0.0  # the attempt: when it shall begin, or must have brought a picture

    def frame(self, now: float, same: bool = False) -> None:
        """Count a picture; `same` if it equals the one before, bit for bit, even one of an earlier connection."""
        if self._reason:
            self.reconnects += 1
            self._reason, self._trying, self._still = "", False, same
            self._changed = self._well = now
        else:
            if self.state(now) != "live":
                self._well = now
            elif now - self._well >= self._patience.healthy:
                self._tries = 0
            self._usual += SMOOTHING * (now - self._pictured - self._usual)
            if not same:
                self._changed, self._still = now, False
        self._pictured = now

    def failed(self, now: float, reason: str) -> None:
        """Count the end of the connection, or of the attempt at one."""
        delays = self._patience.delays
        self._reason, self._trying = reason, False
        self._due = now + delays[min(self._tries, len(delays) - 1)]

    @property
    def deadline(self) -> float:
        """When to call `step` next, unless something comes before."""
        if self._reason:
            return self._due
        silent = self._pictured + self._patience.lost
        return silent if self._may_stand_still or self._still else min(silent, self._changed + self._patience.dead)

    def step(self, now: float) -> Step | None:
        """Return what to do now: "leave" the connection or attempt, which is lost from now on, "connect" anew, or nothing."""
        if now < self.deadline:
            return None
        if self._reason and not self._trying:
            self._trying = True
            self._tries += 1
            self._due = now + self._patience.opening
            return "connect"
        silent = now - self._pictured >= self._patience.lost
        self.failed(now, "does not answer" if self._trying else "no more pictures came" if silent else "the picture stood still")
        return "leave"

    def state(self, now: float) -> State:
        """Return the state at that time."""
        if self._reason:
            return "lost"
        if now - self._pictured >= max(2 * self._usual, self._patience.stale):
            return "stale"
        return "frozen" if now - self._changed >= self._patience.frozen else "live"

    def note(self, now: float) -> str:
        """Return the reason of the state, in words that change once a second at most; "" when all is well."""
        state = self.state(now)
        if state == "lost":
            when = "now" if self._trying else f"in {max(1, math.ceil(self._due - now))} s"
            return f"trying again {when} ({_ordinal(self._tries + (not self._trying))} time): {self._reason}"
        if state == "stale":
            return f"no new picture for {int(now - self._pictured)} s"
        return f"the same picture for {int(now - self._changed)} s" if state == "frozen" else ""


def _ordinal(number: int) -> str:
    teens = 10 <= number % 100 < 20
    return f"{number}{'th' if teens else {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th')}"


class ReaderThread(Thread):
    """One connection: a thread that reads a source until it ends, fails or is left, and then closes it.

    Nobody else touches the source meanwhile: a driver may hang, and then only this thread hangs with it.
    """

    def __init__(
        self,
        source: Source,
        take: Callable[[ReaderThread, Frame], None],
        over: Callable[[ReaderThread, Exception | None], None],
        *,
        once: bool = False,
        is_open: bool = True,
    ) -> None:
        """Prepare to call `take` with every frame when it is due, and `over` once at the end, with what went wrong."""
        super().__init__(name=f"capture {source.name}", daemon=True)
        self.source = source
        self._take, self._over = take, over
        self._once, self._open = once, is_open
        self._left = Event()

    @property
    def left(self) -> bool:
        """True if nothing more is wanted of it."""
        return self._left.is_set()

    def leave(self) -> None:
        """Ask it to end with its present read; if that never returns, the thread is left to itself."""
        self._left.set()
        self.source.interrupt()

    def run(self) -> None:
        error = None
        try:
            if not self._open:
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
        """Yield the source in order; one with a pace of its own starts over, unless `once` or there is nothing in it."""
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


class Capture(WebcamVideoStream):  # type: ignore[misc]  # imutils has no types
    """imutils' webcam thread for every source: the newest frame only, paced and supervised, and it ends when the source does.

    The caller opens the source (macOS wants cameras opened on the main thread); from `start` on it belongs to a reader
    thread, which closes it in the end.

    A source with an interval is shown at its own pace and, unless `once`, again and again. Times of frames are
    `time.monotonic()`, of when they were taken or, with an interval, shown.

    A supervised source that is lost is connected again for ever, each time through a fresh source and reader; `seq` goes on
    counting, gaps are still frames that the source dropped. Its driver may hang in any call: the thread of `update`, which
    supervises, never makes one.

    Attributes:
        source: The source that is read now.
        slot: Holds the newest frame; closed when no more will come.
        error: What ended the capture; None while it runs, or if the source came to its end.
        held: True keeps the frame in the slot, while the source is read on.
    """

    def __init__(self, source: Source, *, once: bool = False, patience: Timeouts | None = None) -> None:
        # Not the base class's __init__, which opens a camera itself, checks nothing and cannot give it back.
        self.source = source
        self.once = once
        self.slot: LatestSlot[Frame] = LatestSlot()
        self.error: Exception | None = None
        self.held = False
        self._patience = patience or Timeouts()
        self._changed = Condition()  # guards all that follows
        self._supervision: ConnectionMonitor | None = None
        self._readers: list[ReaderThread] = []  # the last one is in charge; those before it may still hang in their driver
        self._given = False  # has this source given a frame?
        self._newest: Image | None = None
        self._seq = 0  # of the next frame
        self._offset: int | None = None  # from the numbers of the reader in charge to ours; None before its first frame
        self._stop_by: float | None = None
        self._thread = Thread(target=self.update, name="capture", daemon=True)

    def start(self) -> Capture:
        """Begin to read."""
        with self._changed:
            self._take_up(self.source)
            self._thread.start()
        return self

    def update(self) -> None:
        """Supervise, on a thread of its own that sleeps until there is something to do."""
        with self._changed:
            while self._stop_by is None:
                self._changed.wait(self._supervise())

    def read(self) -> Frame:
        """Return the newest frame; wait for the first one. Raise SourceError if the source failed, or ended without any."""
        frame = self.slot.wait(0)[1]
        if self.error is not None:
            raise self.error
        if frame is None:
            raise SourceError(f"{self.source.name}: ended without a picture")
        return frame

    def switch(self, source: Source) -> None:
        """Go over to another source, which the caller has opened, also when the one before has ended, failed or is lost.

        No frame of the one before is published any more; its own thread closes it. A held picture is let go.
        """
        with self._changed:
            self._readers[-1].leave()
            self.slot.reopen()
            self._take_up(source)
            self._changed.notify_all()

    def stop(self) -> None:
        """End the threads and give the source back; a thread that hangs in a driver is left to itself. Idempotent."""
        with self._changed:
            if self._stop_by is None:
                self._stop_by = time.monotonic() + PATIENCE
            if self._thread.ident is None:
                self.source.close()
                self.slot.close()
                return
            for reader in self._readers:
                reader.leave()
            self.slot.close()
            self._changed.notify_all()
        for thread in (self._thread, *self._readers):
            thread.join(max(0.0, self._stop_by - time.monotonic()))

    def status(self) -> SourceStatus:
        """Return the state "live", "ended", "failed" (never gave a frame) or "lost" (gave some, then failed), and the reason.

        A supervised source may also be "stale" or "frozen", and one that is lost is being connected again.
        """
        with self._changed:
            name, supervision = self.source.name, self._supervision
            reconnects = supervision.reconnects if supervision else 0
            if self.error is not None:
                return SourceStatus("lost" if self._given else "failed", name, str(self.error), reconnects)
            if self.slot.closed or supervision is None:
                return SourceStatus("ended" if self.slot.closed else "live", name, self.source.note, reconnects)
            now = time.monotonic()
            return SourceStatus(supervision.state(now), name, supervision.note(now) or self.source.note, reconnects)

    def _take_up(self, source: Source) -> None:
        """Start afresh with this open source."""
        self.error, self.held, self._given, self._newest = None, False, False, None
        self._supervision = None
        if source.supervised:
            self._supervision = ConnectionMonitor(self._patience, time.monotonic(), may_stand_still=source.may_stand_still)
        self._connect(source, is_open=True)

    def _connect(self, source: Source, *, is_open: bool) -> None:
        self.source, self._offset = source, None
        reader = ReaderThread(source, self._take, self._over, once=self.once, is_open=is_open)
        self._readers = [*(each for each in self._readers if each.is_alive()), reader]
        reader.start()

    def _supervise(self) -> float | None:
        """Do what is due; return the seconds until something is due again, None if that takes an event."""
        supervision = self._supervision
        if supervision is None or self.slot.closed:
            return None
        try:
            step = supervision.step(time.monotonic())
            if step == "connect":
                self._connect(self.source.again(), is_open=False)
            elif step == "leave":
                self._readers[-1].leave()
                if not self._given:
                    raise SourceError(f"{self.source.name}: no picture within {self._patience.lost:g} s")
        except Exception as error:
            self._end(error)
        return max(0.0, supervision.deadline - time.monotonic())

    def _take(self, reader: ReaderThread, frame: Frame) -> None:
        """On the reader's thread: publish its frame, unless it has been left."""
        same = self._supervision is not None and _same(self._newest, frame.image)
        with self._changed:
            if reader.left:
                return
            if self._supervision is not None:
                expected = self._supervision.deadline
                self._supervision.frame(time.monotonic(), same)
                if self._supervision.deadline < expected:
                    self._changed.notify_all()
            if self._offset is None:
                self._offset = self._seq - frame.seq
            frame = replace(frame, seq=frame.seq + self._offset)
            self._seq, self._newest, self._given = frame.seq + 1, frame.image, True
            if not self.held or self.slot.get()[1] is None:  # there has to be a picture to hold
                self.slot.put(frame)

    def _over(self, reader: ReaderThread, error: Exception | None) -> None:
        """On the reader's thread: it will give no more."""
        with self._changed:
            if reader.left:
                return
            if self._supervision is not None and self._given and isinstance(error, (SourceError, OSError)):
                reason = str(error).rpartition(f"{self.source.name}: ")[2].removeprefix("lost: ")
                self._supervision.failed(time.monotonic(), reason)
                self._changed.notify_all()
            else:
                self._end(error)

    def _end(self, error: Exception | None) -> None:
        self.error = error
        self.slot.close()

    def __enter__(self) -> Capture:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()


def _same(before: Image | None, image: Image) -> bool:
    """Return whether two pictures are equal, bit for bit; a few pixels tell it of nearly all that are not."""
    if before is None:
        return False
    part = slice(None, None, SAMPLE)
    return np.array_equal(before[part, part], image[part, part]) and np.array_equal(before, image)

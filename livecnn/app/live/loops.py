"""The three loops: capture -> model -> display, each working on the newest item only.

The capture thread publishes frames, the model thread turns the newest one into a Tick, and the display (the window's animation,
or a plain loop without a window) asks `ready` and takes `scene`. A slow model never slows the picture, and a slow picture
never lets old frames pile up.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from threading import Event, Thread
from types import TracebackType

from livecnn.app.live.capture import Capture, LatestSlot
from livecnn.app.live.stats import Stats
from livecnn.engine.observer import Observer
from livecnn.explain.live import ExplainWorker
from livecnn.sources import Source
from livecnn.types import Frame, Scene, SourceStatus, Tick

# A frame whose pass through the network will be ready within this time is shown together with it; a slower network is not
# waited for. Seconds.
PATIENCE = 0.012
ALONG = 0.05  # seconds that new explanations wait for a new picture to come along with
LAST_PASS = 5.0  # seconds that the end waits for a pass through the network


class ModelLoop:
    """The model thread: it takes the newest frame and gives the newest tick; `passed` is called with each, on this thread."""

    def __init__(self, observer: Observer, frames: LatestSlot[Frame], passed: Callable[[Tick], None]) -> None:
        self.ticks: LatestSlot[Tick] = LatestSlot()
        self.error: Exception | None = None
        self._observer, self._frames, self._passed = observer, frames, passed
        self._halt = Event()
        self._thread = Thread(target=self._run, name="model", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Wait, within reason, for a pass that is under way. Stop the capture first: it wakes this thread."""
        self._halt.set()
        if self._thread.ident is not None:
            self._thread.join(LAST_PASS)

    def _run(self) -> None:
        seen = 0
        try:
            with self._observer as observe:
                while not self._halt.is_set():
                    version, frame = self._frames.wait(seen)
                    if frame is None or version == seen:
                        return  # the capture has ended, and its last frame is done
                    seen = version
                    tick = observe(frame)
                    self._passed(tick)
                    self.ticks.put(tick)
        except Exception as error:
            self.error = error
        finally:
            self.ticks.close()


class LiveLoop:
    """Runs the first two loops in a `with`, and tells the third one when there is something new to show.

    `explaining` explains beside the loops; it is None where nothing asks for that.
    """

    def __init__(
        self,
        capture: Capture,
        observer: Observer,
        stats: Stats,
        passed: Callable[[Tick], None] = lambda _: None,
        explaining: ExplainWorker | None = None,
    ) -> None:
        self.capture, self.observer, self.stats, self.explaining = capture, observer, stats, explaining
        self.mirrored = capture.source.mirrored
        self._passed = passed
        self._model = ModelLoop(observer, capture.slot, self._publish)
        self._tick_version = self._findings_version = 0
        self._shown_at = 0.0
        self._shown_seq = self._newest_seq = -1
        self._present: Frame | None = None  # what was held when the user began to look back
        self._shown_status: SourceStatus | None = None

    def __enter__(self) -> LiveLoop:
        with ExitStack() as undo:
            if self.explaining is not None:
                undo.enter_context(self.explaining)
            undo.callback(self._model.stop)
            undo.enter_context(self.capture)
            self._model.start()
            self._undo = undo.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self._undo.__exit__(kind, value, trace)

    def _publish(self, tick: Tick) -> None:
        self._passed(tick)
        if self.explaining is not None:
            self.explaining.on_tick(tick)

    @property
    def frozen(self) -> bool:
        """True while the picture is kept."""
        return bool(self.capture.held)

    def freeze(self, frozen: bool) -> None:
        """Keep the picture, or go on; the source is drained either way, so that going on shows the present."""
        if not frozen:
            self.come_back()
        self.capture.held = frozen

    def look_back(self, frame: Frame) -> None:
        """While frozen: pass this earlier frame through the network and show it instead."""
        if self.frozen:
            self._present = self._present or self.capture.slot.get()[1]
            self.capture.slot.put(frame)

    def come_back(self) -> Frame | None:
        """Show what was held when the user began to look back, and return it; None if it is on show."""
        present, self._present = self._present, None
        if present is not None:
            self.capture.slot.put(present)
        return present

    def switch(self, source: Source) -> None:
        """Go over to another source, already open; the present one is closed."""
        self.mirrored = source.mirrored
        self.freeze(False)
        self.capture.switch(source)

    def refresh(self) -> None:
        """Pass the newest frame through the network once more: something that the panels ask of it has changed."""
        self.capture.slot.repeat()

    def ready(self) -> bool:
        """Return whether there is anything new to show; raise what ended a loop, once all that came before it was shown."""
        if self.explaining is not None and self.explaining.error is not None:
            raise self.explaining.error
        done = self._model.ticks.closed  # asked first: no tick comes after
        version, tick = self._model.ticks.get()
        if tick is not None and (version != self._tick_version or self._fares_otherwise()):
            return True
        for error in (self.capture.error, self._model.error):
            if done and error is not None:
                raise error
        frame = self.capture.slot.get()[1]
        if frame is None and self.capture.slot.closed:
            self.capture.read()  # raises: it ended without a picture
        if tick is None or frame is None:
            return False
        return self._explained_otherwise() or (frame.seq > self._shown_seq and _waited(frame))

    def _explained_otherwise(self) -> bool:
        """Return whether there are newer explanations than on screen, and no picture has come to show them with."""
        newer = self.explaining is not None and self.explaining.newest()[0] != self._findings_version
        return newer and time.monotonic() - self._shown_at > ALONG

    def _fares_otherwise(self) -> bool:
        """Return whether the state of the source differs from what is on screen."""
        status = self.capture.status()
        return status != self._shown_status and status.state != "ended"

    @property
    def over(self) -> bool:
        """True when the source has ended and everything was shown."""
        return self._model.ticks.closed and not self.ready()

    def wait(self, timeout: float) -> None:
        """Sleep until the next tick, `timeout` seconds at most."""
        self._model.ticks.wait(self._tick_version, timeout)

    def scene(self) -> Scene:
        """Return what to show now; only when `ready` said so."""
        self._tick_version, tick = self._model.ticks.get()
        newest = self.capture.slot.get()[1]
        assert tick is not None
        assert newest is not None
        frame = newest if _waited(newest) or tick.frame.seq < self._shown_seq else tick.frame
        self._shown_seq = frame.seq
        self._newest_seq = max(self._newest_seq, tick.frame.seq)
        frozen = self.frozen or tick.frame.seq < self._newest_seq  # until the present has come back
        self._shown_status, self._shown_at = self.capture.status(), time.monotonic()
        status = self.stats.status(self._shown_status, frozen=frozen, mirrored=self.mirrored)
        self._findings_version, findings = (0, None) if self.explaining is None else self.explaining.newest()
        return Scene(frame, tick, status, findings)


def _waited(frame: Frame) -> bool:
    return time.monotonic() - frame.time > PATIENCE

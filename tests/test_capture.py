from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable

import numpy as np
import pytest
from imutils.video import WebcamVideoStream

from livecnn import capture as capture_module
from livecnn.capture import Capture
from livecnn.errors import SourceError
from livecnn.slot import Slot
from livecnn.sources import Source, SourceOptions, open_source
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


class Clock:
    """Time that passes only where somebody waits or works."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        clock = self

        class Halt(threading.Event):
            def wait(self, timeout: float | None = None) -> bool:
                clock.now += max(timeout or 0.0, 0.0)
                return self.is_set()

        monkeypatch.setattr(capture_module, "Event", Halt)
        monkeypatch.setattr(capture_module.time, "monotonic", lambda: self.now)

    def works(self, *seconds: float) -> Callable[[], None]:
        """To call before each read: takes these seconds in turn, then none."""
        left = iter(seconds)

        def work() -> None:
            self.now += next(left, 0.0)

        return work


class Recording(Slot[Frame]):
    """Keeps all that was ever put."""

    def __init__(self, enough: int | None = None, then: Callable[[], object] = lambda: None) -> None:
        super().__init__()
        self.frames: list[Frame] = []
        self._enough, self._then = enough, then

    def put(self, item: Frame) -> None:
        super().put(item)
        self.frames.append(item)
        if len(self.frames) == self._enough:
            self._then()


def times(frames: Iterable[Frame]) -> list[float]:
    return [frame.time - 100.0 for frame in frames]


def played(source: Source, once: bool = True) -> list[Frame]:
    """What a capture publishes of a source, without a thread."""
    capture = Capture(source, once=once)
    capture.slot = slot = Recording(enough=8, then=capture.stop)
    capture.update()
    return slot.frames


def test_it_is_the_stream_of_imutils() -> None:
    assert issubclass(Capture, WebcamVideoStream)


def test_a_device_sets_its_own_pace() -> None:
    source = Scripted(5)
    with Capture(source) as capture:
        capture.slot.wait(10_000, timeout=5)  # until it is closed
        assert capture.slot.closed
        frame = capture.read()
    assert frame.seq == 4
    assert frame.time <= time.monotonic()
    assert source.closed == 1


def test_paced_frames_come_when_they_are_due(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    frames = played(Scripted(4, interval=0.1, before=clock.works(0.02, 0.03, 0.09, 0.01)))
    assert times(frames) == pytest.approx([0.02, 0.1, 0.2, 0.3])
    assert [frame.seq for frame in frames] == [0, 1, 2, 3]
    assert clock.now == pytest.approx(100.4)  # the last picture, too, had its time


def test_after_slow_decoding_the_clock_is_set_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    frames = played(Scripted(6, interval=0.1, before=clock.works(0, 0.5)))
    assert times(frames) == pytest.approx([0.0, 0.5, 0.6, 0.7, 0.8, 0.9])


def test_small_delays_do_not_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    frames = played(Scripted(5, interval=0.1, before=clock.works(0, 0.15)))
    assert times(frames) == pytest.approx([0.0, 0.15, 0.2, 0.3, 0.4])


def test_a_source_that_ends_is_played_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    Clock(monkeypatch)
    source = Scripted(3, interval=0.1)
    frames = played(source, once=False)
    assert times(frames) == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7])
    assert [frame.seq for frame in frames] == list(range(8))
    assert source.rewinds == 2


def test_once_means_once(monkeypatch: pytest.MonkeyPatch) -> None:
    Clock(monkeypatch)
    source = Scripted(3, interval=0.1)
    assert len(played(source, once=True)) == 3
    assert (source.rewinds, source.closed) == (0, 1)


def test_a_held_picture_stays_while_the_source_is_read_on() -> None:
    held = iter([False, False, True, True, False, False])
    source = Scripted(6, before=lambda: setattr(capture, "held", next(held, False)))
    capture = Capture(source)
    capture.slot = slot = Recording()
    capture.update()
    assert [frame.seq for frame in slot.frames] == [0, 1, 4, 5]


@pytest.mark.parametrize("once", [True, False])
def test_a_source_without_frames_ends_instead_of_spinning(once: bool) -> None:
    with Capture(Scripted(0, interval=0.1), once=once) as capture:
        with pytest.raises(SourceError, match="script: ended without a picture"):
            capture.read()
        assert capture.error is None
        assert capture.status().state == "ended"


def test_read_waits_for_the_first_frame() -> None:
    gate = threading.Event()
    with Capture(Scripted(1, before=lambda: gate.wait(5))) as capture:
        assert capture.slot.get() == (0, None)
        gate.set()
        assert capture.read().seq == 0


def test_failing_before_and_after_the_first_frame() -> None:
    for frames, state in ((0, "failed"), (2, "lost")):
        source = Scripted(frames, error=SourceError("the plug is out"))
        with Capture(source) as capture:
            capture.slot.wait(10_000, timeout=5)
            with pytest.raises(SourceError, match="the plug is out"):
                capture.read()
            status = capture.status()
        assert (status.state, status.name, status.note, status.reconnects) == (state, "script", "the plug is out", 0)
        assert source.closed == 1


def test_a_defect_in_a_source_is_not_hidden() -> None:
    with Capture(Scripted(0, error=ZeroDivisionError("oops"))) as capture:
        with pytest.raises(ZeroDivisionError, match="oops"):
            capture.read()
        assert isinstance(capture.error, ZeroDivisionError)
        assert capture.slot.closed


def test_a_failing_rewind_is_told() -> None:
    class Vanishing(Scripted):
        def rewind(self) -> None:
            raise SourceError("the file is gone")

    with Capture(Vanishing(1, interval=0.001)) as capture:
        capture.slot.wait(10_000, timeout=5)
        assert str(capture.error) == "the file is gone"


def test_status_while_it_lives_and_after() -> None:
    capture = Capture(Scripted(10**9, interval=0.001))
    with capture:
        capture.read()
        status = capture.status()
        assert (status.state, status.name, status.note) == ("live", "script", "a note")
    assert capture.status().state == "ended"


def test_stop_does_not_wait_for_the_next_picture() -> None:
    before = threading.active_count()
    source = Scripted(10, interval=3600.0)
    capture = Capture(source).start()
    first = capture.read()
    capture.stop()
    assert threading.active_count() == before
    assert capture.slot.closed
    assert capture.read() is first
    assert source.closed == 1


def test_start_and_stop_are_idempotent() -> None:
    before = threading.active_count()
    capture = Capture(Scripted(10, interval=3600.0))
    assert capture.start() is capture.start()
    assert threading.active_count() == before + 1
    capture.stop()
    capture.stop()
    assert threading.active_count() == before


def test_stop_without_start_closes_the_source() -> None:
    source = Scripted(3)
    capture = Capture(source)
    capture.stop()
    assert source.closed == 1
    with pytest.raises(SourceError, match="ended without a picture"):
        capture.read()


def test_a_read_that_hangs_does_not_hang_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capture_module, "PATIENCE", 0.05)
    driver = threading.Event()
    source = Scripted(1, before=lambda: driver.wait(60))
    capture = Capture(source).start()
    capture.stop()
    assert source.closed == 0  # closing under a read would crash the driver
    with pytest.raises(SourceError, match="ended without a picture"):
        capture.read()
    driver.set()
    for thread in threading.enumerate():
        if thread.name == "capture script":
            thread.join(5)
    assert source.closed == 1


def test_the_demo_through_the_thread() -> None:
    source = open_source("demo")
    source.open()
    before = threading.active_count()
    with Capture(source) as capture:
        version, first = capture.slot.wait(0, timeout=10)
        _, second = capture.slot.wait(version, timeout=10)
        assert first is not None
        assert second is not None
        assert second.seq > first.seq
        assert second.time > first.time
    assert threading.active_count() == before

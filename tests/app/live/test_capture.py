from __future__ import annotations

import threading
import time

import pytest
from imutils.video import WebcamVideoStream

from livecnn.app.live import capture as capture_module
from livecnn.app.live.capture import Capture
from livecnn.errors import SourceError
from livecnn.sources import open_source
from tests.helpers.fake_sources import Scripted, ended, recorded, until


def test_it_is_the_stream_of_imutils() -> None:
    assert issubclass(Capture, WebcamVideoStream)


def test_the_newest_frame_of_a_device() -> None:
    source = Scripted(5)
    with Capture(source) as capture:
        assert ended(capture)
        frame = capture.read()
    assert frame.seq == 4
    assert frame.time <= time.monotonic()
    assert source.closed == 1


def test_a_held_picture_stays_while_the_source_is_read_on() -> None:
    held = iter([False, False, True, True, False, False])
    source = Scripted(6, before=lambda: setattr(capture, "held", next(held, False)))
    capture, slot = recorded(source)
    with capture:
        assert ended(capture)
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
            assert ended(capture)
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
        assert ended(capture)
        assert str(capture.error) == "the file is gone"


def test_status_while_it_lives_and_after() -> None:
    capture = Capture(Scripted(10**9, interval=0.001))
    assert capture.status().state == "live"
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
    capture.start()
    started = threading.active_count()
    assert capture.start() is capture
    assert threading.active_count() == started > before
    capture.stop()
    capture.stop()
    assert capture.start() is capture
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
    until(lambda: source.closed == 1)
    assert capture.slot.get() == (0, None)


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

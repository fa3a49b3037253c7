from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from livecnn.app.live import capture as capture_module
from livecnn.app.live.capture import Capture
from livecnn.app.live.supervision import Timeouts
from livecnn.errors import SourceError
from tests.helpers.fake_sources import Device, Scripted, ended, recorded, until

# Nothing happens by itself.
CALM = Timeouts(stale=60, lost=60, frozen=60, delays=(0.01,), dead=120, opening=60)


@pytest.fixture
def device() -> Iterator[Device]:
    device = Device()
    yield device
    device.release()


def test_going_over_to_another_source() -> None:
    old, new = Scripted(10**9, interval=0.001), Scripted(10**9, interval=0.001)
    old.name, new.name = "old", "new"
    capture, slot = recorded(old)
    with capture:
        until(lambda: len(slot.frames) > 5)
        capture.held = True
        capture.switch(new)
        before = len(slot.frames)
        until(lambda: len(slot.frames) > before + 5)
        assert {frame.name for frame in slot.frames[before:]} == {"new"}
        assert {frame.name for frame in slot.frames[:before]} == {"old"}
        seqs = [frame.seq for frame in slot.frames]
        assert seqs == sorted(set(seqs))
        assert (capture.source, capture.status().name) == (new, "new")
        until(lambda: old.closed == 1)
    assert new.closed == 1


@pytest.mark.parametrize("end", [None, SourceError("the plug is out")])
@pytest.mark.parametrize("frames", [0, 3])
def test_after_the_end_another_source_goes_on_in_the_same_slot(end: Exception | None, frames: int) -> None:
    gate = threading.Event()
    with Capture(Scripted(frames, error=end)) as capture:
        assert ended(capture)
        capture.switch(Scripted(10, before=lambda: gate.wait(5)))
        assert (capture.error, capture.slot.closed, capture.status().state) == (None, False, "live")
        seen = capture.slot.get()[0]
        gate.set()
        frame = capture.slot.wait(seen, timeout=5)[1]
        assert frame is not None
        assert frame.seq >= frames


def test_going_over_from_a_lost_device_and_from_one_that_hangs(device: Device) -> None:
    capture, slot = recorded(device.source(), CALM)
    with capture:
        capture.read()
        device.plugged = False
        until(lambda: len(device.made) > 3)
        capture.switch(Scripted(10**9, interval=0.001))
        assert (capture.status().state, capture.status().reconnects) == ("live", 0)
        device.plugged = True
        before = len(slot.frames)
        until(lambda: len(slot.frames) > before + 5)
        made = len(device.made)
        capture.switch(device.source())
        until(lambda: slot.frames[-1].name == "camera 7")
        device.reading.clear()
        capture.switch(Scripted(10**9, interval=0.001))
        before = len(slot.frames)
        device.reading.set()
        until(lambda: device.made[-1].closed and len(slot.frames) > before + 5)
    assert {frame.name for frame in slot.frames[before:]} == {"script"}
    assert len(device.made) == made + 1
    seqs = [frame.seq for frame in slot.frames]
    assert seqs == sorted(set(seqs))


def test_going_over_before_the_start_and_after_the_stop() -> None:
    sources = [Scripted(1) for _ in range(3)]
    capture = Capture(sources[0])
    capture.switch(sources[1])
    assert [source.closed for source in sources] == [1, 0, 0]
    with capture:
        assert ended(capture)
    capture.switch(sources[2])
    assert [source.closed for source in sources] == [1, 1, 1]
    assert capture.slot.closed


def test_all_stops_together_take_the_time_of_one(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capture_module, "PATIENCE", 0.5)
    device.reading.clear()
    capture = Capture(device.source(), patience=CALM).start()
    for _ in range(40):  # hung readers of their own
        capture.switch(device.source())
    before = time.monotonic()
    capture.stop()
    capture.stop()
    assert time.monotonic() - before < 20 * 0.5

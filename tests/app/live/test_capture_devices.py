from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from livecnn.app.live import capture as capture_module
from livecnn.app.live.capture import Capture
from livecnn.app.live.supervision import Timeouts
from livecnn.sources import Source
from livecnn.types import Frame, Image, SourceStatus
from tests.helpers.fake_sources import Device, Scripted, ended, recorded, until

# As in life, but a hundred times as fast.
BRISK = Timeouts(stale=0.02, lost=0.05, frozen=0.05, delays=(0.01, 0.02), healthy=0.6, dead=0.1, opening=0.2)
# Silence, which a busy machine can bring, is never a loss; what fails is connected again at once.
PROMPT = Timeouts(stale=60, lost=60, frozen=60, delays=(0.01, 0.02), dead=120, opening=60)
# Nothing happens by itself.
CALM = Timeouts(stale=60, lost=60, frozen=60, delays=(0.01,), dead=120, opening=60)


@pytest.fixture
def device() -> Iterator[Device]:
    device = Device()
    yield device
    device.release()


def test_a_lost_device_is_connected_again_as_soon_as_it_is_back(device: Device) -> None:
    capture, slot = recorded(device.source(), PROMPT)
    with capture:
        capture.read()
        device.plugged = False
        until(lambda: capture.status().state == "lost")
        assert capture.error is None
        assert not slot.closed
        until(lambda: len(device.made) > 4)
        status = capture.status()
        assert status.state == "lost"
        assert status.note.startswith("trying again ")
        assert status.note.endswith("time): no such device")
        device.plugged = True
        until(lambda: capture.status().state == "live")
        status = capture.status()
        assert (status.name, status.note, status.reconnects) == ("camera 7", "a note", 1)
        assert capture.source is device.made[-1]
        until(lambda: slot.frames[-1].seq > slot.frames[0].seq + 5)
    assert [frame.seq for frame in slot.frames] == list(range(len(slot.frames)))
    assert all(source.closed == 1 for source in device.made)


def test_the_reason_of_a_loss_is_told(device: Device) -> None:
    with Capture(device.source(), patience=Timeouts(delays=(60,))) as capture:
        capture.read()
        device.plugged = False
        until(lambda: capture.status().state == "lost")
        assert capture.status().note == "trying again in 60 s (1st time): is it still plugged in?"
        assert capture.read().seq >= 0  # the last picture


def test_a_read_that_hangs_is_left_and_never_heard_of_again(device: Device) -> None:
    capture, slot = recorded(device.source(), BRISK)
    with capture:
        capture.read()
        hung = device.made[0]
        hung.again = device.source  # type: ignore[method-assign]
        hung.device = Device()  # only this source's driver hangs
        hung.device.reading.clear()
        until(lambda: capture.status().reconnects >= 1)
        assert hung.closed == 0
        hung.device.size = (9, 9)
        hung.device.reading.set()
        until(lambda: hung.closed)
        newest = slot.frames[-1].seq
        until(lambda: slot.frames[-1].seq > newest + 5)
    assert {frame.image.shape for frame in slot.frames} == {(2, 3, 3)}
    assert [frame.seq for frame in slot.frames] == list(range(len(slot.frames)))


def test_a_connection_that_was_made_anew_is_watched_like_the_first(device: Device) -> None:
    patience = Timeouts(lost=0.1, delays=(0.01,), opening=3600)  # an attempt may last long, silence after it may not
    with Capture(device.source(), patience=patience) as capture:
        capture.read()
        device.plugged = False
        until(lambda: capture.status().state == "lost")
        device.plugged = True
        until(lambda: capture.status().reconnects >= 1)
        reconnects, hung = capture.status().reconnects, Device()
        hung.reading.clear()
        capture.source.again = device.source  # type: ignore[method-assign]
        capture.source.device = hung  # type: ignore[attr-defined]
        until(lambda: capture.status().reconnects > reconnects)
        hung.release()


def test_silence_is_told_before_it_is_a_loss(device: Device) -> None:
    patience = Timeouts(stale=0.02, lost=60)
    with Capture(device.source(), patience=patience) as capture:
        capture.read()
        device.reading.clear()
        until(lambda: capture.status().state == "stale")
        assert capture.status().note == "no new picture for 0 s"
        device.reading.set()
        until(lambda: capture.status().state == "live")
        assert capture.status().reconnects == 0


def test_a_camera_whose_picture_stands_still_is_connected_again(device: Device) -> None:
    patience = Timeouts(frozen=0.03, dead=0.1, delays=(0.2,))
    with Capture(device.source(), patience=patience) as capture:
        capture.read()
        device.still = True
        until(lambda: capture.status().state == "frozen")
        until(lambda: capture.status().state == "lost")
        assert "the picture stood still" in capture.status().note
        device.still = False
        until(lambda: capture.status() == SourceStatus("live", "camera 7", "a note", 1))


def test_a_stream_may_stand_still(device: Device) -> None:
    source = device.source()
    source.may_stand_still = True
    with Capture(source, patience=Timeouts(frozen=0.03, dead=0.05)) as capture:
        device.still = True
        until(lambda: capture.slot.get()[0] > 100)
        assert capture.status().state == "frozen"
    assert len(device.made) == 1


def test_an_opening_that_hangs_is_left_for_another_one(device: Device) -> None:
    with Capture(device.source(), patience=replace(PROMPT, opening=0.2)) as capture:
        capture.read()
        device.opening.clear()
        device.plugged = False
        until(lambda: "does not answer" in capture.status().note)
        device.plugged = True
        device.opening.set()
        until(lambda: capture.status().state == "live")
        assert capture.status().reconnects == 1
        until(lambda: all(source.closed for source in device.made[:-1]))
    assert device.made[-1].closed == 1


def test_an_opening_that_hangs_does_not_hang_stop(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capture_module, "PATIENCE", 0.05)
    capture = Capture(device.source(), patience=CALM).start()
    capture.read()
    device.opening.clear()
    device.plugged = False
    until(lambda: len(device.made) == 2)
    before = time.monotonic()
    capture.stop()
    assert time.monotonic() - before < 5
    device.release()
    until(lambda: device.made[1].closed)


def test_a_supervised_source_that_never_gives_a_picture_fails(device: Device) -> None:
    device.plugged = False
    with Capture(device.source(), patience=PROMPT) as capture:
        assert ended(capture)
        assert (capture.status().state, str(capture.error)) == ("failed", "camera 7: lost: is it still plugged in?")
    device.plugged = True
    device.reading.clear()
    with Capture(device.source(), patience=BRISK) as capture:
        assert ended(capture)
        assert (capture.status().state, str(capture.error)) == ("failed", "camera 7: no picture within 0.05 s")
        device.release()


@pytest.mark.parametrize("where", ["read", "again"])
def test_a_defect_while_supervised_is_not_hidden(device: Device, where: str) -> None:
    def fail() -> Source:
        raise ZeroDivisionError("oops")

    with Capture(device.source(), patience=PROMPT) as capture:
        capture.read()
        setattr(device.made[0], where, fail)
        device.plugged = where == "read"
        assert ended(capture)
        assert isinstance(capture.error, ZeroDivisionError)
        assert capture.status().state == "lost"


def test_the_size_of_the_picture_may_change(device: Device) -> None:
    capture, slot = recorded(device.source(), CALM)
    with capture:
        for size in ((4, 4), (1, 7), (600, 800)):
            device.size = size
            until(lambda size=size: slot.frames and slot.frames[-1].image.shape == (*size, 3))  # type: ignore[misc]
        assert capture.status().state == "live"
    assert len(device.made) == 1


@pytest.mark.parametrize("change", ["pixel", "size"])
def test_the_smallest_change_is_a_sign_of_life(change: str) -> None:
    class Blinking(Scripted):
        supervised = True

        def _frame(self, image: Image, name: str = "", label: str = "") -> Frame:
            picture = np.zeros((40, 40 + (change == "size" and self._given % 2), 3), np.uint8)
            picture[39, 39, 2] = change == "pixel" and self._given % 2
            return super()._frame(picture)

    frozen = 0.25
    source = Blinking(10**9, before=lambda: time.sleep(0.002))
    with Capture(source, patience=Timeouts(frozen=frozen)) as capture:
        began = capture.read().time
        until(lambda: (frame := capture.slot.get()[1]) and frame.time > began + frozen)
        assert capture.status().state == "live"

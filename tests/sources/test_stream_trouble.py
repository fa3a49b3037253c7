"""A network camera with everything that can go wrong, read through the whole chain."""

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from livecnn.app.live.capture import Capture, Timeouts
from livecnn.errors import SourceError
from livecnn.sources import open_source, stream
from tests.helpers.fake_sources import Recording
from tests.helpers.servers import MjpegServer

PATIENCE = Timeouts(stale=0.3, lost=0.8, frozen=0.3, delays=(0.05, 0.1), healthy=60, dead=0.5, opening=5)


class Rig:
    """A camera on the network, and the capture that reads it."""

    def __init__(self, camera: MjpegServer) -> None:
        self.camera = camera
        source = open_source(camera.address)
        source.open()
        self.capture = Capture(source, patience=PATIENCE)
        self.capture.slot = self.slot = Recording()

    def until(self, condition: Callable[[], object], seconds: float = 20.0) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, self.capture.status()
            self.slot.wait(self.slot.get()[0], timeout=0.01)

    def becomes(self, state: str) -> None:
        self.until(lambda: self.capture.status().state == state)

    def goes_on(self) -> None:
        """Live, with fresh pictures."""
        self.becomes("live")
        before = len(self.slot.frames)
        self.until(lambda: len(self.slot.frames) > before + 3)
        assert self.capture.status().note == ""


@pytest.fixture
def rig() -> Iterator[Rig]:
    before = set(threading.enumerate())
    with MjpegServer() as camera:
        rig = Rig(camera)
        with rig.capture:
            rig.goes_on()
            yield rig
        seqs = [frame.seq for frame in rig.slot.frames]
        assert seqs == sorted(set(seqs))
        assert rig.capture.error is None
    assert not {thread for thread in set(threading.enumerate()) - before if thread.name.startswith("capture")}


def test_a_line_that_is_cut(rig: Rig) -> None:
    rig.camera.cut()
    rig.becomes("lost")
    assert rig.capture.status().note.startswith("trying again ")
    rig.until(lambda: "(3rd time): no picture within 4 s; is the address right" in rig.capture.status().note)
    rig.camera.restore()
    rig.goes_on()
    assert rig.capture.status().reconnects == 1


def test_a_line_that_falls_silent(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "TIMEOUT", 0.5)  # of the attempts; the reader that hangs does so for 4 seconds
    rig.camera.stall()
    rig.becomes("stale")
    assert rig.capture.status().note.startswith("no new picture for ")
    rig.becomes("lost")
    assert "no more pictures came" in rig.capture.status().note
    rig.camera.restore()
    rig.goes_on()
    assert rig.capture.status().reconnects == 1


def test_a_picture_that_stands_still(rig: Rig) -> None:
    rig.camera.freeze()
    rig.becomes("frozen")
    first = rig.slot.frames[-1]
    rig.until(lambda: rig.slot.frames[-1].time > first.time + 2 * PATIENCE.dead)
    assert rig.capture.status().note.startswith("the same picture for ")
    rig.camera.restore()
    rig.goes_on()
    assert (rig.capture.status().reconnects, rig.camera.connections) == (0, 1)


def test_broken_pictures_are_not_shown(rig: Rig) -> None:
    rig.camera.truncate()
    rig.becomes("stale")
    rig.camera.restore()
    rig.goes_on()


def test_pictures_of_another_size_keep_their_proportions(rig: Rig) -> None:
    for width, height in ((96, 40), (40, 96), (320, 240)):
        rig.camera.resize(width, height)
        rig.until(lambda shape=(height, width, 3): rig.slot.frames[-1].image.shape == shape)  # type: ignore[misc]
    rig.goes_on()
    assert rig.capture.status().reconnects == 0


def test_broken_pictures_for_ever_are_a_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "TIMEOUT", 0.3)
    with MjpegServer() as camera, open_source(camera.address) as source:
        assert source.supervised
        assert source.may_stand_still
        camera.truncate()
        with pytest.raises(SourceError, match=r"lost: no picture within 0\.3 s"):
            for _ in range(100):
                source.read()
        assert source.again().name == source.name

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from livecnn._cv2 import cv2
from livecnn.app.live.capture import Capture, Timeouts
from livecnn.errors import SourceError
from livecnn.sources import open_source, stream
from tests.helpers.fake_sources import Recording
from tests.helpers.servers import Answer, LocalServer, MjpegServer, status

FRAMES = 12


def jpeg(level: int) -> bytes:
    return cv2.imencode(".jpg", np.full((48, 64, 3), (0, 0, level), np.uint8))[1].tobytes()


def motion_jpeg(answer: Answer) -> None:
    """What a network camera sends: a part per picture, here a few, then it hangs up."""
    answer.send_response(200)
    answer.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
    answer.end_headers()
    for i in range(FRAMES):
        picture = jpeg(20 * i)
        head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(picture)}\r\n\r\n"
        answer.wfile.write(head.encode() + picture + b"\r\n")


def test_pictures_of_a_network_camera_until_it_hangs_up() -> None:
    with LocalServer(motion_jpeg) as server, open_source(f"{server.address}/video") as source:
        assert (source.interval, source.mirrored, source.camera_like) == (None, False, True)
        assert source.name == f"{server.address}/video"
        frames = [source.read() for _ in range(FRAMES - 1)]
        with pytest.raises(SourceError, match="video: lost: no picture within 4 s, or the other side hung up"):
            source.read()
    reds = [frame.image[..., 0].mean() for frame in frames if frame is not None]
    np.testing.assert_allclose(reds, [20 * i for i in range(1, FRAMES)], atol=4)  # the one taken while opening is old
    assert [frame.seq for frame in frames if frame is not None] == list(range(FRAMES - 1))


def test_a_file_on_a_server_keeps_its_pace_and_ends(clip: Callable[..., Path]) -> None:
    content = clip(5, 10.0).read_bytes()

    def send_file(answer: Answer) -> None:
        answer.send_response(200)
        answer.send_header("Content-Type", "video/x-msvideo")
        answer.send_header("Content-Length", str(len(content)))
        answer.end_headers()
        answer.wfile.write(content)

    with LocalServer(send_file) as server, open_source(f"{server.address}/clip.avi") as source:
        assert source.interval == pytest.approx(0.1)
        assert len(list(iter(source.read, None))) == 5
        source.rewind()
        assert len(list(iter(source.read, None))) == 5


def test_an_address_without_pictures() -> None:
    with LocalServer(status(404)) as server, pytest.raises(SourceError, match="is the address right"):
        open_source(f"{server.address}/video").open()


def test_nobody_answers() -> None:
    with LocalServer(motion_jpeg) as server:
        pass
    with pytest.raises(SourceError, match="no picture within 4 s"):
        open_source(server.address).open()


def test_a_camera_that_stays_silent_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "TIMEOUT", 0.2)
    with (
        LocalServer(lambda answer: answer.owner.over.wait()) as server,
        pytest.raises(SourceError, match=r"no picture within 0\.2 s"),
    ):
        open_source(server.address).open()


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("rtsp://user:secret@host:554/1", "rtsp://host:554/1"),
        ("http://host/video", "http://host/video"),
        ("http://user:secret@[broken/video", "[broken/video"),
    ],
)
def test_passwords_are_not_shown(fake_cv2: type, address: str, shown: str) -> None:
    source = open_source(address)
    assert source.name == shown
    with pytest.raises(SourceError, match="stream ") as caught:
        source.open()
    assert "secret" not in str(caught.value)
    assert fake_cv2.opened[0].device == address


def test_jpegs_are_decoded_one_by_one_and_broken_ones_left_out(fake_cv2: type, monkeypatch: pytest.MonkeyPatch) -> None:
    packets = [np.frombuffer(jpeg(level), np.uint8)[None] for level in (60, 120)]
    empty, broken = packets[0][:, :0], packets[0][:, :100]
    fake_cv2.devices["http://host/"] = [np.zeros((48, 64, 3), np.uint8), packets[0], empty, broken, packets[1]]
    monkeypatch.setattr(fake_cv2, "get", lambda _, key: cv2.VideoWriter.fourcc(*"MJPG") if key == cv2.CAP_PROP_FOURCC else 0)
    monkeypatch.setattr(fake_cv2, "set", lambda *_: True)
    with open_source("http://host/") as source:
        frames = [source.read(), source.read()]
    assert [frame and round(frame.image[..., 0].mean(), -1) for frame in frames] == [60, 120]


# A network camera with everything that can go wrong, read through the whole chain

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

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from livecnn._cv2 import cv2
from livecnn.errors import SourceError
from livecnn.sources import SourceOptions, open_source
from livecnn.sources.camera import CameraSource, is_device, listed_numbers, probed, trouble, video_devices

BLUE = np.zeros((48, 64, 3), np.uint8)
BLUE[..., 0] = 255  # in OpenCV's order
pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="devices as Linux lists them"),
    pytest.mark.usefixtures("linux"),
]

DEVICE = "/dev/null"  # a character device that is always there


@pytest.mark.parametrize(
    ("spec", "device", "name"),
    [("camera", 0, "camera 0"), ("camera:1", 1, "camera 1"), ("camera:/dev/video2", "/dev/video2", "camera /dev/video2")],
)
def test_frames_of_a_camera(fake_cv2: type, spec: str, device: object, name: str) -> None:
    fake_cv2.devices[device] = [BLUE] * 3
    with open_source(spec) as source:
        before = time.monotonic()
        frames = [source.read(), source.read()]
        after = time.monotonic()
    assert (source.name, source.interval, source.mirrored, source.camera_like) == (name, None, True, True)
    for seq, frame in enumerate(frames):
        assert (frame.seq, frame.name) == (seq, name)
        assert before <= frame.time <= after
        assert frame.image.shape == (48, 64, 3)
        assert frame.image[0, 0].tolist() == [0, 0, 255]
    assert fake_cv2.opened[0].released


def test_compression_is_asked_for_first_then_size_then_rate(fake_cv2: type) -> None:
    fake_cv2.devices[0] = [BLUE]
    with open_source("camera", SourceOptions(camera_size=(1280, 720), camera_fps=60)):
        assert fake_cv2.opened[0].asked == [
            (cv2.CAP_PROP_FOURCC, int.from_bytes(b"MJPG", "little")),
            (cv2.CAP_PROP_FRAME_WIDTH, 1280),
            (cv2.CAP_PROP_FRAME_HEIGHT, 720),
            (cv2.CAP_PROP_FPS, 60),
        ]


def test_a_camera_that_is_lost(fake_cv2: type) -> None:
    fake_cv2.devices[0] = [BLUE, BLUE]
    with open_source("camera") as source:
        assert source.read() is not None
        with pytest.raises(SourceError, match="camera 0: lost: it gives no more pictures"):
            source.read()


@pytest.mark.parametrize(
    ("platform", "backends"),
    [
        ("linux", [cv2.CAP_V4L2]),
        ("win32", [cv2.CAP_MSMF, cv2.CAP_DSHOW]),
        ("darwin", [cv2.CAP_AVFOUNDATION]),
        ("freebsd", [cv2.CAP_ANY]),
    ],
)
def test_every_backend_is_tried_and_given_back(
    fake_cv2: type, on: Callable[[str], None], platform: str, backends: list[int]
) -> None:
    on(platform)
    with pytest.raises(SourceError, match="camera 9: "):
        open_source("camera:9").open()
    assert [capture.backend for capture in fake_cv2.opened] == backends
    assert all(capture.released for capture in fake_cv2.opened)


def test_directshow_helps_out(fake_cv2: type, on: Callable[[str], None]) -> None:
    on("win32")
    fake_cv2.devices[0] = [BLUE, BLUE]
    fake_cv2.working.add(cv2.CAP_DSHOW)
    with open_source("camera") as source:
        assert source.read() is not None
    assert [capture.released for capture in fake_cv2.opened] == [True, True]


@pytest.mark.parametrize(
    ("platform", "address", "message", "tried"),
    [
        *(
            ("linux", address, f"camera '{address}': no such camera; allowed: a number .* or a device", [])
            for address in ("front", "-1", "99999999999", "256")
        ),
        ("win32", "/dev/video0", r"allowed: a number from 0 to 255$", []),
        ("darwin", "", r"no such camera, held by another program or not allowed .*Privacy", [True]),
    ],
)
def test_what_is_told_where_there_is_no_camera(
    fake_cv2: type, on: Callable[[str], None], platform: str, address: str, message: str, tried: list[bool]
) -> None:
    on(platform)
    with pytest.raises(SourceError, match=message):
        open_source(f"camera:{address}").open()
    assert [capture.released for capture in fake_cv2.opened] == tried


def test_an_index_that_does_not_exist_on_this_very_machine() -> None:
    with pytest.raises(SourceError, match="camera 250: no such device; cameras found: "):
        open_source("camera:250").open()


def test_a_camera_is_supervised_and_made_anew_with_all_that_was_asked() -> None:
    options = SourceOptions(camera_size=(320, 240))
    source = open_source("camera:2", options)
    again = source.again()
    assert (type(again), again.address, again.options) == (CameraSource, "2", options)
    assert (source.supervised, source.may_stand_still) == (True, False)
    assert again is not source


def test_all_cameras_that_there_may_be(fake_cv2: type, tmp_path: Path) -> None:
    for i in (0, 1, 2, 7):
        (tmp_path / "dev" / f"video{i}").touch()
    fake_cv2.devices |= {0: [BLUE], 2: [BLUE], 7: [BLUE], 9: [BLUE]}
    assert [(camera.name, error is None) for camera, error in probed(SourceOptions())] == [
        ("camera 0", True),
        ("camera 1", False),
        ("camera 2", True),
        ("camera 7", True),
    ]


def test_elsewhere_numbers_are_tried_until_two_in_a_row_give_nothing(fake_cv2: type, on: Callable[[str], None]) -> None:
    on("darwin")
    fake_cv2.devices |= {1: [BLUE], 4: [BLUE]}
    assert [camera.name for camera, error in probed(SourceOptions()) if error is None] == ["camera 1"]
    assert [capture.device for capture in fake_cv2.opened] == [0, 1, 2, 3]


def process(tmp_path: Path, number: int, program: str, opened: str) -> None:
    folder = tmp_path / "proc" / str(number)
    (folder / "fd").mkdir(parents=True)
    (folder / "comm").write_text(f"{program}\n")
    (folder / "fd" / "3").symlink_to(opened)


def test_devices_and_their_numbers_are_listed_in_natural_order(tmp_path: Path) -> None:
    assert video_devices() == []
    for name in ("video10", "video2", "video0", "video-dec", "video"):
        (tmp_path / "dev" / name).touch()
    assert [Path(device).name for device in video_devices() if device[-1].isdecimal()] == ["video0", "video2", "video10"]
    assert listed_numbers() == [0, 2, 10]


def test_a_device_by_any_of_its_names(tmp_path: Path) -> None:
    (tmp_path / "dev" / "video2").touch()
    (tmp_path / "dev" / "by-id").symlink_to(tmp_path / "dev" / "video2")
    same = (2, "2", str(tmp_path / "dev" / "video2"), str(tmp_path / "dev" / "by-id"))
    assert all(is_device(camera, 2) for camera in same)
    assert not any(is_device(camera, 0) for camera in same)
    assert is_device("", 0)


def test_what_is_missing_or_none_or_forbidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert trouble("/dev/video77") == "no such device; cameras found: none"
    file = tmp_path / "dev" / "video0"
    file.touch()
    assert trouble("/dev/video77").endswith(f"cameras found: {file}")
    assert trouble(str(file)).startswith("not a camera")
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert "add yourself to the group 'video'" in trouble(DEVICE)


def test_the_program_that_holds_the_device_is_named(tmp_path: Path) -> None:
    process(tmp_path, 41, "editor", "/dev/zero")
    process(tmp_path, 42, "cheese", DEVICE)
    assert trouble(DEVICE) == "held by another program: cheese (process 42); close it and try again"


def test_we_do_not_blame_ourselves_nor_who_cannot_be_seen(tmp_path: Path) -> None:
    process(tmp_path, os.getpid(), "python", DEVICE)
    process(tmp_path, 43, "gone", DEVICE)
    (tmp_path / "proc" / "43" / "comm").unlink()
    assert trouble(DEVICE).startswith("gives no picture; another program may hold it")

import os
import sys
from pathlib import Path

import pytest

from livecnn.sources.support import v4l_devices as _devices
from livecnn.sources.support.v4l_devices import is_device, listed_numbers, trouble, video_devices

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="devices as Linux lists them")

DEVICE = "/dev/null"  # a character device that is always there


@pytest.fixture(autouse=True)
def _fresh_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("dev", "proc"):
        (tmp_path / name).mkdir()
        monkeypatch.setattr(_devices, name.upper(), tmp_path / name)


def process(tmp_path: Path, number: int, program: str, opened: str) -> None:
    folder = tmp_path / "proc" / str(number)
    (folder / "fd").mkdir(parents=True)
    (folder / "comm").write_text(f"{program}\n")
    (folder / "fd" / "3").symlink_to(opened)


def test_devices_are_listed_in_natural_order(tmp_path: Path) -> None:
    assert video_devices() == []
    for i in (10, 2, 0):
        (tmp_path / "dev" / f"video{i}").touch()
    assert [Path(device).name for device in video_devices()] == ["video0", "video2", "video10"]


def test_numbers_of_the_listed_devices(tmp_path: Path) -> None:
    for name in ("video3", "video0", "video-dec", "video"):
        (tmp_path / "dev" / name).touch()
    assert listed_numbers() == [0, 3]


def test_a_device_by_any_of_its_names(tmp_path: Path) -> None:
    (tmp_path / "dev" / "video2").touch()
    (tmp_path / "dev" / "by-id").symlink_to(tmp_path / "dev" / "video2")
    same = (2, "2", str(tmp_path / "dev" / "video2"), str(tmp_path / "dev" / "by-id"))
    assert all(is_device(camera, 2) for camera in same)
    assert not any(is_device(camera, 0) for camera in same)
    assert is_device("", 0)


def test_a_missing_device_tells_which_there_are(tmp_path: Path) -> None:
    assert trouble("/dev/video77") == "no such device; cameras found: none"
    (tmp_path / "dev" / "video0").touch()
    assert trouble("/dev/video77").endswith("cameras found: " + str(tmp_path / "dev" / "video0"))


def test_a_file_is_no_camera(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    assert trouble(str(tmp_path / "notes.txt")).startswith("not a camera")


def test_no_permission(monkeypatch: pytest.MonkeyPatch) -> None:
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

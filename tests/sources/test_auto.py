from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from livecnn.sources import SourceOptions, open_source

PICTURE = np.zeros((48, 64, 3), np.uint8)


pytestmark = pytest.mark.usefixtures("linux")


def test_the_first_camera_that_answers_is_taken_and_connected_again(fake_cv2: type, linux: Path) -> None:
    for i in (0, 1, 2):
        (linux / "dev" / f"video{i}").touch()
    fake_cv2.devices |= {1: [PICTURE] * 2, 2: [PICTURE] * 2}
    with open_source("auto") as source:
        assert (source.name, source.note, source.interval) == ("camera 1", "", None)
        assert source.mirrored
        assert source.camera_like
        assert source.supervised
        assert source.read().name == "camera 1"
        again = source.again()
    assert (type(again).__name__, again.name, again.mirrored) == ("CameraSource", "camera 1", True)
    assert [capture.device for capture in fake_cv2.opened] == [0, 1]
    assert all(capture.released for capture in fake_cv2.opened)


@pytest.mark.parametrize("platform", ["win32", "darwin"])
def test_elsewhere_nobody_knows_whether_there_is_a_camera(fake_cv2: type, on: Callable[[str], None], platform: str) -> None:
    on(platform)
    with open_source("auto") as source:
        assert source.note == "no camera answers: the demo plays"
    assert {capture.device for capture in fake_cv2.opened} == {0, 1}


def test_without_a_camera_the_demo_plays(fake_cv2: type) -> None:
    with open_source("auto", SourceOptions(seed=4)) as source, open_source("demo", SourceOptions(seed=4)) as demo:
        assert (source.name, source.interval) == ("demo", demo.interval)
        assert source.note == "no camera found: the demo plays"
        assert not source.mirrored
        assert not source.supervised
        np.testing.assert_array_equal(source.read().image, demo.read().image)
        source.rewind()
        assert source.read().seq == 1
    assert all(capture.released for capture in fake_cv2.opened)


def test_a_camera_that_is_there_but_does_not_answer_is_worth_its_reason(fake_cv2: type, linux: Path) -> None:
    for i in (3, 4):
        (linux / "dev" / f"video{i}").touch()
    with open_source("auto") as source:
        assert source.note.startswith("camera 3: ")
        assert source.note.endswith(": the demo plays")
    assert fake_cv2.opened

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from livecnn.sources import SourceOptions, _devices, open_source

PICTURE = np.zeros((48, 64, 3), np.uint8)


def test_a_camera_that_answers_is_taken(fake_cv2: type) -> None:
    fake_cv2.devices[0] = [PICTURE] * 2
    with open_source("auto") as source:
        assert (source.name, source.note, source.interval) == ("camera 0", "", None)
        assert source.mirrored
        assert source.camera_like
        frame = source.read()
        assert frame is not None
        assert frame.name == "camera 0"
    assert fake_cv2.opened[0].released


def test_without_a_camera_the_demo_plays(fake_cv2: type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_devices, "DEV", tmp_path)
    with open_source("auto", SourceOptions(seed=4)) as source, open_source("demo", SourceOptions(seed=4)) as demo:
        assert (source.name, source.interval) == ("demo", demo.interval)
        assert source.note == "no camera found: the demo plays"
        assert not source.mirrored
        frame, same = source.read(), demo.read()
        assert frame is not None
        assert same is not None
        np.testing.assert_array_equal(frame.image, same.image)
        source.rewind()
        following = source.read()
        assert following is not None
        assert following.seq == 1
    assert all(capture.released for capture in fake_cv2.opened)


def test_a_camera_that_is_there_but_does_not_answer_is_worth_its_reason(
    fake_cv2: type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "video0").touch()
    monkeypatch.setattr(_devices, "DEV", tmp_path)
    with open_source("auto") as source:
        assert source.note.startswith("camera 0: ")
        assert source.note.endswith(": the demo plays")
    assert fake_cv2.opened

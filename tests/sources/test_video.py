from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from livecnn._cv2 import cv2
from livecnn.errors import SourceError
from livecnn.sources import SourceOptions, open_source

Clip = Callable[..., Path]


def test_frames_in_order_in_rgb_with_names_and_times(clip: Clip) -> None:
    path = clip(5, 10.0)
    with open_source(f"video:{path}") as source:
        assert source.interval == pytest.approx(0.1)
        assert source.camera_like
        assert not source.mirrored
        frames = list(iter(source.read, None))
        assert source.read() is None
    assert [f.name for f in frames] == [f"{path.name} #{i}" for i in range(5)]
    assert [f.seq for f in frames] == [0, 1, 2, 3, 4]
    assert [f.time for f in frames] == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])
    for i, frame in enumerate(frames):
        assert frame.image.shape == (48, 64, 3)
        assert frame.image.dtype == np.uint8
        np.testing.assert_allclose(frame.image.mean(axis=(0, 1)), [20 * i, 0, 0], atol=4)


def test_rewind_starts_over_and_goes_on_counting(clip: Clip) -> None:
    with open_source(str(clip(3))) as source:
        first = list(iter(source.read, None))
        source.rewind()
        source.read()  # and in the middle
        source.rewind()
        again = list(iter(source.read, None))
    assert [f.name for f in again] == [f.name for f in first]
    assert [f.seq for f in again] == [4, 5, 6]
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a.image, b.image)


def test_the_user_may_ask_for_another_pace(clip: Clip) -> None:
    with open_source(f"video:{clip(3, 10.0)}", SourceOptions(fps=4)) as source:
        assert source.interval == 0.25


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan"), float("inf"), 90_000.0])
def test_a_file_that_does_not_know_its_rate(clip: Clip, monkeypatch: pytest.MonkeyPatch, rate: float) -> None:
    real = cv2.VideoCapture

    class Rateless:
        def __init__(self, path: str, backend: int) -> None:
            capture = real(path, backend)
            self.read, self.release = capture.read, capture.release

        def get(self, _: int) -> float:
            return rate

    monkeypatch.setattr(cv2, "VideoCapture", Rateless)
    with open_source(f"video:{clip(3)}") as source:
        assert source.interval == 1 / 25


def test_the_real_recording(shared: Path) -> None:
    with open_source(f"video:{shared / 'videos' / 'webcam_person_640x480_30fps.mkv'}") as source:
        assert source.interval == pytest.approx(1 / 30)
        shapes = {frame.image.shape for frame in iter(source.read, None)}
    assert shapes == {(480, 640, 3)}


def test_a_cut_file_plays_as_far_as_it_goes(clip: Clip, tmp_path: Path) -> None:
    content = clip(12).read_bytes()
    cut = tmp_path / "cut.avi"
    cut.write_bytes(content[: len(content) - 1000])
    with open_source(f"video:{cut}") as source:
        assert 1 <= len(list(iter(source.read, None))) < 12


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "which file"),
        ("missing.mp4", "missing.mp4: no such file"),
        (".", "not a file"),
        ("text.mp4", "not a video, or one without a frame"),
        ("empty.mp4", "not a video, or one without a frame"),
        ("frameless.avi", "not a video, or one without a frame"),
        ("picture.png", "a picture, not a video; for pictures give their folder"),
    ],
)
def test_files_that_cannot_be_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clip: Clip, name: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("text.mp4").write_text("hello")
    Path("empty.mp4").touch()
    Path("frameless.avi").write_bytes(clip(0).read_bytes())
    cv2.imwrite("picture.png", np.zeros((4, 4, 3), np.uint8))
    source = open_source(f"video:{name}")
    with pytest.raises(SourceError, match=message):
        source.open()
    source.close()


def test_a_file_that_vanishes_is_told_on_rewind(clip: Clip, tmp_path: Path) -> None:
    path = tmp_path / "clip.avi"
    path.write_bytes(clip(3).read_bytes())
    with open_source(f"video:{path}") as source:
        path.unlink()
        with pytest.raises(SourceError, match="no such file"):
            source.rewind()


def test_a_decoder_that_raises_ends_the_video(fake_cv2: type, tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.touch()
    gray = np.full((2, 2), 9, np.uint8)
    fake_cv2.devices[str(path)] = [gray, cv2.error("bad data")]
    with open_source(f"video:{path}") as source:
        frame = source.read()
        np.testing.assert_array_equal(frame.image, np.dstack([gray] * 3))
        assert source.read() is None
    assert fake_cv2.opened[0].released

import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from livecnn.app.controls import recording as film_module
from livecnn.app.controls.recording import LiveRecording
from livecnn.errors import OutputError

PICTURE = np.full((48, 64, 3), 90, np.uint8)


@pytest.fixture
def no_ffmpeg(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> str:
        raise OutputError("no ffmpeg")

    monkeypatch.setattr(film_module, "find_ffmpeg", missing)


def test_without_ffmpeg_a_gif(tmp_path: Path, no_ffmpeg: None) -> None:
    film = LiveRecording(tmp_path / "recordings")
    assert film.close() == []
    film.add(PICTURE, 0.0)  # nothing is recorded: nothing happens
    film.start()
    begun = film.since
    assert begun is not None
    film.add(PICTURE, begun)
    (told,) = film.close()
    assert film.since is None
    (path,) = (tmp_path / "recordings").iterdir()
    assert path.suffix == ".gif"
    assert told == f"recorded {path} (0.0 MB)"
    with PillowImage.open(path) as image:
        assert image.size == (64, 48)
    assert film.close() == []


def test_a_film_lasts_until_it_is_stopped(tmp_path: Path, no_ffmpeg: None, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    film = LiveRecording(tmp_path)
    film.start()
    film.add(PICTURE, 100.0)
    now[0] = 103.0  # the picture stood still
    film.close()
    (path,) = tmp_path.iterdir()
    with PillowImage.open(path) as image:
        assert image.info["duration"] == 3000


def test_a_film_without_a_picture(tmp_path: Path, no_ffmpeg: None) -> None:
    film = LiveRecording(tmp_path)
    film.start()
    (told,) = film.close()
    assert told.endswith(".gif: nothing to record")
    assert list(tmp_path.iterdir()) == []


def test_two_films_one_after_the_other(tmp_path: Path, no_ffmpeg: None) -> None:
    film = LiveRecording(tmp_path)
    for _ in range(2):
        film.start()
        film.add(PICTURE, time.monotonic())
        film.stop()
    assert len(film.close()) == len(list(tmp_path.iterdir())) == 2
    assert film.news() is None

import itertools
import os
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from livecnn.app.controls import background
from livecnn.app.controls.background import PAUSE_TO_LOOK, FileWatcher, LiveRecording, SourceOpener
from livecnn.errors import OutputError, SourceError
from livecnn.sources import Source, SourceOptions
from livecnn.types import Frame

PICTURE = np.full((48, 64, 3), 90, np.uint8)


class Door(Source):
    """Opens when the gate does, or fails."""

    def __init__(self, error: Exception | None = None, gate: threading.Event | None = None) -> None:
        super().__init__("", SourceOptions())
        self.name, self.error, self.gate = "door", error, gate
        self.state = "shut"

    def open(self) -> None:
        if self.gate is not None:
            assert self.gate.wait(10)
        if self.error is not None:
            raise self.error
        self.state = "open"

    def read(self) -> Frame | None:
        return None

    def close(self) -> None:
        self.state = "closed"


def answer_of(opener: SourceOpener) -> Source | Exception:
    deadline = time.monotonic() + 10
    while (answer := opener.poll()) is None:
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.001)
    return answer


def test_the_first_that_answers_is_opened() -> None:
    opener, first, second, third = SourceOpener(), Door(SourceError("held")), Door(), Door()
    assert opener.open([first, second, third])
    assert answer_of(opener) is second
    assert (second.state, third.state) == ("open", "shut")
    assert opener.poll() is None


def test_one_request_at_a_time() -> None:
    opener, gate, other = SourceOpener(), threading.Event(), Door()
    assert opener.open([Door(gate=gate)])
    assert not opener.open([other])
    gate.set()
    answer_of(opener)
    assert opener.open([other])
    assert answer_of(opener) is other


@pytest.mark.parametrize(
    ("error", "message"),
    [(SourceError("held by another"), "held by another"), (ZeroDivisionError("oops"), "door: ZeroDivisionError: oops")],
)
def test_why_none_opens(error: Exception, message: str) -> None:
    opener = SourceOpener()
    opener.open([Door(error)])
    assert str(answer_of(opener)) == message


def test_nothing_to_open() -> None:
    opener = SourceOpener()
    opener.open([])
    assert isinstance(answer_of(opener), SourceError)


def test_what_nobody_fetched_is_closed_again() -> None:
    early, late, gate = Door(), Door(gate=threading.Event()), threading.Event()
    opener = SourceOpener()
    opener.open([early])
    while early.state == "shut":
        time.sleep(0.001)
    opener.close()
    opener._thread.join(10)  # type: ignore[union-attr]
    assert early.state == "closed"

    late.gate = gate
    opener = SourceOpener()
    opener.open([late])
    opener.close()
    gate.set()
    opener._thread.join(10)  # type: ignore[union-attr]
    assert late.state == "closed"


@pytest.fixture
def no_ffmpeg(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> str:
        raise OutputError("no ffmpeg")

    monkeypatch.setattr(background, "find_ffmpeg", missing)


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


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every look at the clock is one pause later."""
    ticks = itertools.count(1)
    monkeypatch.setattr(background.time, "monotonic", lambda: next(ticks) * PAUSE_TO_LOOK)


def write(path: Path, text: str, when: int) -> None:
    path.write_text(text)
    os.utime(path, ns=(when, when))


@pytest.mark.usefixtures("looks")
def test_a_saved_file_is_told_once_when_it_stands_still(tmp_path: Path) -> None:
    one, two = tmp_path / "one.yaml", tmp_path / "two.yaml"
    write(one, "a", 1)
    write(two, "b", 1)
    watch = FileWatcher([one, two])
    assert [watch.changed() for _ in range(3)] == [False, False, False]
    write(two, "c", 2)
    assert not watch.changed()  # it may still be being written
    write(two, "cd", 3)
    assert not watch.changed()
    assert [watch.changed() for _ in range(3)] == [True, False, False]


@pytest.mark.usefixtures("looks")
def test_a_file_that_an_editor_replaces(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    write(path, "a", 1)
    watch = FileWatcher([path])
    path.unlink()
    assert not watch.changed()
    write(tmp_path / "new", "ab", 1)
    (tmp_path / "new").replace(path)
    assert not watch.changed()
    assert watch.changed()


@pytest.mark.usefixtures("looks")
def test_a_file_that_is_gone_is_told_and_so_is_its_return(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    write(path, "a", 1)
    watch = FileWatcher([path])
    path.unlink()
    assert [watch.changed() for _ in range(3)] == [False, True, False]
    write(path, "a", 9)
    assert [watch.changed() for _ in range(3)] == [False, True, False]


@pytest.mark.usefixtures("looks")
def test_other_files_from_now_on(tmp_path: Path) -> None:
    one, two = tmp_path / "one.yaml", tmp_path / "two.yaml"
    write(one, "a", 1)
    watch = FileWatcher([one])
    watch.follow([two])
    write(one, "b", 2)
    assert [watch.changed() for _ in range(3)] == [False] * 3
    write(two, "b", 2)
    assert [watch.changed() for _ in range(3)] == [False, True, False]


@pytest.mark.usefixtures("looks")
def test_the_disk_is_left_alone_between_two_looks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.yaml"
    write(path, "a", 1)
    watch = FileWatcher([path])
    assert not watch.changed()
    now = background.time.monotonic()
    monkeypatch.setattr(background.time, "monotonic", lambda: now - PAUSE_TO_LOOK)
    monkeypatch.setattr(background.os, "stat", lambda _: pytest.fail("looked at the disk"))
    assert not watch.changed()

import itertools
import os
from pathlib import Path

import pytest

from livecnn.app.controls import file_watch as reload
from livecnn.app.controls.file_watch import PAUSE, FileWatcher


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every look at the clock is one pause later."""
    ticks = itertools.count(1)
    monkeypatch.setattr(reload.time, "monotonic", lambda: next(ticks) * PAUSE)


def write(path: Path, text: str, when: int) -> None:
    path.write_text(text)
    os.utime(path, ns=(when, when))


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


def test_a_file_that_is_gone_is_told_and_so_is_its_return(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    write(path, "a", 1)
    watch = FileWatcher([path])
    path.unlink()
    assert [watch.changed() for _ in range(3)] == [False, True, False]
    write(path, "a", 9)
    assert [watch.changed() for _ in range(3)] == [False, True, False]


def test_other_files_from_now_on(tmp_path: Path) -> None:
    one, two = tmp_path / "one.yaml", tmp_path / "two.yaml"
    write(one, "a", 1)
    watch = FileWatcher([one])
    watch.follow([two])
    write(one, "b", 2)
    assert [watch.changed() for _ in range(3)] == [False] * 3
    write(two, "b", 2)
    assert [watch.changed() for _ in range(3)] == [False, True, False]


def test_the_disk_is_left_alone_between_two_looks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.yaml"
    write(path, "a", 1)
    watch = FileWatcher([path])
    assert not watch.changed()
    now = reload.time.monotonic()
    monkeypatch.setattr(reload.time, "monotonic", lambda: now - PAUSE)
    monkeypatch.setattr(reload.os, "stat", lambda _: pytest.fail("looked at the disk"))
    assert not watch.changed()

from __future__ import annotations

import csv
import os
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as PillowImage

from livecnn.app.scores_table import ScoresTable
from livecnn.errors import OutputError
from livecnn.io import files as outputs
from livecnn.io.files import check_writable, free_path, unfinished, write_atomically, write_png
from livecnn.types import Box, Frame, Patch, Prepared, Tick

PICTURE = np.zeros((2, 2, 3), np.uint8)
FULL = Path("/dev/full")  # every write to it fails as on a full disk
needs_dev_full = pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")


def tick_of(scores: Sequence[float], name: str = "a.png", label: str = "", empty: bool = False) -> Tick:
    patch = Patch(PICTURE, Box(0, 0, 2, 2), Prepared(torch.zeros(1, 1, 2, 2), PICTURE, empty))
    return Tick(Frame(PICTURE, 0, 0.0, name, label), patch, np.array(scores, np.float32))


def rows_of(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def places_that_cannot_be(tmp_path: Path) -> list[tuple[Path, str]]:
    """Root may write to any folder, so these fail for other reasons than permissions."""
    file = tmp_path / "file"
    file.write_text("")
    return [(file / "x.out", "cannot be written"), (file / "deep" / "x.out", "cannot be written"), (tmp_path, "it is a folder")]


def test_checking_makes_the_folder_and_leaves_nothing_in_it(tmp_path: Path) -> None:
    path = tmp_path / "new" / "deep" / "x.gif"
    check_writable(path)
    assert path.parent.is_dir()
    assert not list(path.parent.iterdir())


def test_checking_leaves_an_old_file_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "x.gif"
    path.write_text("old")
    check_writable(path)
    assert path.read_text() == "old"


def test_what_cannot_be_written_is_found_beforehand(tmp_path: Path) -> None:
    for path, reason in places_that_cannot_be(tmp_path):
        with pytest.raises(OutputError, match=f"^{re.escape(str(path))}: cannot be written: .*"):
            check_writable(path)
        with pytest.raises(OutputError, match=reason):
            check_writable(path)


def test_the_whole_file_or_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "new" / "x.json"
    write_atomically(path, b"one")
    write_atomically(path, b"two")
    assert path.read_bytes() == b"two"

    def fails(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fails)
    with pytest.raises(OutputError, match=r"x\.json: cannot be written: No space left on device"):
        write_atomically(path, b"three")
    assert path.read_bytes() == b"two"
    assert list(path.parent.iterdir()) == [path]


def test_writing_below_a_file_is_one_clear_error(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(OutputError, match=r"file/x\.json: cannot be written"):
        write_atomically(file / "x.json", b"")


def test_a_free_name_is_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outputs.time, "strftime", lambda _: "livecnn-20260131-142355")
    names = []
    for _ in range(3):
        path = free_path(tmp_path, ".png")
        path.write_text("")
        names.append(path.name)
    assert names == ["livecnn-20260131-142355.png", "livecnn-20260131-142355-2.png", "livecnn-20260131-142355-3.png"]


def test_a_name_that_is_being_written_to_is_not_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outputs.time, "strftime", lambda _: "livecnn-20260131-142355")
    part = unfinished(free_path(tmp_path, ".mp4"))
    assert part.name == "livecnn-20260131-142355.part.mp4"
    part.write_text("")
    assert free_path(tmp_path, ".mp4").name == "livecnn-20260131-142355-2.mp4"


def test_a_png_holds_the_very_pixels(tmp_path: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (7, 11, 3), np.uint8)
    write_png(tmp_path / "x.png", picture)
    with PillowImage.open(tmp_path / "x.png") as image:
        assert image.format == "PNG"
        np.testing.assert_array_equal(np.asarray(image), picture)


def test_a_table(tmp_path: Path) -> None:
    path = tmp_path / "new" / "scores.csv"
    first, second = tick_of([0.25, 0.75], "a, b.png", "cat"), tick_of([0.0, 0.0], empty=True)
    with ScoresTable(path, ["cat", "do,g"]) as table:
        table.add(first)
        table.add(first)  # the same pass again: no second row
        table.add(second)
        assert len(rows_of(path)) == 3  # a crash would lose nothing
    assert path.read_bytes().startswith(b'index,name,label,top_class,top_score,cat,"do,g"\n')
    assert rows_of(path) == [
        ["index", "name", "label", "top_class", "top_score", "cat", "do,g"],
        ["0", "a, b.png", "cat", "do,g", "0.750000", "0.250000", "0.750000"],
        ["1", "a.png", "", "", "0.000000", "0.000000", "0.000000"],
    ]


def test_scores_that_are_no_numbers_name_no_class(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    with ScoresTable(path, ["a", "b"]) as table:
        table.add(tick_of([float("nan"), 1.0]))
    assert rows_of(path)[1] == ["0", "a.png", "", "", "0.000000", "nan", "1.000000"]


def test_file_names_of_another_encoding_are_written_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    with ScoresTable(path, ["a"]) as table:
        table.add(tick_of([1.0], name=os.fsdecode(b"caf\xe9.png"), label="café"))
    assert rows_of(path)[1][1:3] == [r"caf\udce9.png", "café"]


def test_a_table_that_cannot_be_opened(tmp_path: Path) -> None:
    for path, _ in places_that_cannot_be(tmp_path):
        with pytest.raises(OutputError, match=r"cannot be written"):
            ScoresTable(path, ["a"])


@needs_dev_full
def test_a_table_on_a_full_disk() -> None:
    with pytest.raises(OutputError, match=r"^/dev/full: cannot be written: No space left on device$"):
        ScoresTable(FULL, ["a"])


def test_a_disk_that_gets_full_under_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "scores.csv"

    class Full:
        def writerow(self, _: object) -> None:
            raise OSError(28, "No space left on device")

    table = ScoresTable(path, ["a"])
    monkeypatch.setattr(table, "_writer", Full())
    with pytest.raises(OutputError, match=r"scores\.csv: cannot be written: No space left on device"), table:
        table.add(tick_of([1.0]))
    assert len(rows_of(path)) == 1

import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as PillowImage

from livecnn.errors import OutputError
from livecnn.io import files as outputs
from livecnn.io.files import CsvFile, as_csv, check_writable, free_path, natural_key, partial_path, write_atomically, write_png

ROWS = [("name", "value"), ("a, b", 1), ("\udcff", ""), ('said "no"', "two\nlines")]
TEXT = b'name,value\n"a, b",1\n\\udcff,\n"said ""no""","two\nlines"\n'


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


@pytest.mark.parametrize(
    ("write", "place", "reason"),
    [
        (check_writable, "file/x.out", ".*file is not a folder"),
        (check_writable, "file/deep/x.out", ""),
        (check_writable, "", "it is a folder"),
        (lambda path: write_atomically(path, b""), "file/x.out", ".*file is not a folder"),
    ],
)
def test_what_cannot_be_written_is_one_clear_error(
    tmp_path: Path, write: Callable[[Path], None], place: str, reason: str
) -> None:
    """Root may write to any folder, so these fail for other reasons than permissions."""
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=f"^{re.escape(str(tmp_path / place))}: cannot be written: {reason}"):
        write(tmp_path / place)


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


def test_a_free_name_is_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outputs.time, "strftime", lambda _: "livecnn-20260131-142355")
    names = []
    for _ in range(3):
        path = free_path(tmp_path, ".png")
        path.write_text("")
        names.append(path.name)
    assert names == ["livecnn-20260131-142355.png", "livecnn-20260131-142355-2.png", "livecnn-20260131-142355-3.png"]
    part = partial_path(free_path(tmp_path, ".mp4"))
    assert part.name == "livecnn-20260131-142355.part.mp4"
    part.write_text("")  # a film that is being written
    assert free_path(tmp_path, ".mp4").name == "livecnn-20260131-142355-2.mp4"


def test_a_png_holds_the_very_pixels(tmp_path: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (7, 11, 3), np.uint8)
    write_png(tmp_path / "x.png", picture)
    with PillowImage.open(tmp_path / "x.png") as image:
        assert image.format == "PNG"
        np.testing.assert_array_equal(np.asarray(image), picture)


def test_a_whole_table() -> None:
    assert as_csv(ROWS) == TEXT


def test_a_table_row_by_row(tmp_path: Path) -> None:
    path, part = tmp_path / "new" / "x.csv", tmp_path / "x.part.csv"
    for written, options in ((part, {"part": part}), (path, {})):
        with CsvFile(path, buffering=1, **options) as file:
            for count, row in enumerate(ROWS, 1):
                file.write(row)
                assert written.read_bytes() == as_csv(ROWS[:count])
        assert path.exists() == (written == path)


def test_a_table_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r": cannot be written: Is a directory$"):
        CsvFile(tmp_path, part=tmp_path)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a full disk")
def test_a_table_on_a_full_disk(tmp_path: Path) -> None:
    file = CsvFile(tmp_path / "x.csv", part=Path("/dev/full"), buffering=1)
    with pytest.raises(OutputError, match=r"x\.csv: cannot be written: No space left on device$"):
        file.write(ROWS[0])
    file.close()


@given(st.lists(st.text(alphabet="a1B02/²٣_\ud800é ", max_size=6)))
def test_natural_order_is_that_of_pieces(paths: list[str]) -> None:
    def pieces(path: str) -> list[tuple[list[str | int], str]]:
        split = [(re.split(r"(\d+)", part), part) for part in path.split("/")]
        return [([int(each) if i % 2 else each.casefold() for i, each in enumerate(found)], part) for found, part in split]

    assert sorted(paths, key=natural_key) == sorted(paths, key=pieces)

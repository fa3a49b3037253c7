import os
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from livecnn.errors import OutputError
from livecnn.io import files as outputs
from livecnn.io.files import check_writable, free_path, partial_path, write_atomically, write_png


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
    part = partial_path(free_path(tmp_path, ".mp4"))
    assert part.name == "livecnn-20260131-142355.part.mp4"
    part.write_text("")
    assert free_path(tmp_path, ".mp4").name == "livecnn-20260131-142355-2.mp4"


def test_a_png_holds_the_very_pixels(tmp_path: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (7, 11, 3), np.uint8)
    write_png(tmp_path / "x.png", picture)
    with PillowImage.open(tmp_path / "x.png") as image:
        assert image.format == "PNG"
        np.testing.assert_array_equal(np.asarray(image), picture)

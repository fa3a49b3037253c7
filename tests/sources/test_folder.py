import os
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from livecnn.analysis.dataset import ImageDataset
from livecnn.errors import ImageError, SourceError
from livecnn.sources import SourceOptions, open_source


def picture(path: Path, level: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Pillow.fromarray(np.full((2, 3), level, np.uint8)).save(path)


def names(folder: Path) -> list[str]:
    with open_source(f"folder:{folder}") as source:
        return [frame.name for frame in iter(source.read, None)]


def test_frames_in_natural_order_with_labels(tmp_path: Path) -> None:
    for place in ("img10.png", "img2.jpg", "IMG3.bmp", "7/b.tiff", "7/deep/a.webp", "10/c.PNG"):
        picture(tmp_path / place, level=5)
    with open_source(f"folder:{tmp_path}") as source:
        frames = list(iter(source.read, None))
        source.rewind()
        again = list(iter(source.read, None))
    assert [(f.name, f.label) for f in frames] == [
        ("7/b.tiff", "7"),
        ("7/deep/a.webp", "7"),
        ("10/c.PNG", "10"),
        ("img2.jpg", ""),
        ("IMG3.bmp", ""),
        ("img10.png", ""),
    ]
    assert [f.seq for f in frames] == [0, 1, 2, 3, 4, 5]
    assert [f.time for f in frames] == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    assert all(f.image.shape == (2, 3, 3) for f in frames)
    assert source.name == tmp_path.name
    assert [f.name for f in again] == [f.name for f in frames]
    assert [f.seq for f in again] == [6, 7, 8, 9, 10, 11]


def test_the_real_photographs(shared: Path) -> None:
    found = names(shared / "digits")
    assert len(found) == 8
    assert found == sorted(found)


def test_pace_is_one_a_second_unless_told_otherwise(tmp_path: Path) -> None:
    assert open_source(f"folder:{tmp_path}").interval == 1.0
    assert open_source(f"folder:{tmp_path}", SourceOptions(fps=4)).interval == 0.25


def test_other_and_hidden_files_are_ignored(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    picture(tmp_path / "._a.png")
    (tmp_path / "notes.txt").write_text("hello")
    assert names(tmp_path) == ["a.png"]


def test_unreadable_pictures_are_skipped_and_counted_once(tmp_path: Path) -> None:
    for i in (1, 3):
        picture(tmp_path / f"{i}.png")
    (tmp_path / "0.png").write_bytes(b"")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "2.jpg").write_bytes(b"no picture")
    with open_source(f"folder:{tmp_path}") as source:
        for _ in range(2):
            assert [f.name for f in iter(source.read, None)] == ["1.png", "3.png"]
            source.rewind()
    assert source.skipped == [
        "0.png: the file is empty",
        "sub/2.jpg: not a picture that can be read; allowed: PNG, JPEG, BMP, TIFF, WEBP",
    ]


def test_nothing_that_can_be_read(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"")
    (tmp_path / "b.png").write_bytes(b"")
    with (
        open_source(f"folder:{tmp_path}") as source,
        pytest.raises(SourceError, match=r"none of 2 pictures.*a\.png: the file is"),
    ):
        source.read()


@pytest.mark.parametrize(
    ("address", "message"),
    [("", "which folder"), ("missing", "missing: no such folder"), ("file.txt", "not a folder"), ("empty", "holds no pictures")],
)
def test_folders_that_cannot_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str, message: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "file.txt").write_text("hello")
    with pytest.raises(SourceError, match=message):
        open_source(f"folder:{address}").open()


def test_a_folder_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picture(tmp_path / "a.png")

    def refuse(path: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("os.scandir", refuse)
    with pytest.raises(SourceError, match="cannot be read: Permission denied"):
        open_source(f"folder:{tmp_path}").open()


def test_a_sub_folder_that_may_not_be_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picture(tmp_path / "a.png")
    picture(tmp_path / "closed" / "b.png")
    scandir = os.scandir

    def refuse_closed(path: str) -> object:
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr("os.scandir", refuse_closed)
    with open_source(f"folder:{tmp_path}") as source:
        assert [f.name for f in iter(source.read, None)] == ["a.png"]
    assert source.skipped == ["closed/: Permission denied"]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have neither such names nor links for all")
def test_names_that_files_of_other_kinds_could_not_hold_are_written_out(tmp_path: Path) -> None:
    for place in ("two\nlines\r.png", "caf\udce9/b\udce9.png", "漢字 é.png"):
        picture(tmp_path / place)
    (tmp_path / "bro\udce9ken.png").write_bytes(b"")
    with ImageDataset(f"folder:{tmp_path}") as pictures:
        with pytest.raises(ImageError, match=r"^bro\\xe9ken\.png: the file is empty$"):
            pictures.at(0)
        assert [pictures.at(i).name for i in (1, 2, 3)] == ["caf\\xe9/b\\xe9.png", "two\\nlines\\r.png", "漢字 é.png"]
        assert pictures.labels() == {"caf\\xe9"}


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have neither such names nor links for all")
def test_links_to_folders_are_not_followed(tmp_path: Path) -> None:
    picture(tmp_path / "in" / "a.png")
    picture(tmp_path / "in" / "b" / "dir.png" / "c.png")
    (tmp_path / "in" / "up").symlink_to(tmp_path)
    (tmp_path / "in" / "up.png").symlink_to(tmp_path)
    (tmp_path / "in" / "self.png").symlink_to("self.png")
    (tmp_path / "in" / "z.png").symlink_to("a.png")
    (tmp_path / "link").symlink_to("in")
    with open_source(f"folder:{tmp_path / 'link'}") as source:
        assert [frame.name for frame in iter(source.read, None)] == ["a.png", "b/dir.png/c.png", "z.png"]
    assert source.skipped == ["self.png: no such file"]


def test_a_list_of_files_takes_little_memory(tmp_path: Path) -> None:
    for i in range(2000):
        (tmp_path / f"{i}.png").touch()
    tracemalloc.start()
    with ImageDataset(f"folder:{tmp_path}") as pictures:
        held, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert len(pictures) == 2000
    assert held < 2000 * 100
    assert peak < 2000 * 250

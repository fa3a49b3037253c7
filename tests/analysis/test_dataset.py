from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from livecnn._cv2 import cv2
from livecnn.analysis.dataset import ImageDataset, as_spec
from livecnn.errors import ImageError, SourceError, UsageError
from livecnn.sources.video import VideoSource
from tests.helpers.mnist_files import typeset, write_mnist


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 20.0, (64, 48))
    for i in range(6):
        writer.write(np.full((48, 64, 3), 40 * i, np.uint8))
    writer.release()
    return path


def test_pictures_of_a_folder_by_place(tmp_path: Path) -> None:
    for i, name in enumerate(("7/img10.png", "7/img2.png", "plain.png")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        PillowImage.new("RGB", (4, 4), (i, i, i)).save(tmp_path / name)
    (tmp_path / "7" / "img3.png").write_bytes(b"")
    with ImageDataset(f"folder:{tmp_path}") as pictures:
        assert len(pictures) == 4
        assert pictures.labels() == {"7"}
        for place, name, label, shade in ((2, "7/img10.png", "7", 0), (0, "7/img2.png", "7", 1), (3, "plain.png", "", 2)):
            frame = pictures.at(place)
            assert (frame.name, frame.label, frame.seq) == (name, label, place)
            assert (frame.image == shade).all()
        with pytest.raises(ImageError, match=r"^7/img3\.png: the file is empty"):
            pictures.at(1)


def test_pictures_of_a_video_by_place(clip: Path) -> None:
    with ImageDataset(f"video:{clip}") as pictures:
        assert len(pictures) == 6
        assert pictures.labels() == set()
        for place in (0, 1, 4, 2, 2, 5):
            frame = pictures.at(place)
            assert frame.name == f"clip.avi #{place}"
            assert frame.image.mean() == pytest.approx(40 * place, abs=3)


def fingerprint(spec: str) -> str:
    with ImageDataset(spec) as pictures:
        return pictures.fingerprint()


def test_other_pictures_have_another_fingerprint(tmp_path: Path, clip: Path) -> None:
    assert fingerprint(f"video:{clip}") == "6"
    write_mnist(tmp_path, *typeset(3), "test")
    before = fingerprint(f"idx:{tmp_path}")
    assert fingerprint(f"idx:{tmp_path}") == before
    images, labels = typeset(3)
    write_mnist(tmp_path, images, labels[::-1], "test")
    assert fingerprint(f"idx:{tmp_path}") != before
    write_mnist(tmp_path, *typeset(3, seed=1), "test")
    assert fingerprint(f"idx:{tmp_path}") != before
    folder = tmp_path / "folder"
    folder.mkdir()
    found = []
    for name in ("1.png", "2.png"):
        PillowImage.new("RGB", (4, 4)).save(folder / name)
        found.append(fingerprint(f"folder:{folder}"))
    (folder / "2.png").rename(folder / "3.png")
    found.append(fingerprint(f"folder:{folder}"))
    assert len(set(found)) == 3
    (folder / "3.png").rename(folder / "2.png")
    assert fingerprint(f"folder:{folder}") == found[1]


def test_a_video_that_became_shorter(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ImageDataset(f"video:{clip}") as pictures:
        monkeypatch.setattr(VideoSource, "read", lambda _: None)
        with pytest.raises(SourceError, match=r"clip\.avi: ends before picture 3"):
            pictures.at(3)


def test_what_a_place_holds(tmp_path: Path, clip: Path) -> None:
    assert as_spec(tmp_path) == f"folder:{tmp_path}"
    assert as_spec(str(clip)) == f"video:{clip}"
    assert as_spec("idx:some/dir?split=train") == "idx:some/dir?split=train"
    write_mnist(tmp_path, *typeset(3), "train")
    assert as_spec(tmp_path) == f"idx:{tmp_path}"
    for wrong in ("nowhere", "camera:0", "demo"):
        with pytest.raises(UsageError, match=f"{wrong}: no such folder or video; allowed: a folder"):
            as_spec(wrong)
    with pytest.raises(UsageError, match="pictures: found int; allowed: a folder, a video"):
        as_spec(3)  # type: ignore[arg-type]

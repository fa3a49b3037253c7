from pathlib import Path

import numpy as np
import pytest

from livecnn.errors import SourceError
from livecnn.sources import SourceOptions, open_source
from tests.helpers.mnist_files import idx, typeset, write_mnist

IMAGES, LABELS = typeset(5)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_mnist(tmp_path, IMAGES, LABELS, "test")
    write_mnist(tmp_path, IMAGES[:2], LABELS[:2], "train")
    return tmp_path


def test_pictures_come_in_order_with_their_labels(folder: Path) -> None:
    with open_source(f"idx:{folder}", SourceOptions(fps=4)) as source:
        frames = [source.read() for _ in range(6)]
        assert frames.pop() is None
        for i, frame in enumerate(frames):
            assert (frame.seq, frame.time, frame.name, frame.label) == (i, i / 4, f"{folder.name} #{i}", str(LABELS[i]))
            assert (frame.image == IMAGES[i][..., None]).all()
            assert frame.image.shape == (28, 28, 3)
        source.rewind()
        again = source.read()
        assert source.labels() == set(np.unique(LABELS).astype(str))  # type: ignore[attr-defined]
    assert (again.seq, again.name) == (5, f"{folder.name} #0")


@pytest.mark.parametrize(("wish", "count"), [("", 5), ("?split=test", 5), ("?split=train", 2)])
def test_the_split(folder: Path, wish: str, count: int) -> None:
    with open_source(f"idx:{folder}{wish}") as source:
        assert len(source) == count  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("", "which folder"),
        ("nowhere", "no such folder"),
        ("FOLDER?split=tests", r"unknown split 'tests'; did you mean 'test'\? allowed: train, test"),
        ("FOLDER?splt=test", "unknown option 'splt'; allowed: split=test or split=train"),
        ("FOLDER/t10k-images-idx3-ubyte.gz", "not a folder"),
    ],
)
def test_what_is_not_there(folder: Path, address: str, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        open_source(f"idx:{address.replace('FOLDER', str(folder))}").open()


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (idx(IMAGES), None, r"t10k-labels-idx1-ubyte\[.gz\] is not there; split=test needs"),
        (idx(IMAGES)[:-7], idx(LABELS), "3913 bytes of values where its header says 5x28x28 = 3920"),
        (idx(IMAGES)[:10], idx(LABELS), "its header ends before the sizes"),
        (b"\0\0\x08\x03" + b"\xff" * 12, idx(LABELS), "0 bytes of values where its header says 4294967295x"),
        (idx(IMAGES), idx(LABELS[:4]), "5 pictures of 28x28, 4 labels"),
        (idx(LABELS), idx(LABELS), "axes of pictures 1, of labels 1; expected 3 and 1"),
        (idx(IMAGES[:0]), idx(LABELS[:0]), "0 pictures"),
        (b"GIF89a", idx(LABELS), "not an idx file"),
    ],
)
def test_damaged_files(tmp_path: Path, images: bytes, labels: bytes | None, message: str) -> None:
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(images)
    if labels is not None:
        (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(labels)
    with pytest.raises(SourceError, match=message):
        open_source(f"idx:{tmp_path}").open()

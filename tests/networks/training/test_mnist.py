import contextlib
import gzip
import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from livecnn.errors import OutputError, SourceError
from livecnn.networks.training import mnist
from tests.helpers.mnist_files import Bytes, idx, write_mnist
from tests.helpers.servers import FileServer

# Reading


@given(array=arrays.arrays(np.uint8, arrays.array_shapes(max_dims=4, max_side=5)), packed=st.booleans())
@settings(deadline=None, max_examples=50)
def test_what_was_written_is_read(tmp_path_factory: pytest.TempPathFactory, array: Bytes, packed: bool) -> None:
    path = tmp_path_factory.getbasetemp() / "array.idx"
    path.write_bytes(gzip.compress(idx(array)) if packed else idx(array))
    np.testing.assert_array_equal(mnist.read_idx(path), array)


@given(st.binary(max_size=40))
@settings(deadline=None)
def test_any_bytes_give_an_array_or_a_clear_error(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.idx"
    path.write_bytes(content)
    with contextlib.suppress(SourceError):  # anything else would be a defect
        assert mnist.read_idx(path).dtype == np.uint8


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not an idx file .it starts with nothing"),
        (b"\x89PNG\r\n", "starts with 89 50 4e 47, not with 00 00"),
        (b"\0\0\x0d\1\0\0\0\1\0\0\0\0", "values of type 0x0d; allowed: 0x08"),
        (b"\0\0\x08\3\0\0\0\1", "header ends before the sizes of its 3 axes"),
        (b"\0\0\x08\0", "sizes of its 0 axes"),
        (b"\0\0\x08\1\0\0\0\5abc", "3 bytes of values where its header says 5 = 5"),
        (b"\0\0\x08\1\0\0\0\2abc", "3 bytes of values where its header says 2 = 2"),
        (b"\0\0\x08\2\xff\xff\xff\xff\xff\xff\xff\xffabc", "4294967295x4294967295 = 18446744065119617025"),
        (gzip.compress(idx(np.zeros((50, 50), np.uint8)), mtime=0)[:-12], "cannot be read"),
        (b"\x1f\x8bnonsense", "cannot be read"),
    ],
)
def test_truncated_and_lying_files_are_clear_errors(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(content)
    with pytest.raises(SourceError, match=message):
        mnist.read_idx(path)


def test_a_file_that_unpacks_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("livecnn.io.idx.MOST_BYTES", 1000)
    path = tmp_path / "bomb.gz"
    path.write_bytes(gzip.compress(bytes(100_000)))
    with pytest.raises(SourceError, match="of content: not an MNIST file"):
        mnist.read_idx(path)


def test_a_folder_in_place_of_a_file_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="cannot be read"):
        mnist.read_idx(tmp_path)


# A data set


@pytest.mark.parametrize("name", ["{}.gz", "{}"])
def test_a_split_is_read_packed_or_plain(tmp_path: Path, name: str) -> None:
    images, labels = np.arange(12, dtype=np.uint8).reshape(3, 2, 2), np.array([7, 0, 9], np.uint8)
    for stem, array in zip(mnist.FILES["test"], (images, labels), strict=True):
        content = idx(array)
        (tmp_path / name.format(stem)).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    found_images, found_labels = mnist.load(tmp_path, "test", mirrors=())
    np.testing.assert_array_equal(found_images, images)
    np.testing.assert_array_equal(found_labels, labels)


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (np.zeros((2, 2, 2), np.uint8), np.zeros(3, np.uint8), "2 images in .*, 3 labels in"),
        (np.zeros((0, 2, 2), np.uint8), np.zeros(0, np.uint8), "0 images in"),
        (np.zeros((2, 2), np.uint8), np.zeros(2, np.uint8), "axes of images 2, of labels 1; expected 3 and 1"),
        (np.zeros((2, 2, 2), np.uint8), np.array([0, 10], np.uint8), "label 10; allowed: 0-9"),
    ],
)
def test_files_that_do_not_fit_together_are_clear_errors(tmp_path: Path, images: Bytes, labels: Bytes, message: str) -> None:
    write_mnist(tmp_path, images, labels)
    with pytest.raises(SourceError, match=message):
        mnist.load(tmp_path, "train")


def test_real_mnist(shared: Path) -> None:
    images, labels = mnist.load(shared / "mnist", "test", mirrors=())
    assert images.shape == (10_000, 28, 28)
    assert labels[:5].tolist() == [7, 2, 1, 0, 4]
    assert np.bincount(labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


# Downloading


IMAGES, LABELS = np.arange(18, dtype=np.uint8).reshape(2, 3, 3), np.array([4, 2], np.uint8)


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a mirror with a small data set."""
    monkeypatch.setattr("livecnn.io.download.PAUSES", (0.0,))
    folder = tmp_path / "mirror"
    folder.mkdir()
    write_mnist(folder, IMAGES, LABELS)
    with FileServer() as server:
        server.files = {f"/{path.name}": path.read_bytes() for path in folder.iterdir()}
        yield server.address


@pytest.fixture
def published(mirror: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The same, with its checksums as the known ones."""
    sums = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (tmp_path / "mirror").iterdir()}
    monkeypatch.setattr(mnist, "SHA256", sums)
    return mirror


def test_what_is_absent_is_downloaded_once(tmp_path: Path, published: str) -> None:
    data = tmp_path / "new" / "data"
    found_images, found_labels = mnist.load(data, "train", [published])
    np.testing.assert_array_equal(found_images, IMAGES)
    np.testing.assert_array_equal(found_labels, LABELS)
    assert sorted(path.name for path in data.iterdir()) == sorted(f"{name}.gz" for name in mnist.FILES["train"])
    np.testing.assert_array_equal(mnist.load(data, "train", mirrors=())[0], IMAGES)


def test_the_next_mirror_is_asked(tmp_path: Path, published: str) -> None:
    mirrors = ["http://127.0.0.1:1/", "no address", f"{published}/nothing/", f"{published}/"]
    np.testing.assert_array_equal(mnist.load(tmp_path / "data", "train", mirrors)[0], IMAGES)


def test_a_wrong_checksum_leaves_nothing(tmp_path: Path, mirror: str) -> None:
    data = tmp_path / "data"
    with pytest.raises(SourceError, match=r"train-images-idx3-ubyte.gz: no mirror has it .*sha256 is .* expected 440fcabf73cc"):
        mnist.load(data, "train", [mirror])
    assert list(data.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"cannot be written: .* is not a folder"):
        mnist.load(tmp_path / "file" / "data", "train")

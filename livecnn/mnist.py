"""MNIST in idx files: read from a folder, downloaded where absent.

Format and data: LeCun, Cortes, Burges, "The MNIST database of handwritten digits", http://yann.lecun.com/exdb/mnist.
"""

from __future__ import annotations

import gzip
import hashlib
import http.client
import os
import tempfile
import urllib.request
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Literal

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from livecnn.errors import OutputError, SourceError
from livecnn.types import Image

Labels = npt.NDArray[np.uint8]
Split = Literal["train", "test"]

MIRRORS = ("https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/")
SHA256 = {
    "train-images-idx3-ubyte.gz": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    "train-labels-idx1-ubyte.gz": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    "t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
}
FILES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
CLASSES = tuple("0123456789")
MOST_BYTES = 1 << 28  # of one file's content: MNIST's largest has 47 MB
TIMEOUT = 30.0  # seconds without an answer before the next mirror is asked


def load(folder: Path, split: Split, mirrors: Sequence[str] = MIRRORS) -> tuple[Image, Labels]:
    """Images uint8 (N, H, W), white on black, and labels uint8 (N,) 0..9, downloaded into `folder` where absent.

    Raises SourceError for a file that cannot be had or does not hold what its name says, OutputError if `folder` is not writable.
    """
    image_file, label_file = (_find(folder, name) or fetch(folder, f"{name}.gz", mirrors) for name in FILES[split])
    images, labels = read_idx(image_file), read_idx(label_file)
    if images.ndim != 3 or labels.ndim != 1:
        raise SourceError(f"{folder}: axes of images {images.ndim}, of labels {labels.ndim}; expected 3 and 1")
    if len(images) != len(labels) or not len(images):
        raise SourceError(f"{folder}: {len(images)} images in {image_file.name}, {len(labels)} labels in {label_file.name}")
    if labels.max() >= len(CLASSES):
        raise SourceError(f"{label_file}: label {labels.max()}; allowed: 0-9")
    return images, labels


def read_idx(path: Path) -> Image:
    """The array of bytes in an idx file, gzipped or plain. Raises SourceError.

    Two zero bytes, the type (8: unsigned byte), the number of axes, each axis as a big-endian uint32, then the values in C order.
    """
    content = _content(path)
    if len(content) < 4 or content[:2] != b"\0\0":
        raise SourceError(f"{path}: not an idx file (it starts with {content[:4].hex(' ') or 'nothing'}, not with 00 00)")
    kind, axes = content[2], content[3]
    if kind != 8:
        raise SourceError(f"{path}: idx values of type 0x{kind:02x}; allowed: 0x08, unsigned bytes")
    start = 4 + 4 * axes
    if not axes or len(content) < start:
        raise SourceError(f"{path}: its header ends before the sizes of its {axes} axes")
    shape = tuple(int.from_bytes(content[i : i + 4], "big") for i in range(4, start, 4))
    declared = 1
    for size in shape:
        declared *= size  # Python's integers: a lying header cannot overflow
    if declared != len(content) - start:
        sizes = "x".join(map(str, shape))
        raise SourceError(f"{path}: {len(content) - start} bytes of values where its header says {sizes} = {declared}")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def fetch(folder: Path, name: str, mirrors: Sequence[str] = MIRRORS) -> Path:
    """Download one of MNIST's files from the first mirror that has it; complete and checked, or not there at all."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle, part = tempfile.mkstemp(dir=folder, prefix=f".{name}.")
    except OSError as error:
        raise OutputError(f"{folder}: MNIST cannot be downloaded into it: {error.strerror}") from error
    try:
        with os.fdopen(handle, "wb") as file:
            _first_good(name, mirrors, file)
        os.chmod(part, 0o644)  # mkstemp makes it private
        os.replace(part, folder / name)
    finally:
        Path(part).unlink(missing_ok=True)
    return folder / name


def _find(folder: Path, name: str) -> Path | None:
    """The file, gzipped or plain; some unpackers write `idx3` with a dot before it."""
    names = (f"{name}.gz", name, f"{name.replace('-idx', '.idx')}")
    return next((folder / n for n in names if (folder / n).is_file()), None)


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            with gzip.GzipFile(fileobj=raw) if packed else raw as file:
                content = file.read(MOST_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:  # gzip raises all three
        raise SourceError(f"{path}: cannot be read: {error}") from error
    if len(content) > MOST_BYTES:
        raise SourceError(f"{path}: more than {MOST_BYTES >> 20} MiB of content: not an MNIST file")
    return content


def _first_good(name: str, mirrors: Sequence[str], file: IO[bytes]) -> None:
    failures = []
    for mirror in mirrors:
        file.seek(0)
        file.truncate()
        try:
            found = _download(mirror.rstrip("/") + "/" + name, file)
        except (OSError, http.client.HTTPException, ValueError) as error:  # ValueError: a malformed address
            failures.append(f"{mirror}: {error}")
            continue
        if found == SHA256[name]:
            return
        failures.append(f"{mirror}: sha256 {found[:12]}…, expected {SHA256[name][:12]}…")
    raise SourceError(f"{name}: no mirror has it ({'; '.join(failures)}); put MNIST's idx files into the data folder")


def _download(url: str, file: IO[bytes]) -> str:
    """Copy to `file`; the sha256 of what came."""
    digest = hashlib.sha256()
    with urllib.request.urlopen(url, timeout=TIMEOUT) as answer:
        size = int(answer.headers.get("Content-Length") or 0)
        with tqdm.wrapattr(answer, "read", total=size, desc=url.rsplit("/", 1)[-1], leave=False, disable=None) as body:
            while chunk := body.read(1 << 16):
                digest.update(chunk)
                file.write(chunk)
    return digest.hexdigest()

"""MNIST: read from a folder, downloaded where absent.

Format and data: LeCun, Cortes, Burges, "The MNIST database of handwritten digits", http://yann.lecun.com/exdb/mnist.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import tempfile
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from livecnn.errors import OutputError, SourceError
from livecnn.idx import FILES, Split, find, read_idx
from livecnn.types import Image

Labels = npt.NDArray[np.uint8]

MIRRORS = ("https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/")
SHA256 = {
    "train-images-idx3-ubyte.gz": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    "train-labels-idx1-ubyte.gz": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    "t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
}
CLASSES = tuple("0123456789")
TIMEOUT = 30.0  # seconds without an answer before the next mirror is asked


def load(folder: Path, split: Split, mirrors: Sequence[str] = MIRRORS) -> tuple[Image, Labels]:
    """Images uint8 (N, H, W), white on black, and labels uint8 (N,) 0..9, downloaded into `folder` where absent.

    Raises SourceError for a file that cannot be had or does not hold what its name says, OutputError if `folder` is not writable.
    """
    image_file, label_file = (find(folder, name) or fetch(folder, f"{name}.gz", mirrors) for name in FILES[split])
    images, labels = read_idx(image_file), read_idx(label_file)
    if images.ndim != 3 or labels.ndim != 1:
        raise SourceError(f"{folder}: axes of images {images.ndim}, of labels {labels.ndim}; expected 3 and 1")
    if len(images) != len(labels) or not len(images):
        raise SourceError(f"{folder}: {len(images)} images in {image_file.name}, {len(labels)} labels in {label_file.name}")
    if labels.max() >= len(CLASSES):
        raise SourceError(f"{label_file}: label {labels.max()}; allowed: 0-9")
    return images, labels


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

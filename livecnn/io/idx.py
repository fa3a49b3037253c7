"""Idx files, the format of MNIST and of the data sets that took its place: arrays of bytes, plain or gzipped.

Format: LeCun, Cortes, Burges, "The MNIST database of handwritten digits", http://yann.lecun.com/exdb/mnist.
"""

import gzip
import math
import zlib
from pathlib import Path
from typing import Literal

import numpy as np

from livecnn.errors import SourceError
from livecnn.types import Image

Split = Literal["train", "test"]

FILES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
MOST_BYTES = 1 << 28  # of one file's content: MNIST's largest has 47 MB


def read_idx(path: Path) -> Image:
    """Return the array of bytes in an idx file, gzipped or plain. Raises SourceError.

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
    declared = math.prod(shape)  # of Python's integers: a lying header cannot overflow
    if declared != len(content) - start:
        sizes = "x".join(map(str, shape))
        raise SourceError(f"{path}: {len(content) - start} bytes of values where its header says {sizes} = {declared}")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def find(folder: Path, name: str) -> Path | None:
    """Return the file, gzipped or plain, None without it; some unpackers write `idx3` with a dot before it."""
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

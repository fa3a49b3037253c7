"""MNIST: read from a folder, downloaded where absent.

Format and data: LeCun, Cortes, Burges, "The MNIST database of handwritten digits", http://yann.lecun.com/exdb/mnist.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from livecnn.errors import SourceError
from livecnn.io.download import fetch as download
from livecnn.io.idx import FILES, Split, find, read_idx
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
MOST_BYTES = 20_000_000  # of a file


def load(folder: Path, split: Split, mirrors: Sequence[str] = MIRRORS) -> tuple[Image, Labels]:
    """Load a split of MNIST, downloaded into `folder` where absent.

    Returns:
        Images uint8 (N, H, W), white on black, and labels uint8 (N,) 0..9.

    Raises:
        SourceError: If a file cannot be downloaded, or does not hold what its name says.
        OutputError: If `folder` is not writable.
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
    """Download one of MNIST's files from the first mirror that has it, and check it; a broken download leaves no file."""
    failures = []
    for mirror in mirrors:
        try:
            return download(f"{mirror.rstrip('/')}/{name}", folder / name, sha256=SHA256[name], most=MOST_BYTES)
        except SourceError as error:  # noqa: PERF203  (one mirror after the other)
            failures.append(str(error))
    raise SourceError(f"{name}: no mirror has it ({'; '.join(failures)}); put MNIST's idx files into the data folder")

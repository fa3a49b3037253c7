"""MNIST and other data sets in idx files."""

import hashlib
import os
from pathlib import Path
from typing import cast

import numpy as np

from livecnn.errors import SourceError, nearest
from livecnn.io.idx import FILES, Split, find, read_idx
from livecnn.sources import Source, SourceOptions
from livecnn.types import Frame, Image


class IdxSource(Source):
    """The pictures of MNIST-style idx files in order, `idx:DIR` or `idx:DIR?split=train`, each with its label."""

    def __init__(self, address: str, options: SourceOptions) -> None:
        super().__init__(address, options)
        self.interval = 1.0 / (options.fps or 1.0)
        folder, _, wish = address.partition("?")
        self._root, self._wish = Path(os.path.expanduser(folder)), wish
        self.name = self._root.name or folder
        self._images, self._labels = np.empty((0, 0, 0), np.uint8), np.empty(0, np.uint8)
        self._next = 0

    def open(self) -> None:
        """Read the files into memory. Raises SourceError: absent, damaged, or not pictures with a label each."""
        if not self.address:
            raise SourceError("source 'idx': which folder? write idx:DIR or idx:DIR?split=train")
        if not os.path.isdir(self._root):
            raise SourceError(f"idx {self._root}: {'not a folder' if os.path.exists(self._root) else 'no such folder'}")
        self._images, self._labels = load(self._root, _split(self._wish))
        self.rewind()

    def read(self) -> Frame | None:
        if self._next == len(self):
            return None
        self._next += 1
        frame = self.at(self._next - 1)
        return self._frame(frame.image, frame.name, frame.label)

    def rewind(self) -> None:
        self._next = 0

    def __len__(self) -> int:
        return len(self._images)

    def at(self, index: int) -> Frame:
        """Return the picture at a place, dated by its place."""
        assert self.interval is not None
        image = np.repeat(self._images[index][..., None], 3, axis=2)
        return Frame(image, index, index * self.interval, f"{self.name} #{index}", str(self._labels[index]))

    def labels(self) -> set[str]:
        """Return the labels that occur."""
        return {str(label) for label in np.unique(self._labels)}

    def fingerprint(self) -> str:
        """Return a digest of the pictures and their labels."""
        content = hashlib.sha256(self._images.data)
        content.update(self._labels.data)
        return content.hexdigest()


def load(folder: Path, split: Split) -> tuple[Image, Image]:
    """Return pictures uint8 (N, H, W) and labels uint8 (N,). Raises SourceError."""
    paths = [find(folder, name) for name in FILES[split]]
    for name, path in zip(FILES[split], paths, strict=True):
        if path is None:
            raise SourceError(f"idx {folder}: {name}[.gz] is not there; split={split} needs {' and '.join(FILES[split])}")
    images, labels = (read_idx(path) for path in paths if path is not None)
    if images.ndim != 3 or labels.ndim != 1:
        raise SourceError(f"idx {folder}: axes of pictures {images.ndim}, of labels {labels.ndim}; expected 3 and 1")
    if len(images) != len(labels) or not images.size:
        raise SourceError(f"idx {folder}: {len(images)} pictures of {images.shape[1]}x{images.shape[2]}, {len(labels)} labels")
    return images, labels


def _split(wish: str) -> Split:
    key, _, split = (wish or "split=test").partition("=")
    if key != "split":
        raise SourceError(f"source 'idx': unknown option {key!r}; allowed: split=test or split=train")
    if split not in FILES:
        raise SourceError(f"source 'idx': unknown split {split!r}; {nearest(split, FILES)}")
    return cast(Split, split)

"""Small data sets in MNIST's format."""

import gzip
from pathlib import Path

import numpy as np
import numpy.typing as npt

from livecnn._cv2 import cv2
from livecnn.networks.training import mnist

Bytes = npt.NDArray[np.uint8]


def idx(array: Bytes) -> bytes:
    """The idx file of an array of bytes."""
    return b"\0\0\x08" + bytes([array.ndim]) + np.array(array.shape, ">u4").tobytes() + array.tobytes()


def write_mnist(folder: Path, images: Bytes, labels: Bytes, split: mnist.Split = "train") -> None:
    for name, array in zip(mnist.FILES[split], (images, labels), strict=True):
        (folder / f"{name}.gz").write_bytes(gzip.compress(idx(array)))


def typeset(count: int, seed: int = 0) -> tuple[Bytes, Bytes]:
    """Printed digits in slightly different places and sizes: uint8 (count, 28, 28), labels (count,)."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count, dtype=np.uint8) % 10
    images = np.zeros((count, 28, 28), np.uint8)
    for image, label in zip(images, labels, strict=True):
        at = (int(rng.integers(5, 8)), int(rng.integers(22, 25)))
        cv2.putText(image, str(label), at, cv2.FONT_HERSHEY_SIMPLEX, float(rng.uniform(0.75, 0.85)), (255,), 2, cv2.LINE_AA)
    return images, labels

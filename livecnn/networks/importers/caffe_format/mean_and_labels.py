"""What comes beside a Caffe network: its mean, its labels."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import torch

from livecnn.errors import ModelError
from livecnn.networks.architectures.caffe_layers.base import Shape, shape_text
from livecnn.networks.importers.caffe_format.protobuf_wire import Binary

LARGEST_TEXT = 1 << 22  # bytes; GoogLeNet's prototxt has 36,000
LARGEST_MEAN = 1 << 26  # numbers

_SYNSET = re.compile(r"n\d{8} ")  # ImageNet's number before a label


def text(path: Path) -> str:
    """A file's text. Raises ModelError."""
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_TEXT + 1)
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror or error}") from error
    if len(content) > LARGEST_TEXT:
        raise ModelError(f"{path}: more than {LARGEST_TEXT} bytes; a text is needed")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ModelError(f"{path}: not a text in UTF-8") from error


def labels(path: Path) -> tuple[str, ...]:
    """A label a line, without ImageNet's numbers."""
    return tuple(_SYNSET.sub("", line.strip(), count=1) for line in text(path).splitlines() if line.strip())


def mean(path: Path) -> torch.Tensor:
    """float32: numbers by channel (C,), or a picture (C, H, W). Raises ModelError."""
    found = _npy(path) if path.suffix == ".npy" else _binaryproto(path)
    while found.ndim > 3 and found.shape[0] == 1:
        found = found[0]
    if found.ndim == 3 and found.shape[1:] == (1, 1):
        found = found.flatten()
    if found.ndim not in (1, 3) or not found.isfinite().all():
        raise ModelError(f"{path}: found {shape_text(tuple(found.shape))}; needed: finite numbers, one a channel, or C x H x W")
    return found


def center_crop(picture: torch.Tensor, shape: Shape, path: Path) -> torch.Tensor:
    """The middle of a mean picture, (1, C, H, W), as Caffe cuts pictures when it tests."""
    size = tuple(picture.shape)
    if len(shape) != 4 or size[0] != shape[1] or size[1] < shape[2] or size[2] < shape[3]:
        raise ModelError(
            f"{path}: a mean of {shape_text(size)}; the network's input is {shape_text(shape[1:])}, which it has to cover"
        )
    top, left = (size[1] - shape[2]) // 2, (size[2] - shape[3]) // 2
    return picture[None, :, top : top + shape[2], left : left + shape[3]].contiguous()


def _npy(path: Path) -> torch.Tensor:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)  # which compares the shape with the file's size
        if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiu" or not 0 < array.size <= LARGEST_MEAN:
            raise ValueError("numbers are needed")
        return torch.from_numpy(np.array(array, np.float32))
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror or error}") from error
    except Exception as error:  # on nonsense, NumPy fails in any way there is
        raise ModelError(f"{path}: not a sound NumPy array: {str(error).partition(chr(10))[0]}") from error


def _binaryproto(path: Path) -> torch.Tensor:
    with Binary(path) as binary:
        return binary.read(binary.blob())

"""Caffe's files, written by hand: the wire format, and random weights for a prototxt."""

import math
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from livecnn._cv2 import cv2
from livecnn.networks.architectures.caffe import Caffe
from livecnn.networks.architectures.caffe_layers import LAYERS
from livecnn.networks.importers import Imported
from livecnn.networks.importers.caffe import CaffeImporter, read_graph
from livecnn.networks.importers.caffe_format import parse

Array = npt.NDArray[np.float32]


def layer(kind: str, own: str = "", more: str = "", *, name: str = "y", bottoms: str = "x", tops: str = "y") -> str:
    """A layer of a prototxt: `own` fields in the part of its type, `more` beside that; blobs separated by spaces."""
    part = f"{LAYERS[kind].param} {{ {own} }}" if own else ""
    wires = [f'bottom: "{blob}"' for blob in bottoms.split()] + [f'top: "{blob}"' for blob in tops.split()]
    return f'layer {{ name: "{name}" type: "{kind}" {" ".join(wires)} {part} {more} }}'


def varint(value: int) -> bytes:
    low = bytes([value & 0x7F | (0x80 if value > 0x7F else 0)])
    return low + varint(value >> 7) if value > 0x7F else low


def field(number: int, content: bytes | int) -> bytes:
    """Bytes with their length, or a number."""
    if isinstance(content, int):
        return varint(number << 3) + varint(content)
    return varint(number << 3 | 2) + varint(len(content)) + content


def blob(array: Array, *, legacy: bool = False) -> bytes:
    """A BlobProto. legacy: with num, channels, height and width."""
    if legacy:
        shape = b"".join(field(i, length) for i, length in enumerate((1,) * (4 - array.ndim) + array.shape, 1))
    else:
        shape = field(7, field(1, b"".join(map(varint, array.shape))))
    return shape + field(8 if array.dtype == np.float64 else 5, array.tobytes())


def write(path: Path, layers: Mapping[str, Sequence[Array]], *, v1: bool = False) -> Path:
    """A caffemodel."""
    with path.open("wb") as file:
        file.write(field(1, b"net"))
        for name, blobs in layers.items():
            inner = b"".join(field(6 if v1 else 7, blob(array, legacy=v1)) for array in blobs)
            file.write(field(2 if v1 else 100, field(4 if v1 else 1, name.encode()) + inner))
    return path


def random_weights(prototxt: str, seed: int = 0) -> dict[str, list[Array]]:
    """By layer, blobs that keep the values of a network of rectified layers about as large as those of its input."""
    graph = read_graph(parse(prototxt, "net.prototxt"))
    with torch.device("meta"):
        network = Caffe(graph.layers, graph.inputs)
    rng = np.random.default_rng(seed)
    return {
        graph.names[name]: [_random(rng, key, tuple(tensor.shape)) for key, tensor in module.state_dict().items()]
        for name, module in network.named_children()
    }


def _random(rng: np.random.Generator, key: str, shape: tuple[int, ...]) -> Array:
    if key in ("variance", "factor"):
        return rng.uniform(0.5, 2, shape).astype(np.float32)
    spread = math.sqrt(2 / math.prod(shape[1:])) if len(shape) > 1 else 0.1
    array = rng.standard_normal(shape, np.float32)
    array *= np.float32(spread)
    return array


def imported(folder: Path, prototxt: str, weights: Mapping[str, Sequence[Array]] | None = None, *more: Path) -> Imported:
    """What the importer makes of a prototxt with these weights, by default random ones."""
    path = folder / "net.prototxt"
    path.write_text(prototxt)
    found = random_weights(prototxt) if weights is None else weights
    return CaffeImporter()([path, write(folder / "net.caffemodel", found, v1="layers" in prototxt), *more])


def differences(folder: Path, network: nn.Module, x: Array) -> dict[str, float]:
    """By layer, how far its output is from what OpenCV makes of the files in the folder, relative to the largest value."""
    peer = cv2.dnn.readNetFromCaffe(str(folder / "net.prototxt"), str(folder / "net.caffemodel"))
    peer.enableFusion(False)
    peer.enableWinograd(False)
    peer.setInput(x)
    outputs: dict[str, Any] = {}
    with ExitStack() as hooks, torch.no_grad():
        for name, layer in network.named_children():
            hooks.callback(layer.register_forward_hook(partial(_keep, outputs, name)).remove)
        network(torch.from_numpy(x))
    theirs = map(np.asarray, peer.forward(list(outputs)))
    return {name: _apart(ours, other) for (name, ours), other in zip(outputs.items(), theirs, strict=True)}


def _keep(outputs: dict[str, Any], name: str, _layer: nn.Module, _inputs: object, output: Any) -> None:
    outputs[name] = (output if isinstance(output, torch.Tensor) else output[0]).numpy()  # OpenCV gives the first of several


def _apart(ours: Array, theirs: Array) -> float:
    return float(np.abs(ours - theirs.reshape(ours.shape)).max() / max(1, np.abs(theirs).max()))

"""Networks of Caffe: a prototxt says how the layers are wired, a caffemodel has their weights."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch

from livecnn.errors import ModelError
from livecnn.networks.architectures import caffe as nets
from livecnn.networks.architectures.caffe_layers.base import Shape, shape_text
from livecnn.networks.architectures.caffe_layers.weighted import FullyConnected
from livecnn.networks.importers import Imported, Importer
from livecnn.networks.importers.caffe_format import graph as _caffe_graph
from livecnn.networks.importers.caffe_format import mean_and_labels as _caffe_extras
from livecnn.networks.importers.caffe_format import prototxt as _caffe_text
from livecnn.networks.importers.caffe_format.graph import CaffeGraph, optional_field
from livecnn.networks.importers.caffe_format.protobuf_wire import Binary, Blob
from livecnn.networks.importers.caffe_format.prototxt import Fields

ROLES = {
    "prototxt": (".prototxt",),
    "caffemodel": (".caffemodel",),
    "mean": (".binaryproto", ".npy"),
    "labels": (".txt",),
}


class CaffeImporter(Importer):
    """A `.prototxt`, its `.caffemodel`, and if there are such: the mean (`.binaryproto`, `.npy`), a label a line (`.txt`).

    A mean picture becomes part of the network, numbers by channel become the input's `mean`. Of a network for training the test
    phase is taken, without losses and measures; a softmax loss becomes a softmax.
    """

    suffixes: ClassVar[tuple[str, ...]] = tuple(suffix for role in ROLES.values() for suffix in role)

    def __call__(self, files: Sequence[Path], **_: object) -> Imported:
        found = _by_role(files)
        prototxt, caffemodel = found["prototxt"], found["caffemodel"]
        fields = _caffe_text.parse(_caffe_extras.text(prototxt), str(prototxt))
        mean = _caffe_extras.mean(found["mean"]) if "mean" in found else None
        with Binary(caffemodel) as binary:
            blobs = binary.layers()
            try:
                graph = _caffe_graph.read(fields)
                name, shape = _input(graph, blobs)
                spec = _input_spec(graph.transform, shape, mean)
                network = _network(graph, {name: list(shape)}, mean)
            except ModelError as error:
                raise ModelError(f"{prototxt}: {error}") from error
            try:
                tensors = _tensors(network, blobs, graph.names, binary)
            except ValueError as error:
                raise ModelError(f"{caffemodel}: {error}") from error
        if mean is not None and mean.ndim > 1:
            tensors["mean"] = _caffe_extras.center_crop(mean, shape, found["mean"])
        network.load_state_dict(tensors, assign=True)
        classes = _caffe_extras.labels(found["labels"]) if "labels" in found else ()
        return Imported(network.eval().requires_grad_(False), "caffe", network.options, spec, classes)


def _by_role(files: Sequence[Path]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for role, suffixes in ROLES.items():
        paths = [path for path in files if path.suffix in suffixes]
        if len(paths) > 1 or (not paths and role in ("prototxt", "caffemodel")):
            names = ", ".join(map(str, paths)) or "none"
            raise ModelError(f"{' or '.join(suffixes)}: found {names}; one is needed")
        if paths:
            found[role] = paths[0]
    return found


def _input(graph: CaffeGraph, blobs: Mapping[str, Sequence[Blob]]) -> tuple[str, Shape]:
    """The one blob that comes from outside, and its shape."""
    if len(graph.inputs) != 1:
        raise ModelError(f"its inputs: found {', '.join(graph.inputs) or 'none'}; one is needed: Input, input_shape or input_dim")
    ((name, shape),) = graph.inputs.items()
    if len(shape) < 2:
        raise ModelError(f"input {name!r}: its size is not told; needed: an Input layer, input_shape, input_dim or crop_size")
    return name, (1, _channels(graph, name, blobs), *shape[2:]) if shape[1] == 0 else shape


def _channels(graph: CaffeGraph, name: str, blobs: Mapping[str, Sequence[Blob]]) -> int:
    """Where only a crop size is told, the first filters tell the channels; else it is a colour picture."""
    for layer in graph.layers:
        own = blobs.get(graph.names[layer["name"]], ())
        if layer["bottom"] == [name] and layer["type"] == "Convolution" and own and len(own[0].shape) == 4:
            return own[0].shape[1] * (layer.get("group") or 1)
    return 3


def _network(graph: CaffeGraph, inputs: Mapping[str, Sequence[int]], mean: torch.Tensor | None) -> nets.Caffe:
    """On the device that has shapes only: its weights come from the file, without a copy."""
    scale = _scale(graph.transform) if mean is not None and mean.ndim > 1 else None
    with torch.device("meta"):
        return nets.Caffe(graph.layers, inputs, scale)


def _input_spec(transform: Fields, shape: Shape, mean: torch.Tensor | None) -> dict[str, Any] | None:
    """As in model.yaml; None where the input is no picture. Caffe takes the mean first, then it scales."""
    if len(shape) != 4 or shape[1] not in (1, 3):
        return None
    spec: dict[str, Any] = {"kind": "plain", "size": list(shape[2:]), "channels": shape[1], "scale": 255}
    if shape[1] == 3:
        spec["order"] = "BGR"
    if mean is not None and mean.ndim > 1:
        return spec
    values = transform.get("mean_value", []) if mean is None else mean.tolist()
    if mean is None and not values and "mean_file" in transform:
        file = optional_field(transform, "mean_file", str, "", "transform_param")
        raise ModelError(f"its pictures are less the mean in {file!r}: give that file, too (.binaryproto or .npy)")
    if values:
        if len(values) not in (1, shape[1]) or not all(map(_finite, values)):
            raise ModelError(f"mean_value: found {len(values)}; allowed: 1 or {shape[1]} finite numbers, one a channel")
        spec["mean"] = [float(value) for value in values]
    scale = _scale(transform)
    return spec if scale == 1 else {**spec, "std": [1 / scale]}


def _finite(value: object) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)


def _scale(transform: Fields) -> float:
    values = [float(value) if isinstance(value, int) else value for value in transform.get("scale", [])]
    scale = optional_field({"scale": values}, "scale", float, 1.0, "transform_param")
    if not 0 < scale < math.inf:
        raise ModelError(f"transform_param: scale: found {scale}; allowed: a number above 0")
    return scale


def _tensors(
    network: nets.Caffe, blobs: Mapping[str, Sequence[Blob]], names: Mapping[str, str], binary: Binary
) -> dict[str, torch.Tensor]:
    """The network's state from the layers' blobs. Raises ValueError, naming the layer that lacks some or has others."""
    state: dict[str, torch.Tensor] = {}
    for key, module in network.named_children():
        needed, found = module.state_dict(), blobs.get(names[key], ())
        if len(needed) != len(found):
            raise ValueError(f"layer {names[key]!r}: found {len(found)} blobs; {len(needed)} are needed")
        transposed = isinstance(module, FullyConnected) and module.transposed
        for (part, tensor), blob in zip(needed.items(), found, strict=True):
            across = transposed and tensor.ndim == 2
            shape = tuple(tensor.T.shape if across else tensor.shape)
            if _core(blob.shape) != _core(shape):
                raise ValueError(f"layer {names[key]!r}: its {part} are {shape_text(blob.shape)}; {shape_text(shape)} are needed")
            read = binary.read(blob).reshape(shape)
            state[f"{key}.{part}"] = read.T.contiguous() if across else read
    return state


def _core(shape: Shape) -> Shape:
    """Without leading ones, which older files have more of."""
    return shape[next((i for i, length in enumerate(shape) if length != 1), len(shape)) :]

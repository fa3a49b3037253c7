"""Networks of Caffe: a prototxt describes the layers and their wiring, a caffemodel holds the weights.

Of the layers in a prototxt those of the test phase are taken, without data, losses and measures.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np
import torch

from livecnn.errors import ModelError, first_line, nearest
from livecnn.networks.architectures.caffe import Caffe, module_name, where
from livecnn.networks.architectures.caffe_layers import LAYERS, FullyConnected, Shape, shape_text
from livecnn.networks.importers import Imported, Importer, read_start
from livecnn.networks.importers.caffe_format import Binary, Blob, Fields, parse

T = TypeVar("T")

LARGEST_TEXT = 1 << 22  # bytes; GoogLeNet's prototxt has 36,000
LARGEST_MEAN = 1 << 26  # numbers
_SYNSET = re.compile(r"n\d{8} ")  # ImageNet's number before a label

ROLES = {
    "prototxt": (".prototxt",),
    "caffemodel": (".caffemodel",),
    "mean": (".binaryproto", ".npy"),
    "labels": (".txt",),
}

DATA = ("Data", "ImageData", "HDF5Data", "MemoryData", "WindowData", "DummyData")
LEFT_OUT = ("Accuracy", "Silence", "EuclideanLoss", "HingeLoss", "MultinomialLogisticLoss", "HDF5Output")
LOSSES = {"SoftmaxWithLoss": "Softmax", "SigmoidCrossEntropyLoss": "Sigmoid"}
# Types by their names in the older generation: INNER_PRODUCT, and one that is irregular.
V1_TYPES = {kind.upper(): kind for kind in (*LAYERS, *DATA, *LEFT_OUT, *LOSSES)} | {"SOFTMAXLOSS": "SoftmaxWithLoss"}

PARAMS = {kind.param for kind in LAYERS.values()}  # Caffe passes over those of other types
WIRING = ("name", "type", "bottom", "top")
CALLED: dict[type, str] = {str: "text", int: "integer", float: "number", dict: "message in braces"}
# What concerns training only, or how fast a layer runs.
HARMLESS = {
    "weight_filler", "bias_filler", "filler", "engine", "force_nd_im2col", "stable_prod_grad",
    "param", "blobs_lr", "weight_decay", "blob_share_mode", "loss_weight", "propagate_down", "include", "exclude", "phase",
    "transform_param", "loss_param",
}  # fmt: skip


class CaffeImporter(Importer):
    """Reads a `.prototxt` and its `.caffemodel`, if given also the mean (`.binaryproto`, `.npy`) and labels (`.txt`, one a line).

    A mean picture becomes part of the network, numbers by channel become the input's `mean`. Of a network for training the test
    phase is taken, without losses and measures; a softmax loss becomes a softmax.
    """

    suffixes: ClassVar[tuple[str, ...]] = tuple(suffix for role in ROLES.values() for suffix in role)

    def __call__(self, files: Sequence[Path], **_: object) -> Imported:
        found = _by_role(files)
        prototxt, caffemodel = found["prototxt"], found["caffemodel"]
        fields = parse(read_text(prototxt), str(prototxt))
        mean = read_mean(found["mean"]) if "mean" in found else None
        with Binary(caffemodel) as binary:
            blobs = binary.layers()
            try:
                graph = read_graph(fields)
                name, shape = _input(graph, blobs)
                spec = _input_spec(graph.transform, shape, mean)
                scale = _scale(graph.transform) if mean is not None and mean.ndim > 1 else None
                with torch.device("meta"):  # shapes only: the weights come from the file, without a copy
                    network = Caffe(graph.layers, {name: list(shape)}, scale)
            except ModelError as error:
                raise ModelError(f"{prototxt}: {error}") from error
            try:
                tensors = _tensors(network, blobs, graph.names, binary)
            except ValueError as error:
                raise ModelError(f"{caffemodel}: {error}") from error
        if mean is not None and mean.ndim > 1:
            tensors["mean"] = _center_crop(mean, shape, found["mean"])
        network.load_state_dict(tensors, assign=True)
        classes = _labels(found["labels"]) if "labels" in found else ()
        return Imported(network.eval().requires_grad_(False), "caffe", network.options, spec, classes)


def _by_role(files: Sequence[Path]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for role, suffixes in ROLES.items():
        paths = [path for path in files if path.suffix.lower() in suffixes]
        if len(paths) > 1 or (not paths and role in ("prototxt", "caffemodel")):
            names = ", ".join(map(str, paths)) or "none"
            raise ModelError(f"{' or '.join(suffixes)}: found {names}; one is needed")
        if paths:
            found[role] = paths[0]
    return found


def _input(graph: CaffeGraph, blobs: Mapping[str, Sequence[Blob]]) -> tuple[str, Shape]:
    """Return the one blob that comes from outside, and its shape."""
    if len(graph.inputs) != 1:
        raise ModelError(f"its inputs: found {', '.join(graph.inputs) or 'none'}; one is needed: Input, input_shape or input_dim")
    ((name, shape),) = graph.inputs.items()
    if len(shape) < 2:
        raise ModelError(f"input {name!r}: its size is not told; needed: an Input layer, input_shape, input_dim or crop_size")
    return name, (1, _channels(graph, name, blobs), *shape[2:]) if shape[1] == 0 else shape


def _channels(graph: CaffeGraph, name: str, blobs: Mapping[str, Sequence[Blob]]) -> int:
    """Count channels by the first filters, where only a crop size is known; without filters it is a color picture."""
    for layer in graph.layers:
        own = blobs.get(graph.names[layer["name"]], ())
        if layer["bottom"] == [name] and layer["type"] == "Convolution" and own and len(own[0].shape) == 4:
            return own[0].shape[1] * (layer.get("group") or 1)
    return 3


def _input_spec(transform: Fields, shape: Shape, mean: torch.Tensor | None) -> dict[str, Any] | None:
    """Return the input as in model.yaml; None where it is no picture. Caffe subtracts the mean first, then it scales."""
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
        finite = all(isinstance(value, (int, float)) and math.isfinite(value) for value in values)
        if len(values) not in (1, shape[1]) or not finite:
            raise ModelError(f"mean_value: found {len(values)}; allowed: 1 or {shape[1]} finite numbers, one a channel")
        spec["mean"] = [float(value) for value in values]
    scale = _scale(transform)
    return spec if scale == 1 else {**spec, "std": [1 / scale]}


def _scale(transform: Fields) -> float:
    values = [float(value) if isinstance(value, int) else value for value in transform.get("scale", [])]
    scale = optional_field({"scale": values}, "scale", float, 1.0, "transform_param")
    if not 0 < scale < math.inf:
        raise ModelError(f"transform_param: scale: found {scale}; allowed: a number above 0")
    return scale


def _tensors(
    network: Caffe, blobs: Mapping[str, Sequence[Blob]], names: Mapping[str, str], binary: Binary
) -> dict[str, torch.Tensor]:
    """Return the network's state from the layers' blobs; a ValueError names the layer that lacks some or has others."""
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
    """Return a shape without leading ones, which older files have more of."""
    return shape[next((i for i, length in enumerate(shape) if length != 1), len(shape)) :]


def read_text(path: Path) -> str:
    """Return a file's text. Raises ModelError for one that is larger than any network's, or not UTF-8."""
    content = read_start(path, LARGEST_TEXT + 1)
    if len(content) > LARGEST_TEXT:
        raise ModelError(f"{path}: more than {LARGEST_TEXT} bytes; a text is needed")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ModelError(f"{path}: not a text in UTF-8") from error


def _labels(path: Path) -> tuple[str, ...]:
    """Read one label from each line, without ImageNet's numbers."""
    return tuple(_SYNSET.sub("", line.strip(), count=1) for line in read_text(path).splitlines() if line.strip())


def read_mean(path: Path) -> torch.Tensor:
    """Read the mean of a `.npy` or `.binaryproto` file: float32 (C,), a number for each channel, or (C, H, W), a picture."""
    if path.suffix.lower() == ".npy":
        found = _npy(path)
    else:
        with Binary(path) as binary:
            found = binary.read(binary.blob())
    while found.ndim > 3 and found.shape[0] == 1:
        found = found[0]
    if found.ndim == 3 and found.shape[1:] == (1, 1):
        found = found.flatten()
    if found.ndim not in (1, 3) or not found.isfinite().all():
        raise ModelError(f"{path}: found {shape_text(tuple(found.shape))}; needed: finite numbers, one a channel, or C x H x W")
    return found


def _center_crop(picture: torch.Tensor, shape: Shape, path: Path) -> torch.Tensor:
    """Cut the middle out of a mean picture, (1, C, H, W), as Caffe cuts pictures when it tests."""
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
        raise ModelError(f"{path}: not a sound NumPy array: {first_line(error)}") from error


@dataclass(frozen=True)
class CaffeGraph:
    """A network as its prototxt describes it."""

    inputs: dict[str, tuple[int, ...]]  # shapes of the blobs that come from outside, () if the prototxt does not say
    layers: list[dict[str, Any]]  # arguments of the architecture `caffe`
    names: dict[str, str]  # Caffe's own names of layers, by names of modules
    transform: Fields  # what is done to pictures beforehand, as the fields of Caffe's transform_param


def read_graph(net: Fields) -> CaffeGraph:
    """Read the fields of a prototxt, of either generation of the format. Raises ModelError, which names the layer."""
    generations = [key for key in ("layer", "layers") if key in net]
    if len(generations) != 1:
        raise ModelError(f"found {' and '.join(generations) or 'no layers'}; a prototxt has either layer or layers")
    layers = [_upgraded(_message(layer, "a layer")) for layer in net[generations[0]]]
    layers = [layer for layer in layers if _runs(layer)]
    inputs, transform = _inputs(net, layers)
    kept = [dict(_wired(layer)) for layer in layers if layer["type"][0] not in (*DATA, *LEFT_OUT, "Input")]
    used = {bottom for layer in kept for bottom in layer["bottom"]}
    names: dict[str, str] = {}
    for layer in kept:
        names[_free_name(layer, names)] = layer["name"]
    return CaffeGraph(
        {name: shape for name, shape in inputs.items() if name in used},
        [{**layer, "name": name} for layer, name in zip(kept, names, strict=True)],
        names,
        transform,
    )


def _free_name(layer: Mapping[str, Any], taken: Collection[str]) -> str:
    """Return the name of a layer as a module: Caffe runs layers that have none, or share one."""
    name = module_name(layer["name"] or layer["type"].lower())
    numbered = (f"{name}_{number}" for number in count(2))
    return name if name not in taken else next(each for each in numbered if each not in taken)


def optional_field(fields: Fields, key: str, kind: type[T], default: T, place: str) -> T:
    """Return the value of a field that can be there once."""
    values = fields.get(key, [])
    if len(values) > 1 or not all(isinstance(value, kind) and not isinstance(value, bool) for value in values):
        raise ModelError(f"{place}: {key}: found {str(values)[1:-1]:.60}; allowed: one {CALLED[kind]}")
    return values[0] if values else default


def _message(value: Any, place: str) -> Fields:
    if not isinstance(value, dict):
        raise ModelError(f"{place}: found {value!r:.60}; allowed: {{ … }}")
    return value


def _upgraded(layer: Fields) -> Fields:
    """Return the layer with its type in the newer generation's words."""
    if "layer" in layer:
        raise ModelError("its layers have the oldest format; Caffe's upgrade_net_proto_text brings it up to date")
    name = optional_field(layer, "name", str, "", "a layer")
    kind = optional_field(layer, "type", str, "", f"layer {name!r}")
    return {**layer, "name": [name], "type": [V1_TYPES.get(kind.replace("_", ""), kind)]}


def _runs(layer: Fields) -> bool:
    """Return whether a layer is there when a trained network is used (phase TEST, no stages)."""
    place = f"layer {layer['name'][0]!r}"
    rules = {key: [_holds(_message(rule, place), place) for rule in layer.get(key, [])] for key in ("include", "exclude")}
    return (any(rules["include"]) or not rules["include"]) and not any(rules["exclude"])


def _holds(rule: Fields, place: str) -> bool:
    return (
        optional_field(rule, "phase", str, "TEST", place) == "TEST"
        and optional_field(rule, "min_level", int, 0, place) <= 0
        and optional_field(rule, "max_level", int, 0, place) >= 0
        and not rule.get("stage")
    )


def _inputs(net: Fields, layers: Sequence[Fields]) -> tuple[dict[str, tuple[int, ...]], Fields]:
    """Return shapes of the blobs that come from outside, and what is done to pictures."""
    names = net.get("input", [])
    shapes = [_dims(shape, "input_shape") for shape in net.get("input_shape", [])]
    if not shapes:
        dims = net.get("input_dim", [])
        shapes = [dims[start : start + 4] for start in range(0, len(dims), 4)]
    found = {str(name): _one_picture(shape) for name, shape in zip(names, shapes, strict=False)}
    transform: Fields = {}
    for layer in layers:
        place = where(layer["name"][0], layer["type"][0])
        if layer["type"][0] in (*DATA, "Input"):
            own = _transform(layer, place)
            told = zip(map(str, layer.get("top", [])), _shapes(layer, own, place), strict=False)
            found.update((name, shape) for name, shape in told if shape or name not in found)  # else it is written on top
            transform = own or transform
    return found, transform


def _shapes(layer: Fields, transform: Fields, place: str) -> Iterator[tuple[int, ...]]:
    """Yield shapes of the tops of a layer that brings data; () where it does not say."""
    given = _part(layer, "input_param", place) or _part(layer, "dummy_data_param", place)
    shapes = [_one_picture(_dims(shape, place)) for shape in given.get("shape", [])]
    memory = _part(layer, "memory_data_param", place)
    side = optional_field(transform, "crop_size", int, 0, place)
    if memory:
        shapes = [(1, *(optional_field(memory, key, int, 0, place) for key in ("channels", "height", "width")))]
    elif side:
        shapes = [(1, 0, side, side)]  # the channels are those of the first filters
    for number in range(len(layer.get("top", []))):
        yield shapes[number] if number < len(shapes) else shapes[0] if given.get("shape") else ()


def _transform(layer: Fields, place: str) -> Fields:
    """Return what is done to pictures; the older generation has it among the data's parameters."""
    older = {**_part(layer, "data_param", place), **_part(layer, "image_data_param", place)}
    known: Fields = {key: older[key] for key in ("scale", "mean_file", "crop_size") if key in older}
    return {**known, **_part(layer, "transform_param", place)}


def _part(layer: Fields, key: str, place: str) -> Fields:
    return _message(optional_field(layer, key, dict, {}, place), place)


def _dims(shape: Any, place: str) -> list[Any]:
    return _message(shape, place).get("dim", [])


def _one_picture(dims: Sequence[Any]) -> tuple[int, ...]:
    """Return the shape of one picture, however many a batch has."""
    return (1, *dims[1:])


def _wired(layer: Fields) -> Iterator[tuple[str, Any]]:
    """Yield a supported layer's fields as the architecture `caffe` takes them."""
    name, kind = layer["name"][0], layer["type"][0]
    bottoms, tops = layer.get("bottom", []), layer.get("top", [])
    if kind in LOSSES:
        kind, bottoms, tops = LOSSES[kind], bottoms[:1], tops[:1] or [name]
    place = where(name, kind)
    for blob in (*bottoms, *tops):
        if not isinstance(blob, str):
            raise ModelError(f"{place}: found {blob!r:.60} as a blob's name; a text is needed")
    if kind not in LAYERS:
        raise ModelError(f"{place}: this type is not supported; {nearest(kind, LAYERS, len(LAYERS))}")
    own = LAYERS[kind].param
    yield from zip(WIRING, (name, kind, bottoms, tops), strict=True)
    unknown = [key for key in layer if key not in (*WIRING, *PARAMS) and key not in HARMLESS]
    if unknown:
        raise ModelError(f"{place}: unknown field {unknown[0]!r}; {nearest(unknown[0], (*WIRING, own))}")
    for key, values in (_part(layer, own, place) if own else {}).items():
        if key in WIRING or (key not in HARMLESS and key not in LAYERS[kind].model_fields):
            known = [field for field in LAYERS[kind].model_fields if field not in WIRING]
            raise ModelError(f"{place}: {own}: unknown field {key!r}; {nearest(key, known)}")
        if key not in HARMLESS:
            yield key, _collapsed(values)


def _collapsed(values: Sequence[Any]) -> Any:
    """Return one value as itself, several as a list, messages as mappings."""
    plain = [{key: _collapsed(inner) for key, inner in v.items()} if isinstance(v, Mapping) else v for v in values]
    return plain[0] if len(plain) == 1 else plain

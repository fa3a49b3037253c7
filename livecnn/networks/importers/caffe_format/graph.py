"""From what a prototxt says to the network that runs: the layers of the test phase, without data, losses and measures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from livecnn.errors import ModelError, nearest
from livecnn.networks.architectures.caffe import LAYERS, module_name, where
from livecnn.networks.importers.caffe_format.prototxt import Fields

T = TypeVar("T")

# The types of the older generation by their names in caffe.proto; the others are not supported in either.
V1_TYPES = {
    "CONVOLUTION": "Convolution", "DECONVOLUTION": "Deconvolution", "INNER_PRODUCT": "InnerProduct", "POOLING": "Pooling",
    "LRN": "LRN", "RELU": "ReLU", "SIGMOID": "Sigmoid", "TANH": "TanH", "DROPOUT": "Dropout", "SOFTMAX": "Softmax",
    "POWER": "Power", "ELTWISE": "Eltwise", "CONCAT": "Concat", "SLICE": "Slice", "SPLIT": "Split", "FLATTEN": "Flatten",
    "DATA": "Data", "IMAGE_DATA": "ImageData", "HDF5_DATA": "HDF5Data", "MEMORY_DATA": "MemoryData",
    "WINDOW_DATA": "WindowData", "DUMMY_DATA": "DummyData", "SOFTMAX_LOSS": "SoftmaxWithLoss",
    "SIGMOID_CROSS_ENTROPY_LOSS": "SigmoidCrossEntropyLoss", "ACCURACY": "Accuracy", "SILENCE": "Silence",
    "EUCLIDEAN_LOSS": "EuclideanLoss", "HINGE_LOSS": "HingeLoss", "MULTINOMIAL_LOGISTIC_LOSS": "MultinomialLogisticLoss",
    "HDF5_OUTPUT": "HDF5Output",
}  # fmt: skip
DATA = ("Data", "ImageData", "HDF5Data", "MemoryData", "WindowData", "DummyData")
LEFT_OUT = ("Accuracy", "Silence", "EuclideanLoss", "HingeLoss", "MultinomialLogisticLoss", "HDF5Output")
LOSSES = {"SoftmaxWithLoss": "Softmax", "SigmoidCrossEntropyLoss": "Sigmoid"}

PARAMS = {kind.param for kind in LAYERS.values()}  # Caffe passes over those of other types
WIRING = ("name", "type", "bottom", "top")
CALLED: dict[type, str] = {str: "text", int: "integer", float: "number", dict: "message in braces"}
# What concerns training only, or how fast a layer runs.
HARMLESS = {
    "weight_filler", "bias_filler", "filler", "engine", "force_nd_im2col", "stable_prod_grad",
    "param", "blobs_lr", "weight_decay", "blob_share_mode", "loss_weight", "propagate_down", "include", "exclude", "phase",
    "transform_param", "loss_param",
}  # fmt: skip


@dataclass(frozen=True)
class CaffeGraph:
    """inputs, layers: see nets.caffe.Caffe; a shape is () if the prototxt does not tell.  names: by module, Caffe's own name.

    transform: what is done to pictures beforehand, as the fields of Caffe's transform_param.
    """

    inputs: dict[str, tuple[int, ...]]
    layers: list[dict[str, Any]]
    names: dict[str, str]
    transform: Fields = field(default_factory=dict)


def read(net: Fields) -> CaffeGraph:
    """Raises ModelError."""
    generations = [key for key in ("layer", "layers") if key in net]
    if len(generations) != 1:
        raise ModelError(f"found {' and '.join(generations) or 'no layers'}; a prototxt has either layer or layers")
    layers = [_upgraded(_message(layer, "a layer")) for layer in net[generations[0]]]
    layers = [layer for layer in layers if _runs(layer)]
    inputs, transform = _inputs(net, layers)
    kept = [dict(_wired(layer)) for layer in layers if layer["type"][0] not in (*DATA, *LEFT_OUT, "Input")]
    names = {module_name(layer["name"]): layer["name"] for layer in kept}
    used = {bottom for layer in kept for bottom in layer["bottom"]}
    return CaffeGraph(
        {name: shape for name, shape in inputs.items() if name in used},
        [{**layer, "name": module_name(layer["name"])} for layer in kept],
        names,
        transform,
    )


def optional_field(fields: Fields, key: str, kind: type[T], default: T, place: str) -> T:
    """The value of a field that can be there once."""
    values = fields.get(key, [])
    if len(values) > 1 or not all(isinstance(value, kind) and not isinstance(value, bool) for value in values):
        raise ModelError(f"{place}: {key}: found {str(values)[1:-1]:.60}; allowed: one {CALLED[kind]}")
    return values[0] if values else default


def _message(value: Any, place: str) -> Fields:
    if not isinstance(value, dict):
        raise ModelError(f"{place}: found {value!r:.60}; allowed: {{ … }}")
    return value


def _upgraded(layer: Fields) -> Fields:
    """The layer, its type in the newer generation's words."""
    if "layer" in layer:
        raise ModelError("its layers have the oldest format; Caffe's upgrade_net_proto_text brings it up to date")
    name = optional_field(layer, "name", str, "", "a layer")
    kind = optional_field(layer, "type", str, "", f"layer {name!r}")
    return {**layer, "name": [name], "type": [V1_TYPES.get(kind, kind)]}


def _runs(layer: Fields) -> bool:
    """Whether a layer is there when a trained network is used (phase TEST, no stages)."""
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
    """Shapes of the blobs that come from outside, and what is done to pictures."""
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
            found.update(zip(map(str, layer.get("top", [])), _shapes(layer, own, place), strict=False))
            transform = own or transform
    return found, transform


def _shapes(layer: Fields, transform: Fields, place: str) -> Iterator[tuple[int, ...]]:
    """Of the tops of a layer that brings data; () where it does not tell."""
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
    """The older generation has it among the data's parameters."""
    older = {**_part(layer, "data_param", place), **_part(layer, "image_data_param", place)}
    known: Fields = {key: older[key] for key in ("scale", "mean_file", "crop_size") if key in older}
    return {**known, **_part(layer, "transform_param", place)}


def _part(layer: Fields, key: str, place: str) -> Fields:
    return _message(optional_field(layer, key, dict, {}, place), place)


def _dims(shape: Any, place: str) -> list[Any]:
    return _message(shape, place).get("dim", [])


def _one_picture(dims: Sequence[Any]) -> tuple[int, ...]:
    """A shape, of one picture however many a batch has."""
    return (1, *dims[1:])


def _wired(layer: Fields) -> Iterator[tuple[str, Any]]:
    """A supported layer's fields as nets.caffe takes them."""
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
    """One value as itself, several as a list, messages as mappings."""
    plain = [{key: _collapsed(inner) for key, inner in v.items()} if isinstance(v, Mapping) else v for v in values]
    return plain[0] if len(plain) == 1 else plain

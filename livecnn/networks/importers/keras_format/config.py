"""A Keras model's configuration, cleaned: from whatever a stranger's file says to plain values of layers that only compute.

Keras has built what a file asks for too willingly more than once, so nothing else than what this returns is ever given to it:
layers by an allow-list, their arguments numbers, words and lists, and no initializer, regularizer, constraint or function.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping, Sequence
from typing import Any

from livecnn.errors import ModelError, nearest
from livecnn.networks.architectures.keras import ACTIVATIONS, LAYERS, KerasGraph, library

MODELS = ("Sequential", "Functional", "Model")
DROPPING = ("Dropout", "SpatialDropout2D", "GaussianDropout", "GaussianNoise", "AlphaDropout", "ActivityRegularization")
VARYING = ("RandomFlip", "RandomRotation", "RandomZoom", "RandomTranslation", "RandomContrast", "RandomBrightness")
IN_TRAINING_ONLY = (*DROPPING, *VARYING)
OPERATORS = ("Add", "Subtract", "Multiply", "Maximum", "Minimum")
KNOWN = (*LAYERS, *IN_TRAINING_ONLY, "InputLayer")
_OLD_NAMES = {("LeakyReLU", "alpha"): "negative_slope"}
_OTHERS = ("name", "trainable", "dtype", "seed", "batch_input_shape", "batch_shape", "input_dtype", "ragged", "sparse")

Reference = list[Any]  # of an output: layer, call, place in what it returned


def matters(key: str) -> bool:
    """Whether a pass depends on an argument of a layer; some are for training, some have a place of their own."""
    return key not in _OTHERS and not key.endswith(("_initializer", "_regularizer", "_constraint"))


class ConfigSanitizer:
    """Cleans one file's configuration. policies, activations: types of numbers and activations that it met on the way."""

    def __init__(self) -> None:
        self.policies: set[str] = set()
        self.activations: set[str] = set()

    def model(self, item: Any) -> dict[str, Any]:
        """A model, as keras.saving.deserialize_keras_object takes it. Raises ModelError naming layer and class."""
        kind, config = _parts(item)
        if kind not in MODELS:
            raise ModelError(f"the model is a {kind}; allowed: Sequential, Functional, whose structure is data, not code")
        if isinstance(config, list):  # as Keras wrote a Sequential before 2.2.3
            config = {"layers": config}
        layers = [_entry(_as_layer(layer)) for layer in _list(config.get("layers"), "layers")]
        if not layers:
            raise ModelError("the model has no layers")
        names = _names([name for name, _ in layers])
        common = {"name": names.get("", "model")}
        if kind == "Sequential":
            return _serialized("keras", kind, {**common, "layers": self._chain(config, layers, names)})
        cleaned = [
            {**self._layer(layer, names[name]), "name": names[name], "inbound_nodes": _nodes(name, layer, names)}
            for name, layer in layers
        ]
        ends = {key: _references(config.get(key), names) for key in ("input_layers", "output_layers")}
        return _serialized("keras.src.models.functional", "Functional", {**common, "layers": cleaned, **ends})

    def _chain(self, config: Mapping[str, Any], layers: Sequence[tuple[str, Any]], names: Mapping[str, str]) -> list[Any]:
        cleaned = [self._layer(layer, names[name]) for name, layer in layers]
        first = layers[0][1]
        if first["class_name"] in ("InputLayer", *MODELS):
            return cleaned
        shape = first["config"].get("batch_input_shape") or config.get("build_input_shape")
        if not shape:
            raise ModelError("the shape of the model's input is not known; call model.build(…) before model.save(…)")
        return [_input(shape, "input_of_the_model"), *cleaned]

    def _layer(self, item: Mapping[str, Any], name: str) -> dict[str, Any]:
        kind, config = _parts(item)
        if kind in MODELS:
            cleaned = self.model(item)
            return {**cleaned, "config": {**cleaned["config"], "name": name}}
        where = f"layer {name!r}: {kind}"
        module, registered = item.get("module", "keras.layers"), item.get("registered_name")
        if module != "keras.layers" or registered not in (None, kind) or kind not in KNOWN:
            whose = kind if module == "keras.layers" else f"{module}.{kind}"
            raise ModelError(f"layer {name!r}: {whose} is refused, and nothing of it was run; {nearest(kind, KNOWN)}")
        self.policies.add(_policy(config.get("dtype")))
        if kind == "InputLayer":
            return _input(config.get("batch_shape") or config.get("batch_input_shape"), name)
        if kind in IN_TRAINING_ONLY:
            return _serialized("keras.layers", "Identity", {"name": name, "dtype": "float32"})
        arguments = _arguments(kind, config, where)
        if "activation" in arguments:
            self.activations.add(_activation(arguments["activation"], where))
        return _serialized("keras.layers", kind, {**arguments, "name": name, "dtype": "float32"})


def _serialized(module: str, kind: str, config: Mapping[str, Any]) -> dict[str, Any]:
    return {"module": module, "class_name": kind, "config": dict(config), "registered_name": None}


def _input(shape: Any, name: str) -> dict[str, Any]:
    sizes = _list(shape, f"the shape of {name}")
    if not all(size is None or (type(size) is int and size > 0) for size in sizes):
        raise ModelError(f"layer {name!r}: found the shape {sizes}; allowed: positive numbers and null")
    return _serialized("keras.layers", "InputLayer", {"batch_shape": [None, *sizes[1:]], "name": name, "dtype": "float32"})


def _arguments(kind: str, config: Mapping[str, Any], where: str) -> dict[str, Any]:
    allowed = inspect.signature(getattr(library().layers, kind)).parameters
    found: dict[str, Any] = {key: "zeros" for key in allowed if key.endswith("_initializer")}
    for old, value in config.items():
        key = _OLD_NAMES.get((kind, old), old)
        if not matters(key):
            continue
        if kind == "BatchNormalization" and key == "axis" and isinstance(value, list) and len(value) == 1:
            value = value[0]  # as Keras 2 wrote it  # noqa: PLW2901
        if not _is_plain(value):
            raise ModelError(f"{where}: {key} is {str(value)[:60]}; allowed: numbers, words and lists of them")
        if key in allowed:
            found[key] = value
        elif value not in (None, False, 0, 1):  # an option of another version, made use of
            raise ModelError(f"{where}: {key} = {str(value)[:60]} is unknown to this Keras; allowed: {', '.join(allowed)}")
    return found


def _is_plain(value: Any) -> bool:
    if isinstance(value, list):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value))


def _activation(value: Any, where: str) -> str:
    if value is None:
        return "linear"
    if value not in ACTIVATIONS:
        raise ModelError(f"{where}: unknown activation {value!r}; {nearest(str(value), ACTIVATIONS, most=len(ACTIVATIONS))}")
    return str(value)


def _policy(value: Any) -> str:
    """float32, mixed_float16 …: a name, or in Keras 3 an object that has one."""
    config = value.get("config") if isinstance(value, Mapping) else None
    return str((config or {}).get("name", "float32") if isinstance(config, Mapping) else value or "float32")


def _nodes(name: str, layer: Mapping[str, Any], names: Mapping[str, str]) -> list[list[Reference]]:
    """Which outputs each call of a layer gets: Keras 3 wrote its arguments, Keras 2 a list of outputs."""
    nodes = []
    for node in _list(layer.get("inbound_nodes"), f"inbound_nodes of {name}"):
        if isinstance(node, Mapping):
            tensors, options = _tensors(node.get("args")), [node.get("kwargs")]
        else:
            tensors = [entry[:3] for entry in _list(node, f"inbound_nodes of {name}")]
            options = [*(entry[3] for entry in node if len(entry) > 3)]
        for chosen in options:
            told = {key: value for key, value in (chosen or {}).items() if key != "training" and value is not None}
            if told:
                raise ModelError(f"layer {name!r} is called with {str(told)[:60]}; allowed: its inputs alone")
        nodes.append([[*reference, {}] for reference in _references(tensors, names)])
    return nodes


def _tensors(value: Any) -> list[Any]:
    """What stands for outputs in the arguments of a call, in Keras 3."""
    if isinstance(value, Mapping) and value.get("class_name") == "__keras_tensor__":
        return [value["config"]["keras_history"]]
    if not isinstance(value, list):
        raise ModelError(f"found {str(value)[:60]} as an argument of a layer's call; allowed: outputs of layers")
    return [tensor for item in value for tensor in _tensors(item)]


def _references(value: Any, names: Mapping[str, str]) -> list[Reference]:
    """[["conv", 0, 0], …], of which Keras writes a single one, or a mapping of them, too."""
    listed = list(value.values()) if isinstance(value, Mapping) else _list(value, "references to outputs")
    if listed and not isinstance(listed[0], list):
        listed = [listed]
    for reference in listed:
        if len(reference) != 3 or reference[0] not in names or not all(type(index) is int for index in reference[1:]):
            raise ModelError(f"found {str(reference)[:60]} as a reference to an output; allowed: [layer, call, place]")
    return [[names[layer], call, place] for layer, call, place in listed]


def _names(found: Sequence[str]) -> dict[str, str]:
    """Names that a module of torch can have, by those in the file."""
    names = {name: name.replace(".", "_").replace("/", "_") for name in found}
    names = {name: f"{new}_" if hasattr(KerasGraph, new) or not new else new for name, new in names.items()}
    twice = next((name for name in found if list(found).count(name) > 1 or list(names.values()).count(names[name]) > 1), None)
    if twice is not None:
        raise ModelError(f"layer {twice!r}: found the name twice; allowed: names that differ in more than `.` and `/`")
    return names


def _entry(layer: Any) -> tuple[str, Mapping[str, Any]]:
    kind, config = _parts(layer)
    name = layer.get("name") or (config.get("name") if isinstance(config, Mapping) else None)
    return str(name or kind), layer


def _as_layer(item: Any) -> Any:
    """An operator between two outputs, or an output and a number, as the layer that does the same; anything else as it is."""
    if not isinstance(item, Mapping) or item.get("module") != "keras.src.ops.numpy" or item.get("class_name") not in OPERATORS:
        return item
    kind, config = _parts(item)
    layer = {**item, "module": "keras.layers", "registered_name": None}
    (node,) = _list(item.get("inbound_nodes"), "inbound_nodes")
    numbers = [value for value in node["args"] if type(value) in (int, float)]
    if kind not in ("Add", "Multiply") or len(numbers) != 1:
        return layer
    scaling = {"scale": 1.0, "offset": numbers[0]} if kind == "Add" else {"scale": numbers[0], "offset": 0.0}
    rest = [value for value in node["args"] if value is not numbers[0]]
    return {**layer, "class_name": "Rescaling", "config": {**config, **scaling}, "inbound_nodes": [{**node, "args": rest}]}


def _parts(item: Any) -> tuple[str, Any]:
    if (
        not isinstance(item, Mapping)
        or not isinstance(item.get("class_name"), str)
        or not isinstance(item.get("config"), dict | list)
    ):
        raise ModelError(f"found {str(item)[:60]}; allowed: class_name and config")
    return item["class_name"], item["config"]


def _list(value: Any, what: str) -> list[Any]:
    if not isinstance(value, list):
        raise ModelError(f"{what}: found {str(value)[:60]}; allowed: a list")
    return value

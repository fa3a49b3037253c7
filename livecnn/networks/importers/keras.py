"""Whole Keras models, from HDF5 (`.h5`, `.hdf5`, as Keras 2 writes them) or Keras 3's own archives (`.keras`).

Files are read in three steps: the model's configuration, once every size that the file declares has been checked, with nothing
built; the configuration cleaned; and the plan by which livecnn/networks/architectures/keras.py runs the model that Keras built.

Keras has built what a file asks for too willingly more than once, so it is given nothing but the cleaned configuration: layers by
an allow-list, their arguments numbers, words and lists, and no initializer, regularizer, constraint or function.
"""

from __future__ import annotations

import copy
import inspect
import io
import json
import math
import re
import shutil
import tempfile
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from pydantic import JsonValue

from livecnn.errors import ModelError, first_line, nearest
from livecnn.networks.architectures.keras import (
    ACTIVATIONS,
    GRAPH,
    LAYERS,
    OPERATIONS,
    OUTPUT,
    RESIZING,
    Keras,
    KerasGraph,
    library,
)
from livecnn.networks.importers import Imported, Importer, only_file, read_start
from livecnn.networks.inspection.tracing import TensorPath, key_of
from livecnn.networks.pipelines.plain import MOST_CHANNELS
from livecnn.networks.weights import load_into

MOST_EXPANSION = 100  # of what is stored; weights can hardly be compressed
SMALL = 1 << 20  # bytes that may be anything
SMALL_SCALE = 1 / 32  # factors below are for values up to 255

MODELS = ("Sequential", "Functional", "Model")
DROPPING = ("Dropout", "SpatialDropout2D", "GaussianDropout", "GaussianNoise", "AlphaDropout", "ActivityRegularization")
VARYING = ("RandomFlip", "RandomRotation", "RandomZoom", "RandomTranslation", "RandomContrast", "RandomBrightness")
IN_TRAINING_ONLY = (*DROPPING, *VARYING)
PLACING = ("Identity", *RESIZING, "Permute", "Reshape", "GetItem", "Stack", "Concatenate")  # which hand values on as they are
OPERATORS = ("Add", "Subtract", "Multiply", "Maximum", "Minimum")  # of two outputs, for which there are layers
OPERATIONS_MODULE = "keras.src.ops."
# By the function's name in TensorFlow: the class, and the names of its arguments after the first.
OPERATIONS_OF_KERAS_2 = {
    **{f"math.{name}": (kind, "y") for name, kind in (("truediv", "TrueDivide"), ("divide", "TrueDivide"), ("pow", "Power"))},
    **{f"math.{kind.lower()}": (kind, "y") for kind in OPERATORS},
    **{f"math.{name}": (kind,) for name, kind in (("negative", "Negative"), ("abs", "Absolute"), ("square", "Square"))},
    **{f"math.{kind.lower()}": (kind,) for kind in ("Sqrt", "Exp", "Log", "Tanh", "Sigmoid")},
    **{f"nn.{kind.lower()}": (kind,) for kind in ("Relu", "Relu6", "Silu", "Sigmoid")},
    "nn.bias_add": ("Add", "bias"),
    "clip_by_value": ("Clip", "clip_value_min", "clip_value_max"),
    "__operators__.add": ("Add", "y"),
    "__operators__.getitem": ("GetItem", "slice_spec"),
}
KNOWN = (*LAYERS, *IN_TRAINING_ONLY, "InputLayer")
_OLD_NAMES = {("LeakyReLU", "alpha"): "negative_slope"}
_OTHERS = ("name", "trainable", "dtype", "seed", "batch_input_shape", "batch_shape", "input_dtype", "ragged", "sparse")

Reference = list[Any]  # of an output: layer, call, place in what it returned


class KerasImporter(Importer):
    """Reads sequential and functional models of the layers in architectures/keras.py; none of the file's code is run.

    Files do not say which values pictures have. The first layer that changes values does, if it is Rescaling or Normalization;
    else 0..1 is assumed, and a note says so.
    """

    suffixes: ClassVar[tuple[str, ...]] = (".h5", ".hdf5", ".keras")

    def __call__(
        self,
        files: Sequence[Path],
        *,
        architecture: str | None = None,
        options: Mapping[str, JsonValue] = MappingProxyType({}),
        **_: object,
    ) -> Imported:
        path = only_file(files)
        if architecture is not None or options:
            raise ModelError(f"{path}: found an architecture beside it; allowed: none, for the file holds its own")
        library()
        try:
            return _imported(path)
        except ModelError as error:
            raise ModelError(str(error) if str(error).startswith(str(path)) else f"{path}: {error}") from error
        except Exception as error:  # whatever Keras does with what makes no sense
            raise ModelError(f"{path}: Keras cannot make a model of it: {first_line(error)}") from error


def _imported(path: Path) -> Imported:
    keras = library()
    found = read_description(path)
    cleaner = ConfigSanitizer()
    cleaned = cleaner.model(found.configuration)
    _check_numbers(cleaned, found.numbers)
    with keras.device("cpu"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what it says of versions of NumPy
        warnings.simplefilter("error", UserWarning)  # all that it says of weights that it did not find
        model = _built(cleaned)
        with _with_suffix_in_small_letters(path) as file:  # by which Keras tells formats apart
            model.load_weights(file)
        planned = ImportPlan(model)
    options: dict[str, Any] = {"shape": _shape(model), "plan": planned.plan, "channels_first": _channels_first(planned.plan)}
    module = Keras(**options)
    load_into(module, planned.tensors, path)
    return Imported(module.eval(), "keras", options, _input(options), notes=tuple(_notes(cleaner, found.version, planned.plan)))


@contextmanager
def _with_suffix_in_small_letters(path: Path) -> Iterator[Path]:
    if path.suffix == path.suffix.lower():
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        yield Path(shutil.copyfile(path, Path(folder, f"model{path.suffix.lower()}")))


def _built(cleaned: Mapping[str, Any]) -> Any:
    return library().saving.deserialize_keras_object(copy.deepcopy(cleaned), safe_mode=True)  # which uses it up


def _check_numbers(cleaned: Mapping[str, Any], numbers: int) -> None:
    """Check, before memory is taken for it, that a model needs no more weights than its file holds."""
    with library().device("meta"):
        needed = sum(math.prod(weight.shape) for weight in _built(cleaned).weights)
    if needed > numbers:
        raise ModelError(f"its layers need {needed} numbers as weights, the file holds {numbers}")


def _shape(model: Any) -> list[int | None]:
    shape = list(model.inputs[0].shape[1:])
    channels = {2: 1, 3: shape[-1]}.get(len(shape))
    if channels is None:
        raise ModelError(f"the model's input is {tuple(shape)}; allowed: a picture, (H, W) or (H, W, channels)")
    return shape


def _channels_first(plan: Mapping[str, Any]) -> bool:
    found = set(_formats(plan))
    if len(found) > 1:
        raise ModelError("found layers of channels_first and of channels_last; allowed: one of them throughout")
    return found == {"channels_first"}


def _formats(plan: Mapping[str, Any]) -> list[str]:
    configs = [step.get("config", {}) for step in plan["steps"]]
    inner = [name for config in configs if "steps" in config for name in _formats(config)]
    return [*inner, *(config["data_format"] for config in configs if "data_format" in config)]


def _input(options: Mapping[str, Any]) -> dict[str, Any]:
    shape = options["shape"]
    if len(shape) == 2:
        shape = [*shape, 1]
    channels, *size = [shape[0], *shape[1:]] if options["channels_first"] else [shape[2], *shape[:2]]
    if channels is None or channels > MOST_CHANNELS:
        raise ModelError(f"the model's input has {channels or 'any number of'} channels; allowed: 1 to {MOST_CHANNELS}")
    sized = {"size": size} if None not in size else {}
    return {"kind": "plain", **sized, "channels": channels, "scale": _range(options["plan"])[0] or 1}


def _range(plan: Mapping[str, Any]) -> tuple[int | None, bool]:
    """Derive the range of a model's input from what it does to values first.

    Args:
        plan: The fields of a KerasPlan.

    Returns:
        255 or 1, the largest value, or None if the model does not tell; and whether the plan only hands values on.
    """
    key = plan["input"]
    same = {key}  # keys of what holds the pictures' values as they are
    for step in plan["steps"]:
        kind, config = step.get("kind"), step.get("config", {})
        if not same.issuperset(step.get("inputs", [key])):
            return None, False
        key = step["name"]
        if kind == "Rescaling" and config.get("scale", 1) == 1 and np.max(np.abs(config["offset"])) == 0:
            kind = "Identity"
        if kind == "Rescaling":  # by 1/255, 1/127.5, or minus the mean; values up to 1 are doubled, at most
            small = np.max(np.abs(config["scale"])) < SMALL_SCALE or np.max(np.abs(config["offset"])) > 8
            return 255 if small else 1, False
        if kind == "Normalization":
            spread = np.sqrt(config.get("variance", 1)) + np.abs(config.get("mean", 0))
            return 255 if np.max(spread) > 1 / SMALL_SCALE / 8 else 1, False
        if kind == GRAPH:
            found, hands_on = _range(config)
            if not hands_on:
                return found, False
        elif kind not in PLACING and (kind, config.get("activation", "linear")) != ("Activation", "linear"):
            return None, False
        same.add(key)
    return None, True


def _notes(cleaner: ConfigSanitizer, version: str, plan: Mapping[str, Any]) -> list[str]:
    notes = []
    other = sorted(cleaner.policies - {"float32"})
    if other:
        notes.append(f"its numbers are {', '.join(other)}; here it computes in float32")
    if "hard_sigmoid" in cleaner.activations and version[:1] in ("1", "2"):
        notes.append(f"hard_sigmoid is that of Keras 3, relu6(x + 3) / 6, not max(0, min(1, 0.2 x + 0.5)) as in Keras {version}")
    if _range(plan)[0] is None:
        notes.append("it does not tell the range of its pictures: 0 to 1 is assumed; for 0 to 255: --input scale=255")
    return notes


class Description(NamedTuple):
    """The model's configuration as plain data, the version of the Keras that wrote it or "", and how many numbers are weights."""

    configuration: Any
    version: str
    numbers: int


def read_description(path: Path) -> Description:
    """Read a file's description, once sizes and links of all that it holds have been checked. Raises ModelError."""
    read_start(path, 0)  # whether it can be read, which HDF5 says in words of its own
    try:
        return _of_archive(path) if zipfile.is_zipfile(path) else _of_hdf5(path)
    except ModelError:
        raise
    except Exception as error:  # zip, HDF5 and JSON fail in any way there is on nonsense
        raise ModelError(f"{path}: not a sound Keras file: {type(error).__name__}: {error}") from error


def _of_archive(path: Path) -> Description:
    import h5py

    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            _check_expansion(path, member.filename, member.file_size, member.compress_size)
        missing = {"config.json", "metadata.json", "model.weights.h5"} - set(archive.namelist())
        if missing:
            raise ModelError(f"{path}: holds no {', '.join(sorted(missing))}; allowed: what model.save(…) writes")
        weights = archive.read("model.weights.h5")
        with h5py.File(io.BytesIO(weights), "r") as file:
            numbers = _checked_numbers(path, file, len(weights))
        version = json.loads(archive.read("metadata.json")).get("keras_version", "")
        return Description(json.loads(archive.read("config.json")), str(version), numbers)


def _of_hdf5(path: Path) -> Description:
    import h5py

    with h5py.File(path, "r") as file:
        numbers = _checked_numbers(path, file, path.stat().st_size)
        text = file.attrs.get("model_config")
        if text is None:
            raise ModelError(f"{path}: holds weights alone, no model_config; allowed: a whole model, as model.save(…) writes it")
        return Description(json.loads(_text(text)), _text(file.attrs.get("keras_version", "")), numbers)


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _checked_numbers(path: Path, file: Any, stored: int) -> int:
    """Return how many numbers all datasets hold together."""
    import h5py

    total = numbers = 0
    for item in _objects(path, file):
        for name in item.attrs:
            attribute = item.attrs.get_id(name)
            size = math.prod(attribute.shape) * attribute.dtype.itemsize
            _check_expansion(path, f"{item.name}: {name}", size, stored, most_expansion=1)
        if isinstance(item, h5py.Dataset):
            if item.external or item.is_virtual:
                raise ModelError(f"{path}: {item.name} lies in another file; allowed: data that lies in the file itself")
            if item.dtype.kind not in "fiubS":
                raise ModelError(f"{path}: {item.name} holds {item.dtype}; allowed: numbers")
            total += item.nbytes
            numbers += item.size
    _check_expansion(path, "the weights", total, stored)
    return numbers


def _objects(path: Path, file: Any) -> Iterator[Any]:
    """Yield all that a file holds, each once, for groups may hold each other."""
    import h5py

    seen: set[int] = set()
    groups = [file]
    while groups:
        group = groups.pop()
        yield group
        for name in group:
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise ModelError(f"{path}: {group.name}/{name} is a link; allowed: data that lies in the file itself")
            item = group[name]
            address = h5py.h5o.get_info(item.id).addr
            if address not in seen:
                seen.add(address)
                if isinstance(item, h5py.Group):
                    groups.append(item)
                else:
                    yield item


def _check_expansion(path: Path, name: str, declared: int, stored: int, most_expansion: int = MOST_EXPANSION) -> None:
    if declared > max(SMALL, most_expansion * stored):
        raise ModelError(f"{path}: {name} would grow from {stored} bytes to {declared}; allowed: {most_expansion} times as many")


class ConfigSanitizer:
    """Cleans one file's configuration, and notes which types of numbers and which activations occur."""

    def __init__(self) -> None:
        self.policies: set[str] = set()  # such as "mixed_float16"
        self.activations: set[str] = set()

    def model(self, item: Any) -> dict[str, Any]:
        """Return a model's configuration as Keras takes it. Raises ModelError for anything that is not allowed."""
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
        ends = {key: found[0] if len(found) == 1 else found for key, found in ends.items()}  # a list of one gives a list of one
        return _serialized("keras.src.models.functional", "Functional", {**common, "layers": cleaned, **ends})

    def _chain(self, config: Mapping[str, Any], layers: Sequence[tuple[str, Any]], names: Mapping[str, str]) -> list[Any]:
        cleaned = [self._layer(layer, names[name]) for name, layer in layers]
        first = layers[0][1]
        if first["class_name"] in ("InputLayer", *MODELS):
            return cleaned
        shape = first["config"].get("batch_input_shape") or config.get("build_input_shape")
        if not shape:
            raise ModelError("the shape of the model's input is not known; call model.build(…) before model.save(…)")
        return [_input_layer(shape, "input_of_the_model"), *cleaned]

    def _layer(self, item: Mapping[str, Any], name: str) -> dict[str, Any]:
        kind, config = _parts(item)
        if kind in MODELS:
            cleaned = self.model(item)
            return {**cleaned, "config": {**cleaned["config"], "name": name}}
        where = f"layer {name!r}: {kind}"
        module, registered = item.get("module", "keras.layers"), item.get("registered_name")
        if kind in OPERATIONS and module == f"{OPERATIONS_MODULE}{OPERATIONS[kind]}":
            options = {key: value for key, value in config.items() if key != "name"}
            if not all(map(_is_plain, options.values())):
                raise ModelError(f"{where}: found {str(options)[:60]}; allowed: numbers, words and lists of them")
            return {**_serialized(module, kind, {**options, "name": name}), "registered_name": kind}
        if module != "keras.layers" or registered not in (None, kind) or kind not in KNOWN:
            whose = kind if module == "keras.layers" else f"{module}.{kind}"
            raise ModelError(f"layer {name!r}: {whose} is refused, and nothing of it was run; {nearest(kind, KNOWN)}")
        self.policies.add(_policy(config.get("dtype")))
        if kind == "InputLayer":
            return _input_layer(config.get("batch_shape") or config.get("batch_input_shape"), name)
        if kind in IN_TRAINING_ONLY:
            return _serialized("keras.layers", "Identity", {"name": name, "dtype": "float32"})
        arguments = _arguments(kind, config, where)
        if "activation" in arguments:
            self.activations.add(_activation(arguments["activation"], where))
        return _serialized("keras.layers", kind, {**arguments, "name": name, "dtype": "float32"})


def _serialized(module: str, kind: str, config: Mapping[str, Any]) -> dict[str, Any]:
    return {"module": module, "class_name": kind, "config": dict(config), "registered_name": None}


def _input_layer(shape: Any, name: str) -> dict[str, Any]:
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
    """Return float32, mixed_float16 …: a name, or in Keras 3 an object that has one."""
    config = value.get("config") if isinstance(value, Mapping) else None
    return str((config or {}).get("name", "float32") if isinstance(config, Mapping) else value or "float32")


def _nodes(name: str, layer: Mapping[str, Any], names: Mapping[str, str]) -> list[Any]:
    """Return which outputs each call of a layer gets: Keras 3 wrote its arguments, Keras 2 a list of outputs."""
    nodes: list[Any] = []
    for node in _list(layer.get("inbound_nodes"), f"inbound_nodes of {name}"):
        if str(layer.get("module")).startswith(OPERATIONS_MODULE):
            nodes.append({part: _argument(node[part], names, f"layer {name!r}") for part in ("args", "kwargs")})
            continue
        if isinstance(node, Mapping):
            tensors, options = _tensors(node.get("args")), [node.get("kwargs")]
        else:
            tensors = [entry[:3] for entry in _list(node, f"inbound_nodes of {name}")]
            options = [*(entry[3] for entry in node if len(entry) > 3)]
        for chosen in options:
            extra = {key: value for key, value in (chosen or {}).items() if key != "training" and value is not None}
            if extra:
                raise ModelError(f"layer {name!r} is called with {str(extra)[:60]}; allowed: its inputs alone")
        nodes.append([[*reference, {}] for reference in _references(tensors, names)])
    return nodes


def _argument(value: Any, names: Mapping[str, str], where: str) -> Any:
    """Return an argument of an operation, checked: outputs, numbers, words, slices, and lists and mappings of them."""
    if isinstance(value, list):
        return [_argument(item, names, where) for item in value]
    if _is_plain(value):
        return value
    kind = value.get("class_name") if isinstance(value, Mapping) else None
    if kind == "__keras_tensor__":
        return _tensor(_references(_tensors(value), names)[0])
    if kind is None and isinstance(value, Mapping):
        return {str(key): _argument(item, names, where) for key, item in value.items()}
    if kind in ("__ellipsis__", "__slice__", "__tensor__") and all(map(_is_plain, value["config"].values())):
        return {"class_name": kind, "config": dict(value["config"])}
    raise ModelError(f"{where}: found the argument {str(value)[:60]}; allowed: outputs of layers, numbers, slices")


def _tensors(value: Any) -> list[Any]:
    """Return the references to outputs in the arguments of a call, in Keras 3."""
    if isinstance(value, Mapping) and value.get("class_name") == "__keras_tensor__":
        return [value["config"]["keras_history"]]
    if not isinstance(value, list):
        raise ModelError(f"found {str(value)[:60]} as an argument of a layer's call; allowed: outputs of layers")
    return [tensor for item in value for tensor in _tensors(item)]


def _references(value: Any, names: Mapping[str, str]) -> list[Reference]:
    """Return [["conv", 0, 0], …], of which Keras writes a single one, or a mapping of them, too."""
    listed = list(value.values()) if isinstance(value, Mapping) else _list(value, "references to outputs")
    if listed and not isinstance(listed[0], list):
        listed = [listed]
    for reference in listed:
        if len(reference) != 3 or reference[0] not in names or not all(type(index) is int for index in reference[1:]):
            raise ModelError(f"found {str(reference)[:60]} as a reference to an output; allowed: [layer, call, place]")
    return [[names[layer], call, place] for layer, call, place in listed]


def _names(found: Sequence[str]) -> dict[str, str]:
    """Return names that a module of torch can have, by those in the file."""
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


class Operation(NamedTuple):
    """A function of keras.ops in a functional model, called once: its class, and its arguments in the notation of Keras 3."""

    kind: str
    options: dict[str, Any]
    arguments: list[Any]
    keywords: dict[str, Any]

    @classmethod
    def of(cls, item: Any) -> Operation | None:
        """Return the operation that an item is; None if it is a layer."""
        if not isinstance(item, Mapping) or not isinstance(item.get("config"), dict):
            return None
        kind, config, module = item.get("class_name"), item["config"], item.get("module", "")
        if kind in ("TFOpLambda", "SlicingOpLambda"):
            return cls._of_keras_2(item)
        if not str(module).startswith(OPERATIONS_MODULE) and (module or "trainable" in config or kind not in OPERATIONS):
            return None
        options = {key: value for key, value in config.items() if key not in ("name", "dtype")}
        (node,) = _list(item.get("inbound_nodes"), "inbound_nodes")
        return cls(str(kind), options, list(node["args"]), dict(node.get("kwargs") or {}))

    @classmethod
    def _of_keras_2(cls, item: Mapping[str, Any]) -> Operation:
        function = str(item["config"].get("function"))
        if function not in OPERATIONS_OF_KERAS_2:
            return cls(f"{item['class_name']} {function}", {}, [], {})
        kind, *names = OPERATIONS_OF_KERAS_2[function]
        ((node,),) = _list(item.get("inbound_nodes"), "inbound_nodes")
        first, keywords = (node[2] if node[0] == "_CONSTANT_VALUE" else _tensor(node[:3])), node[3]
        rest = [keywords[name] for name in names if keywords.get(name) is not None]
        rest = [
            _tensor(value) if isinstance(value, list) and list(map(type, value)) == [str, int, int] else value for value in rest
        ]
        if kind == "GetItem":
            words = [{"class_name": "__slice__", "config": each} if isinstance(each, Mapping) else each for each in rest[0]]
            rest = [[{"class_name": "__ellipsis__", "config": {}} if word == "..." else word for word in words]]
        if kind == "Clip":
            return cls(kind, {"x_min": rest[0], "x_max": rest[1]}, [first], {})
        return cls(kind, {}, [first, *rest], {})

    @property
    def tensors(self) -> list[Any]:
        """The arguments that are outputs of layers."""
        return [value for value in self.arguments if _is_tensor(value)]

    def as_layer(self) -> tuple[str, dict[str, Any]] | None:
        """Return class and arguments of the layer that does the same to `tensors`; None if there is none."""
        word = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", self.kind).lower()
        if word in ACTIVATIONS and self.options.items() <= _USUAL.items():
            return "Activation", {"activation": word}
        if self.kind in OPERATORS and not self.keywords and len(self.arguments) == len(self.tensors) == 2:
            return self.kind, {}
        number, first = np.zeros(()), len(self.arguments) == 2 and not _is_tensor(self.arguments[0])
        for value in self.arguments:
            if not _is_tensor(value):
                number = _constant(value)
        if number is None or (self.kind, first) not in _AFFINE or len(self.tensors) != 1 or len(self.arguments) > 2:
            return None
        with np.errstate(divide="ignore"):
            scale, offset = (np.asarray(part, np.float64) for part in _AFFINE[self.kind, first](number))
        return ("Rescaling", {"scale": scale.tolist(), "offset": offset.tolist()}) if np.isfinite(scale).all() else None


_USUAL = {"axis": -1, "approximate": False, "negative_slope": 0.2, "alpha": 1.0}  # options that ACTIVATIONS have, too
_AFFINE: dict[tuple[str, bool], Callable[[Any], tuple[Any, Any]]] = {  # by class and whether the number comes first
    **dict.fromkeys([("Add", False), ("Add", True)], lambda number: (1.0, number)),
    **dict.fromkeys([("Multiply", False), ("Multiply", True)], lambda number: (number, 0.0)),
    **dict.fromkeys([("TrueDivide", False), ("Divide", False)], lambda number: (1 / number, 0.0)),
    ("Subtract", False): lambda number: (1.0, -number),
    ("Subtract", True): lambda number: (-1.0, number),
    ("Negative", False): lambda _: (-1.0, 0.0),
}


def _tensor(reference: Any) -> dict[str, Any]:
    """Write a reference to an output, [layer, call, place], as Keras 3 writes it among a call's arguments."""
    return {"class_name": "__keras_tensor__", "config": {"shape": [], "dtype": "float32", "keras_history": reference}}


def _is_tensor(value: Any) -> bool:
    return isinstance(value, Mapping) and value.get("class_name") == "__keras_tensor__"


def _constant(value: Any) -> Any:
    """Return a number, or numbers by channel, as an array of no or one axis; None for anything else."""
    if isinstance(value, Mapping) and value.get("class_name") in ("__tensor__", "__numpy__"):
        value = value["config"].get("value")
    if isinstance(value, bool) or not isinstance(value, int | float | list) or not _is_plain(value):
        return None
    try:
        array = np.array(value, np.float64)
    except ValueError:  # rows of different lengths
        return None
    return array.reshape(array.shape[-1:]) if array.size == math.prod(array.shape[-1:]) else None


def _as_layer(item: Any) -> Any:
    """Return an operation as the layer that does the same, if there is one; others as they are."""
    if isinstance(item, Mapping) and (item.get("module"), item.get("class_name")) == (
        "keras.src.activations.activations",
        "ReLU",
    ):
        return {**item, "module": "keras.layers", "registered_name": None}
    operation = Operation.of(item)
    if operation is None:
        return item
    if operation.kind not in OPERATIONS:
        return {**item, "module": OPERATIONS_MODULE, "class_name": operation.kind}  # to be refused by its name
    layer, name = operation.as_layer(), item["config"].get("name") or item.get("name")
    if layer is None:
        node = {"args": operation.arguments, "kwargs": operation.keywords}
        return {
            "module": f"{OPERATIONS_MODULE}{OPERATIONS[operation.kind]}",
            "class_name": operation.kind,
            "config": {**operation.options, "name": name},
            "name": item.get("name", name),
            "inbound_nodes": [node],
        }
    kind, config = layer
    node = {"args": operation.tensors, "kwargs": {}}
    return {"class_name": kind, "config": {**config, "name": name}, "name": item.get("name", name), "inbound_nodes": [node]}


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


def matters(key: str) -> bool:
    """Return whether a pass depends on an argument of a layer; some are for training, some have a place of their own."""
    return key not in _OTHERS and not key.endswith(("_initializer", "_regularizer", "_constraint"))


class ImportPlan:
    """A plan by which the architecture `keras` runs a model that Keras built."""

    def __init__(self, model: Any) -> None:
        self.tensors: dict[str, torch.Tensor] = {}  # the weights, named as in the plan
        self.plan = self._plan(model, "")  # the fields of a KerasPlan

    def _plan(self, model: Any, path: str) -> dict[str, Any]:
        if len(model.inputs) != 1:
            raise ModelError(f"{model.name} has {len(model.inputs)} inputs; allowed: 1, the picture")
        steps: list[dict[str, Any]] = []
        start = model.inputs[0]
        keys = {id(start): start._keras_history[0].name}
        calls: Counter[str] = Counter()
        waiting = list(reversed(model.outputs))
        while waiting:  # depth first, from the outputs; not recursive, for networks are deep
            tensor = waiting[-1]
            operation, call, _ = tensor._keras_history
            inputs = operation._inbound_nodes[call].input_tensors
            missing = [before for before in inputs if id(before) not in keys]
            if id(tensor) in keys:
                waiting.pop()
            elif missing:
                waiting += reversed(missing)
            else:
                given = [keys[id(before)] for before in inputs]
                previous = key_of(TensorPath(steps[-1]["name"], calls[steps[-1]["name"]])) if steps else keys[id(start)]
                first = {} if calls[operation.name] else self._described(operation, path)
                steps.append({"name": operation.name, **first, **({} if given == [previous] else {"inputs": given})})
                calls[operation.name] += 1
                keys[id(tensor)] = key_of(TensorPath(operation.name, calls[operation.name]))
        return {"input": keys[id(start)], "steps": steps, "outputs": [keys[id(output)] for output in model.outputs]}

    def _described(self, layer: Any, path: str) -> dict[str, Any]:
        name = f"{path}{layer.name}"
        if type(layer).__module__.startswith(OPERATIONS_MODULE):
            (node,) = layer._inbound_nodes
            config = {key: value for key, value in _plain(layer.get_config()).items() if key not in ("name", "dtype")}
            told = {"arguments": _plain(node.arguments.args), "keywords": _plain(node.arguments.kwargs)}
            return {"kind": type(layer).__name__, "config": {**config, **told}}
        if hasattr(layer, "layers"):
            return {"kind": GRAPH, "config": self._plan(layer, f"{name}.")}
        kind, config = _kind(type(layer).__name__, layer)
        fused = f"{name}.linear" if "activation" in config else name
        if kind != "Normalization":  # whose weights are in its configuration
            self.tensors |= {f"{fused}.{variable.name}": variable.value for variable in layer.weights}
        return {"kind": kind, **({"config": config} if config else {})}


def _plain(value: Any) -> Any:
    """Write arguments of an operation as JSON has them: OUTPUT for an output, "..." for itself, a mapping for a slice."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, slice):
        return {"start": value.start, "stop": value.stop, "step": value.step}
    if isinstance(value, torch.Tensor):
        return value.tolist()
    if value is Ellipsis:
        return "..."
    return value if _is_plain(value) else OUTPUT


def _kind(kind: str, layer: Any) -> tuple[str, dict[str, Any]]:
    """Return the kind by which the plan runs a layer, and the arguments that its passes depend on, as JSON knows them."""
    allowed = inspect.signature(getattr(library().layers, kind)).parameters
    config = {
        key: value
        for key, value in json.loads(json.dumps(layer.get_config())).items()
        if key in allowed and matters(key) and value is not None and (key, value) != ("activation", "linear")
    }
    if kind == "ReLU" and not config.get("negative_slope") and not config.get("threshold"):
        activation = {None: "relu", 6.0: "relu6"}.get(config.get("max_value"))
        return ("Activation", {"activation": activation}) if activation else (kind, config)
    if kind == "Softmax" and config["axis"] == -1:
        return "Activation", {"activation": "softmax"}
    if kind == "Normalization" and layer.input_mean is None:
        values = {"mean": layer.adapt_mean, "variance": layer.adapt_variance}
        config |= {key: value.value.detach().tolist() for key, value in values.items()}
    return kind, config

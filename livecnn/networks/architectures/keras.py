"""A Keras model as named layers: Keras computes them, torch's modules are the activations, maps are (N, C, H, W)."""

from __future__ import annotations

import importlib
import inspect
import math
import os
import sys
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import torch
from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError
from torch import nn

from livecnn.errors import ModelError, first_line, nearest
from livecnn.io.validation import explain
from livecnn.networks.inspection.tracing import TensorPath, key_of

# Each of them computes from plain numbers and words. What holds code (Lambda, TorchModuleWrapper), paths (StringLookup,
# TFSMLayer) or other layers (Bidirectional, TimeDistributed) is not among them.
WEIGHING = ("Conv2D", "Conv2DTranspose", "DepthwiseConv2D", "SeparableConv2D", "Dense", "PReLU")
POOLING = ("MaxPooling2D", "AveragePooling2D", "GlobalMaxPooling2D", "GlobalAveragePooling2D")
NORMALIZING = ("BatchNormalization", "LayerNormalization", "GroupNormalization", "UnitNormalization", "Normalization")
ACTING = ("Activation", "ReLU", "LeakyReLU", "ELU", "Softmax", "Rescaling", "Identity")
SHAPING = ("Flatten", "Reshape", "Permute", "RepeatVector")
RESIZING = ("ZeroPadding2D", "Cropping2D", "UpSampling2D", "Resizing", "CenterCrop")
MERGING = ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate", "Dot")
LAYERS = (*WEIGHING, *POOLING, *NORMALIZING, *ACTING, *SHAPING, *RESIZING, *MERGING)
GRAPH = "Graph"  # a model inside the model
OPERATIONS = {  # of keras.ops, by class the module; what is not among ACTIVATIONS or the layers runs as it is
    **dict.fromkeys(
        ("Add", "Subtract", "Multiply", "Maximum", "Minimum", "TrueDivide", "Divide", "Power", "Negative", "Absolute", "Square",
         "Sqrt", "Exp", "Log", "Tanh", "Clip", "Mean", "Sum", "Max", "Min", "GetItem", "Stack", "Concatenate", "Squeeze",
         "ExpandDims"),
        "numpy",
    ),
    **dict.fromkeys(
        ("Relu", "Relu6", "Sigmoid", "Softmax", "LogSoftmax", "Silu", "Gelu", "HardSigmoid", "HardSilu", "Elu", "Selu",
         "LeakyRelu", "Softplus", "Softsign"),
        "nn",
    ),
}  # fmt: skip
OUTPUT = "$output"  # in the arguments of an operation: the next of the step's inputs

ACTIVATIONS: dict[str, Callable[[int], nn.Module]] = {  # of the axis of the channels
    "linear": lambda _: nn.Identity(),
    "relu": lambda _: nn.ReLU(),
    "relu6": lambda _: nn.ReLU6(),
    "leaky_relu": lambda _: nn.LeakyReLU(0.2),
    "elu": lambda _: nn.ELU(),
    "selu": lambda _: nn.SELU(),
    "gelu": lambda _: nn.GELU(),
    "silu": lambda _: nn.SiLU(),
    "swish": lambda _: nn.SiLU(),
    "mish": lambda _: nn.Mish(),
    "sigmoid": lambda _: nn.Sigmoid(),
    "hard_sigmoid": lambda _: nn.Hardsigmoid(),
    "hard_silu": lambda _: nn.Hardswish(),
    "hard_swish": lambda _: nn.Hardswish(),
    "tanh": lambda _: nn.Tanh(),
    "softplus": lambda _: nn.Softplus(),
    "softsign": lambda _: nn.Softsign(),
    "softmax": nn.Softmax,
    "log_softmax": nn.LogSoftmax,
}

MOST_VALUES = 1 << 28  # in one tensor: 1 GiB

Symbol: TypeAlias = Any  # keras.KerasTensor, a shape without values


class PlanStep(BaseModel):
    """One call of a layer. The key of its output is the layer's name; that of the second call is "name:2"."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    kind: str = ""  # the layer's class; this and the arguments are told at the first call
    config: dict[str, JsonValue] = {}
    inputs: tuple[str, ...] = ()  # keys of outputs; by default the one before


class KerasPlan(BaseModel):
    """Steps in the order in which they run, the key of the model's input, and those of its outputs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    input: str
    steps: tuple[PlanStep, ...]
    outputs: tuple[str, ...]


def library() -> Any:
    """Import keras, computing with torch. Raises ModelError if it is missing, or imported with another backend already."""
    if "keras" not in sys.modules:
        os.environ["KERAS_BACKEND"] = "torch"  # read once, by the first import
    try:
        import h5py  # noqa: F401  # Keras does not ask for it, and its files need it
        import keras
    except ImportError as error:
        raise ModelError(f"a Keras model needs {error.name}: pip install 'livecnn[keras]'") from error
    backend = keras.backend.backend()
    if backend != "torch":
        raise ModelError(f"keras is already imported, with {backend} as its backend; set KERAS_BACKEND=torch before that")
    return keras


class KerasGraph(nn.Module):
    """Layers by name, run in the order of a plan; maps go from one to the next as (N, C, H, W)."""

    def __init__(self, plan: Mapping[str, Any], channels_first: bool) -> None:
        super().__init__()
        try:
            self._plan = KerasPlan.model_validate(plan)
        except ValidationError as error:
            first = explain(error, KerasPlan, plan)[0]
            raise ModelError(f"{'.'.join(map(str, first.location))}: {first.message}") from error
        self._channels_first = channels_first

    def symbol(self, symbol: Symbol) -> Symbol:
        """Return the output's shape for that of an input, as Keras has it, (N, H, W, C); the first time, make the layers."""
        return self._walk(symbol, self._symbol_of)

    def forward(self, x: torch.Tensor) -> Any:
        return self._walk(x, lambda step, inputs: self.get_submodule(step.name)(*inputs))

    def _walk(self, first: Any, call: Callable[[PlanStep, Sequence[Any]], Any]) -> Any:
        key = self._plan.input
        values = {key: first}
        calls: Counter[str] = Counter()
        for step in self._plan.steps:
            inputs = [values[before] for before in step.inputs or (key,)]
            calls[step.name] += 1
            key = key_of(TensorPath(step.name, calls[step.name]))
            values[key] = call(step, inputs)
        found = tuple(values[output] for output in self._plan.outputs)
        return found[0] if len(found) == 1 else found

    def _symbol_of(self, step: PlanStep, symbols: Sequence[Symbol]) -> Symbol:
        try:
            if step.name not in self._modules:
                self.add_module(step.name, _made(step.kind, step.config, symbols[0], self._channels_first))
            symbol = _symbol(self.get_submodule(step.name), symbols)
            _affordable(symbol.shape)
        except Exception as error:  # whatever Keras does with a configuration that makes no sense
            raise ModelError(f"layer {step.name!r}: {step.kind}: {first_line(error)}") from error
        return symbol


class Keras(KerasGraph):
    """A Keras model: maps float32 (N, C, H, W) to its output, or of several outputs to a tuple.

    The layer "conv" gives its value with the activation; if it has one, "conv.linear" is the value before it and "conv.relu" (by
    the activation's name) the module that computes it.

    Args:
        shape: Of the input without the batch axis, (H, W, C) or (H, W); None where any size will do.
        plan: The fields of a KerasPlan.
        channels_first: Whether all the model's maps are (C, H, W), and so is `shape`.

    Example:
        >>> pool = {"name": "pool", "kind": "MaxPooling2D", "config": {"pool_size": 2}}
        >>> network = Keras((8, 8, 3), {"input": "x", "steps": [pool], "outputs": ["pool"]})
        >>> network(torch.zeros(1, 3, 8, 8)).shape
        torch.Size([1, 3, 4, 4])
    """

    def __init__(self, shape: Sequence[int | None], plan: Mapping[str, Any], channels_first: bool = False) -> None:
        keras = library()
        super().__init__(plan, channels_first)
        self._shape = tuple(shape)
        if len(shape) not in (2, 3) or not all(size is None or isinstance(size, int) for size in shape):
            raise ModelError(f"found the shape {shape}; allowed: (H, W) or (H, W, C)")
        self._flat = len(shape) == 2
        try:
            with keras.device("cpu"):
                self.symbol(keras.KerasTensor((1, *shape)))
        except KeyError as error:
            raise ModelError(f"nothing has the key {error}; allowed: that of an output before it") from error

    def __deepcopy__(self, memo: dict[int, Any]) -> Keras:
        """Make the network again, as Keras' own layers cannot be copied: the weights are copies, hooks are left out."""
        copied = memo[id(self)] = Keras(self._shape, self._plan.model_dump(), self._channels_first)
        copied.load_state_dict(self.state_dict())
        kept = dict(self.named_parameters())
        for name, parameter in copied.named_parameters():
            parameter.requires_grad_(kept[name].requires_grad)
        return copied.train(self.training)

    def forward(self, x: torch.Tensor) -> Any:
        with library().device(str(x.device)):  # which Keras otherwise chooses itself
            return super().forward(x[:, 0] if self._flat else x)


class KerasLayer(nn.Module):
    """A layer of Keras without its activation; maps go in and come out as (N, C, H, W)."""

    def __init__(self, kind: str, layer: Any, merges: bool, channels_first: bool) -> None:
        super().__init__()
        self.kind = kind  # its class, as Keras calls it; "" inside a LinearWithActivation, which has it
        self._layer = (layer,)  # not as a module, which would name the parameters its own way
        self._merges = merges
        self._turns = not channels_first
        self._modes = {"training": False} if "training" in inspect.signature(layer.call).parameters else {}

    def symbol(self, *symbols: Symbol) -> Symbol:
        """Return the output's shape for those of inputs; the first time, make the weights."""
        symbol = self._layer[0](list(symbols) if self._merges else symbols[0])
        for variable in self._layer[0].weights:
            self.register_parameter(variable.name, variable.value)
        return symbol

    @property
    def config(self) -> dict[str, Any]:
        """Arguments of the layer, as Keras lists them, and its class as `kind`."""
        return {**self._layer[0].get_config(), "kind": type(self._layer[0]).__name__}

    @property
    def weight(self) -> torch.Tensor | None:
        """Weights of a Dense layer (outputs, inputs), as nn.Linear has them; None for others."""
        return self.get_parameter("kernel").T if type(self._layer[0]).__name__ == "Dense" else None

    def forward(self, *maps: torch.Tensor) -> torch.Tensor:
        given = [x.permute(0, 2, 3, 1) if self._turns and x.ndim == 4 else x for x in maps]
        # Not __call__, which would copy to Keras' own device, and takes its time.
        output: torch.Tensor = self._layer[0].call(given if self._merges else given[0], **self._modes)
        return output.permute(0, 3, 1, 2) if self._turns and output.ndim == 4 else output


class KerasOperation(nn.Module):
    """A function of keras.ops, with its arguments in the notation of a plan; maps go in and come out as (N, C, H, W)."""

    def __init__(self, kind: str, config: Mapping[str, Any], channels_first: bool) -> None:
        super().__init__()
        library()
        if kind not in OPERATIONS:
            raise ModelError(f"unknown operation; {nearest(kind, OPERATIONS, most=len(OPERATIONS))}")
        operations = importlib.import_module(f"keras.src.ops.{OPERATIONS[kind]}")
        options = {name: value for name, value in config.items() if name not in ("arguments", "keywords")}
        self.kind, self.config = kind, options
        self._operation = (getattr(operations, kind)(**options),)
        self._arguments, self._keywords = config["arguments"], config.get("keywords", {})
        self._turns = not channels_first

    def symbol(self, *symbols: Symbol) -> Symbol:
        """Return the output's shape for those of inputs."""
        return self._operation[0](*self._filled(iter(symbols)), **self._keywords)

    def forward(self, *maps: torch.Tensor) -> torch.Tensor:
        given = iter([x.permute(0, 2, 3, 1) if self._turns and x.ndim == 4 else x for x in maps])
        filled = self._filled(given)
        call = _item if self.kind == "GetItem" else self._operation[0].call
        output: torch.Tensor = call(*filled, **self._keywords)
        return output.permute(0, 3, 1, 2) if self._turns and output.ndim == 4 else output

    def _filled(self, inputs: Iterator[Any]) -> list[Any]:
        def filled(value: Any) -> Any:
            if value == OUTPUT:
                return next(inputs)
            if value == "...":
                return Ellipsis
            if isinstance(value, Mapping):
                return slice(value["start"], value["stop"], value["step"])
            return [filled(item) for item in value] if isinstance(value, list) else value

        found = [filled(value) for value in self._arguments]
        return [found[0], tuple(found[1])] if self.kind == "GetItem" and isinstance(found[1], list) else found


def _item(x: torch.Tensor, key: Any) -> torch.Tensor:
    """Return x[key], also for a slice that goes backward over a whole axis, which torch lacks."""
    parts = list(key) if isinstance(key, tuple) else [key]
    if Ellipsis in parts:
        place = parts.index(Ellipsis)
        parts[place : place + 1] = [slice(None)] * (x.ndim - len(parts) + 1)
    backward = [axis for axis, part in enumerate(parts) if part == slice(None, None, -1)]
    return x.flip(backward)[tuple(slice(None) if axis in backward else part for axis, part in enumerate(parts))]


class LinearWithActivation(nn.Sequential):
    """A layer of Keras, `linear`, and its activation under the name of that."""

    def __init__(self, layer: KerasLayer, name: str, activation: nn.Module) -> None:
        super().__init__(OrderedDict({"linear": layer, name: activation}))
        self.kind, layer.kind = layer.kind, ""


def _made(kind: str, config: Mapping[str, Any], symbol: Symbol, channels_first: bool) -> nn.Module:
    if kind == GRAPH:
        return KerasGraph(config, channels_first)
    if "arguments" in config:
        return KerasOperation(kind, config, channels_first)
    if kind not in LAYERS:
        raise ModelError(f"unknown kind; {nearest(kind, LAYERS, most=len(LAYERS))}")
    if kind == "Identity":
        return nn.Identity()
    axis = 1 if len(symbol.shape) == 4 and not channels_first else -1
    name = config.get("activation", "linear")
    if name not in ACTIVATIONS:
        raise ModelError(f"unknown activation {name!r}; {nearest(str(name), ACTIVATIONS, most=len(ACTIVATIONS))}")
    activation = ACTIVATIONS[name](axis)
    if kind == "Activation":
        return activation
    layer = KerasLayer(kind, _layer(kind, config), kind in MERGING, channels_first)
    return layer if name == "linear" else LinearWithActivation(layer, name, activation)


def _layer(kind: str, config: Mapping[str, Any]) -> Any:
    """Make a layer of Keras without its activation; its weights are memory that is still to be filled."""
    layer = getattr(library().layers, kind)
    blank = {name: _unfilled for name in inspect.signature(layer).parameters if name.endswith("_initializer")}
    return layer(**{**config, **blank, **({"activation": None} if "activation" in config else {})}, dtype="float32")


def _unfilled(shape: Sequence[int], dtype: Any = None) -> Any:
    _affordable(shape)
    return library().ops.empty(shape, dtype)


def _symbol(module: nn.Module, symbols: Sequence[Symbol]) -> Symbol:
    if isinstance(module, nn.Sequential):
        module = module[0]
    return module.symbol(*symbols) if isinstance(module, KerasGraph | KerasLayer | KerasOperation) else symbols[0]


def _affordable(shape: Sequence[int | None]) -> None:
    if math.prod(size or 1 for size in shape) > MOST_VALUES:
        raise ModelError(f"found a tensor of shape {tuple(shape)}; allowed: {MOST_VALUES} values")

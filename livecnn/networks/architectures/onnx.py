"""An ONNX graph as named layers: modules of torch where torch has them, functions of torch elsewhere.

What each operator computes is defined in https://onnx.ai/onnx/operators/; the plan holds its attributes by their names there.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import torch
from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError
from torch import nn
from torch.nn import functional as F

from livecnn.errors import ModelError, first_line, nearest
from livecnn.io.validation import explain

MOST_VALUES = 1 << 28  # in one constant: 1 GiB

Config: TypeAlias = Mapping[str, Any]
Value: TypeAlias = torch.Tensor | None


class OnnxStep(BaseModel):
    """A node of the graph: its name as a layer, its operator and attributes, the values that go in and come out.

    A value is a name; "" stands for an optional one that is left out.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    config: dict[str, JsonValue] = {}


class OnnxConstant(BaseModel):
    """The shape and type of an array that is kept with the weights."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    shape: tuple[int, ...]
    dtype: str


class OnnxPlan(BaseModel):
    """Steps in the order in which they run, the values that come in and go out, and the constants by their names."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    input: str
    steps: tuple[OnnxStep, ...]
    outputs: tuple[str, ...]
    constants: dict[str, OnnxConstant] = {}


class Onnx(nn.Module):
    """An ONNX graph: maps float32 (N, C, H, W) to its output, or of several outputs to a dict by their names.

    Args:
        plan: The fields of an OnnxPlan.
        channels_last: Whether the graph's own input is (N, H, W, C).

    Example:
        >>> step = {"name": "relu", "op": "Relu", "inputs": ["x"], "outputs": ["y"]}
        >>> Onnx({"input": "x", "steps": [step], "outputs": ["y"]})(-torch.ones(1, 1, 1, 1)).item()
        0.0
    """

    def __init__(self, plan: Mapping[str, Any], channels_last: bool = False) -> None:
        super().__init__()
        try:
            self._plan = OnnxPlan.model_validate(plan)
        except ValidationError as error:
            first = explain(error, OnnxPlan, plan)[0]
            raise ModelError(f"{'.'.join(map(str, first.location))}: {first.message}") from error
        self._channels_last = channels_last
        self.constants = nn.Module()  # buffers by the constants' names
        for name, constant in self._plan.constants.items():
            if math.prod(constant.shape) > MOST_VALUES:
                raise ModelError(f"constant {name!r}: found the shape {constant.shape}; allowed: {MOST_VALUES} values")
            self.constants.register_buffer(name, torch.zeros(constant.shape, dtype=dtype_of(constant.dtype)))
        known = {self._plan.input, *self._plan.constants, ""}
        for step in self._plan.steps:
            unknown = next((name for name in step.inputs if name not in known), None)
            if unknown is not None:
                raise ModelError(f"layer {step.name!r}: nothing gives {unknown!r} before it")
            known.update(step.outputs)
            try:
                self.add_module(step.name, layer(step.op, step.config))
            except (KeyError, TypeError, ValueError, RuntimeError) as error:  # a configuration that makes no sense
                raise ModelError(f"layer {step.name!r}: {step.op}: {first_line(error)}") from error
        absent = next((name for name in self._plan.outputs if name not in known), None)
        if absent is not None:
            raise ModelError(f"outputs: nothing gives {absent!r}")
        # What is not needed any more is let go of: by step, the values that no later one takes.
        self._last: list[list[str]] = [[] for _ in self._plan.steps]
        for name in known - {*self._plan.outputs, *self._plan.constants, ""}:
            users = [number for number, step in enumerate(self._plan.steps) if name in step.inputs]
            if users:
                self._last[users[-1]].append(name)

    def forward(self, x: torch.Tensor) -> Any:
        values: dict[str, Value] = {"": None, self._plan.input: x.movedim(1, -1) if self._channels_last else x}
        values.update(self.constants.named_buffers())
        for step, unneeded in zip(self._plan.steps, self._last, strict=True):
            found = self.get_submodule(step.name)(*(values[name] for name in step.inputs))
            values.update(zip(step.outputs, found if isinstance(found, tuple) else (found,), strict=False))
            for name in unneeded:
                del values[name]
        outputs = {name: values[name] for name in self._plan.outputs}
        return outputs if len(outputs) > 1 else next(iter(outputs.values()))


class Operation(nn.Module):
    """An operator that is no module of torch; `kind` is its name."""

    def __init__(self, kind: str, config: Config) -> None:
        super().__init__()
        self.kind, self.config = kind, dict(config)
        pads: Any = config.get("pads")
        if kind == "Pad" and isinstance(pads, list) and len(pads) == 8:
            self.padding = (pads[3], pads[7], pads[2], pads[6])  # left, right, top, bottom, as torch's modules have it

    def forward(self, *inputs: Value) -> Any:
        return FUNCTIONS[self.kind](inputs, self.config)


class BatchNormalization(nn.BatchNorm2d):
    """The same for maps and for plain values."""

    def _check_input_dim(self, input: torch.Tensor) -> None: ...


def layer(op: str, config: Config) -> nn.Module:
    """Make the module of an operator. Raises ModelError for an unknown one, KeyError, TypeError or ValueError for attributes."""
    if op in MODULES:
        made = MODULES[op](config)
        if made is not None:
            return made
    if op not in FUNCTIONS:
        raise ModelError(f"unknown operator; {nearest(op, OPERATORS, most=len(OPERATORS))}")
    return Operation(op, config)


def dtype_of(name: str) -> torch.dtype:
    """Return torch's type of numbers by its name. Raises ModelError."""
    if name not in ("float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool"):
        raise ModelError(f"found numbers of type {name!r}; allowed: float64 to float16, integers, bool")
    found: torch.dtype = getattr(torch, name)
    return found


def _convolution(config: Config) -> nn.Module:
    kind = nn.ConvTranspose2d if config.get("transposed") else nn.Conv2d
    return _blank(kind, {key: value for key, value in config.items() if key != "transposed"})


def _blank(kind: Callable[..., nn.Module], config: Config) -> nn.Module:
    """Make a module whose weights are memory that is still to be filled."""
    made: nn.Module = nn.utils.skip_init(kind, **config)
    return made


def _clip(config: Config) -> nn.Module | None:
    low, high = config.get("min"), config.get("max")
    if low is None or high is None:
        return None
    return nn.ReLU6() if (low, high) == (0, 6) else nn.Hardtanh(low, high)


def _hard_sigmoid(config: Config) -> nn.Module | None:
    usual = abs(config.get("alpha", 0.2) - 1 / 6) < 1e-6 and config.get("beta", 0.5) == 0.5
    return nn.Hardsigmoid() if usual else None


# None: the attributes ask for what torch's module is not.
MODULES: dict[str, Callable[[Config], nn.Module | None]] = {
    "Conv": _convolution,
    "ConvTranspose": _convolution,
    "Gemm": lambda config: _blank(nn.Linear, config) if "in_features" in config else None,
    "MatMul": lambda config: _blank(nn.Linear, config) if config else None,
    "BatchNormalization": lambda config: BatchNormalization(**config),
    "MaxPool": lambda config: nn.MaxPool2d(**config),
    "AveragePool": lambda config: None if config.keys() & {"pads", "same"} else nn.AvgPool2d(**config),
    "GlobalAveragePool": lambda _: nn.AdaptiveAvgPool2d(1),
    "GlobalMaxPool": lambda _: nn.AdaptiveMaxPool2d(1),
    "LRN": lambda config: nn.LocalResponseNorm(**config),
    "Flatten": lambda config: nn.Flatten() if config.get("axis", 1) == 1 else None,
    "Identity": lambda _: nn.Identity(),
    "Dropout": lambda _: nn.Identity(),
    "Relu": lambda _: nn.ReLU(),
    "LeakyRelu": lambda config: nn.LeakyReLU(config.get("alpha", 0.01)),
    "PRelu": lambda config: nn.PReLU(**config) if config else None,
    "Elu": lambda config: nn.ELU(config.get("alpha", 1.0)),
    "Celu": lambda config: nn.CELU(config.get("alpha", 1.0)),
    "Selu": lambda config: nn.SELU() if not config else None,
    "Gelu": lambda config: nn.GELU(config.get("approximate", "none")),
    "Mish": lambda _: nn.Mish(),
    "HardSwish": lambda _: nn.Hardswish(),
    "HardSigmoid": _hard_sigmoid,
    "Softplus": lambda _: nn.Softplus(),
    "Softsign": lambda _: nn.Softsign(),
    "Sigmoid": lambda _: nn.Sigmoid(),
    "Tanh": lambda _: nn.Tanh(),
    "Clip": _clip,
    "Softmax": lambda config: nn.Softmax(config["axis"]) if "axis" in config else None,
    "LogSoftmax": lambda config: nn.LogSoftmax(config["axis"]) if "axis" in config else None,
}


def _numbers(value: Value, attribute: Any = None) -> list[int] | None:
    """Return whole numbers that are a tensor or an attribute."""
    if value is not None:
        found: list[int] = value.reshape(-1).tolist()
        return found
    return None if attribute is None else list(attribute)


def _reduced(function: Callable[..., torch.Tensor]) -> Callable[[Sequence[Value], Config], torch.Tensor]:
    def reduce(inputs: Sequence[Value], config: Config) -> torch.Tensor:
        x, axes = inputs[0], _numbers(inputs[1] if len(inputs) > 1 else None, config.get("axes"))
        assert x is not None
        if not axes:
            if config.get("noop_with_empty_axes"):
                return x
            axes = list(range(x.ndim))
        return function(x, axes, bool(config.get("keepdims", 1)))

    return reduce


def _slice(inputs: Sequence[Any], config: Config) -> torch.Tensor:
    x, *rest = inputs
    rest += [None] * (4 - len(rest))
    starts, ends = (_numbers(value, config.get(name)) or [] for value, name in zip(rest, ("starts", "ends"), strict=False))
    axes = _numbers(rest[2], config.get("axes")) or list(range(len(starts)))
    steps = _numbers(rest[3], config.get("steps")) or [1] * len(starts)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        size = x.shape[axis]
        places = range(size)[slice(start, None if step < 0 and end < -size else end, step)]
        if step == 1:
            x = x.narrow(axis, places.start, len(places))
        else:
            x = x.index_select(axis, torch.tensor(list(places), dtype=torch.int64, device=x.device))
    sliced: torch.Tensor = x
    return sliced


def _pad(inputs: Sequence[Any], config: Config) -> torch.Tensor:
    x = inputs[0]
    pads = _numbers(inputs[1] if len(inputs) > 1 else None, config.get("pads")) or []
    given = inputs[2] if len(inputs) > 2 else None
    value = float(config.get("value", 0.0)) if given is None else float(given)
    axes = _numbers(inputs[3]) if len(inputs) > 3 and inputs[3] is not None else list(range(x.ndim))
    half = len(pads) // 2
    sides = {axis % x.ndim: (pads[i], pads[half + i]) for i, axis in enumerate(axes or [])}
    order = [side for axis in reversed(range(x.ndim)) for side in sides.get(axis, (0, 0))]
    mode = {"constant": "constant", "reflect": "reflect", "edge": "replicate", "wrap": "circular"}[config.get("mode", "constant")]
    if mode == "constant":
        return F.pad(x, order, value=value)
    while len(order) > 2 and order[-2:] == [0, 0]:
        order = order[:-2]
    return F.pad(x, order, mode=mode)


def _same_pad(inputs: Sequence[Any], config: Config) -> torch.Tensor:
    """Pad by what `auto_pad` asks for at this size of the maps."""
    return F.pad(inputs[0], _same_sides(inputs[0], config), value=-math.inf if config.get("lowest") else 0.0)


def _same_sides(x: torch.Tensor, config: Config) -> list[int]:
    order: list[int] = []
    for axis in (3, 2):
        kernel, stride, dilation = (config[name][axis - 2] for name in ("kernel", "stride", "dilation"))
        size = x.shape[axis]
        total = max(0, (-(-size // stride) - 1) * stride + (kernel - 1) * dilation + 1 - size)
        before = total // 2 if config["upper"] else total - total // 2
        order += [before, total - before]
    return order


def _average_pool(inputs: Sequence[Any], config: Config) -> torch.Tensor:
    """Average over windows of 1 to 3 axes with a border of any widths, which counts or not."""
    x = inputs[0]
    if "same" in config:
        order = _same_sides(x, config["same"])
    else:
        pads, axes = config["pads"], len(config["pads"]) // 2
        order = [pads[place] for axis in reversed(range(axes)) for place in (axis, axes + axis)]
    pool = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}[x.ndim - 2]
    told = {"kernel_size": config["kernel_size"], "stride": config["stride"], "ceil_mode": config.get("ceil_mode", False)}
    found = pool(F.pad(x, order), **told)
    inside = torch.ones_like(x[:1, :1])
    return found if config.get("count_include_pad") else found / pool(F.pad(inside, order), **told)


def _gather(inputs: Sequence[Any], config: Config) -> torch.Tensor:
    x, index = inputs
    axis = config.get("axis", 0) % x.ndim
    places = index.to(torch.int64)
    places = torch.where(places < 0, places + x.shape[axis], places)
    found = x.index_select(axis, places.reshape(-1))
    result: torch.Tensor = found.reshape(*x.shape[:axis], *places.shape, *x.shape[axis + 1 :])
    return result


def _reshape(inputs: Sequence[Any], config: Config) -> torch.Tensor:
    x = inputs[0]
    shape = _numbers(inputs[1] if len(inputs) > 1 else None, config.get("shape")) or []
    if not config.get("allowzero"):
        shape = [x.shape[axis] if size == 0 else size for axis, size in enumerate(shape)]
    result: torch.Tensor = x.reshape(shape)
    return result


def _squeeze(inputs: Sequence[Any], config: Config) -> torch.Tensor:
    axes = _numbers(inputs[1] if len(inputs) > 1 else None, config.get("axes"))
    x: torch.Tensor = inputs[0]
    return x.squeeze() if axes is None else x.squeeze(tuple(axes))


def _unsqueeze(inputs: Sequence[Any], config: Config) -> torch.Tensor:
    x: torch.Tensor = inputs[0]
    axes = _numbers(inputs[1] if len(inputs) > 1 else None, config.get("axes")) or []
    for axis in sorted(axis % (x.ndim + len(axes)) for axis in axes):
        x = x.unsqueeze(axis)
    return x


def _split(inputs: Sequence[Any], config: Config) -> tuple[torch.Tensor, ...]:
    x, axis = inputs[0], config.get("axis", 0)
    sizes = _numbers(inputs[1] if len(inputs) > 1 else None, config.get("split"))
    if sizes is None:
        size = -(-x.shape[axis] // config["parts"])
        sizes = [min(size, x.shape[axis] - start) for start in range(0, x.shape[axis], size)]
    return tuple(x.split(sizes, axis))


def _resize(inputs: Sequence[Any], config: Config) -> torch.Tensor:
    """Resize maps (N, C, H, W); inputs: maps, region, scales, sizes, as since opset 11."""
    x = inputs[0]
    rest = [*inputs[1:], None, None, None][:3]
    scales, sizes = (None if value is None or not value.numel() else value.reshape(-1).tolist() for value in rest[1:])
    axes = config.get("axes")
    if axes is not None:  # sizes are of these alone
        places = {axis % x.ndim: place for place, axis in enumerate(axes)}
        scales = scales and [scales[places[axis]] if axis in places else 1.0 for axis in range(x.ndim)]
        sizes = sizes and [sizes[places[axis]] if axis in places else x.shape[axis] for axis in range(x.ndim)]
    if sizes:
        size = [int(value) for value in sizes[2:]]
        factors = [new / old for new, old in zip(size, x.shape[2:], strict=True)]
    else:
        factors = [float(value) for value in (scales or [1.0] * x.ndim)[2:]]
        size = [math.floor(old * factor) for old, factor in zip(x.shape[2:], factors, strict=True)]
    mode, places = config.get("mode", "nearest"), config.get("coordinate_transformation_mode", "half_pixel")
    for axis, (new, factor) in enumerate(zip(size, factors, strict=True), 2):
        if new != x.shape[axis] or factor != 1:
            x = _resized(x, axis, new, factor, mode, places, config)
    resized: torch.Tensor = x
    return resized


def _resized(x: torch.Tensor, axis: int, new: int, factor: float, mode: str, places: str, config: Config) -> torch.Tensor:
    """Resize along one axis, as https://onnx.ai/onnx/operators/onnx__Resize.html defines it."""
    old, target = x.shape[axis], torch.arange(new, dtype=torch.float64, device=x.device)
    if places == "align_corners":
        length = old * factor  # which need not be whole
        source = target * (old - 1) / (length - 1) if length != 1 else target * 0
    elif places == "asymmetric":
        source = target / factor
    elif places == "pytorch_half_pixel" and new == 1:
        source = target * 0
    else:
        source = (target + 0.5) / factor - 0.5
    if mode == "nearest":
        rounded = {
            "round_prefer_floor": (source - 0.5).ceil(),
            "round_prefer_ceil": (source + 0.5).floor(),
            "floor": source.floor(),
            "ceil": source.ceil(),
        }[config.get("nearest_mode", "round_prefer_floor")]
        return x.index_select(axis, rounded.clamp(0, old - 1).long())
    taps: list[int]
    weights: Callable[[torch.Tensor], torch.Tensor]
    if mode == "linear":
        taps, weights = [0, 1], lambda away: (1 - away.abs()).clamp_min(0)
    elif mode == "cubic":
        slope = config.get("cubic_coeff_a", -0.75)
        taps, weights = [-1, 0, 1, 2], lambda away: _cubic(away.abs(), slope)
    else:
        raise ModelError(f"Resize: found the mode {mode!r}; allowed: nearest, linear, cubic")
    first = source.floor()
    shape = [-1 if place == axis else 1 for place in range(x.ndim)]
    parts = []
    for tap in taps:
        share = weights(source - (first + tap)).to(x.dtype).reshape(shape)
        parts.append(x.index_select(axis, (first + tap).clamp(0, old - 1).long()) * share)
    result: torch.Tensor = sum(parts[1:], parts[0])
    return result


def _cubic(away: torch.Tensor, slope: float) -> torch.Tensor:
    """Weights of cubic convolution (Keys 1981, https://doi.org/10.1109/TASSP.1981.1163711)."""
    near = ((slope + 2) * away - (slope + 3)) * away**2 + 1
    far = ((slope * away - 5 * slope) * away + 8 * slope) * away - 4 * slope
    return torch.where(away <= 1, near, torch.where(away < 2, far, torch.zeros_like(away)))


def _depth_to_space(inputs: Sequence[Any], config: Config) -> torch.Tensor:
    x, block = inputs[0], config["blocksize"]
    n, c, h, w = x.shape
    if config.get("mode", "DCR") == "CRD":
        return F.pixel_shuffle(x, block)
    parts = x.reshape(n, block, block, c // block**2, h, w).permute(0, 3, 4, 1, 5, 2)
    result: torch.Tensor = parts.reshape(n, c // block**2, h * block, w * block)
    return result


def _space_to_depth(inputs: Sequence[Any], config: Config) -> torch.Tensor:
    x, block = inputs[0], config["blocksize"]
    n, c, h, w = x.shape
    parts = x.reshape(n, c, h // block, block, w // block, block).permute(0, 3, 5, 1, 2, 4)
    result: torch.Tensor = parts.reshape(n, c * block**2, h // block, w // block)
    return result


def _gemm(inputs: Sequence[Any], config: Config) -> torch.Tensor:
    a, b, *rest = inputs
    a, b = (x.T if config.get(name) else x for x, name in ((a, "transA"), (b, "transB")))
    result: torch.Tensor = config.get("alpha", 1.0) * (a @ b)
    return result if not rest or rest[0] is None else result + config.get("beta", 1.0) * rest[0]


def _flat_softmax(function: Callable[..., torch.Tensor]) -> Callable[[Sequence[Any], Config], torch.Tensor]:
    """Return a softmax over all axes from one on, as before opset 13."""
    return lambda inputs, config: function(inputs[0].flatten(config["from"]), -1).reshape(inputs[0].shape)


def _layer_normalization(inputs: Sequence[Any], config: Config) -> torch.Tensor:
    x, scale, *rest = inputs
    shape = x.shape[config.get("axis", -1) % x.ndim :]
    bias = rest[0].expand(shape) if rest and rest[0] is not None else None
    return F.layer_norm(x, shape, scale.expand(shape), bias, config.get("epsilon", 1e-5))


def _instance_normalization(inputs: Sequence[Any], config: Config) -> torch.Tensor:
    return F.instance_norm(inputs[0], weight=inputs[1], bias=inputs[2], eps=config.get("epsilon", 1e-5))


def _group_normalization(inputs: Sequence[Any], config: Config) -> torch.Tensor:
    x, scale, bias = inputs
    if scale.numel() == config["num_groups"]:  # before opset 21 one a group
        scale, bias = (value.repeat_interleave(x.shape[1] // config["num_groups"]) for value in (scale, bias))
    return F.group_norm(x, config["num_groups"], scale, bias, config.get("epsilon", 1e-5))


def _cast(inputs: Sequence[Any], config: Config) -> torch.Tensor:
    result: torch.Tensor = inputs[0].to(dtype_of(config["to"]))
    return result


def _divided(inputs: Sequence[Any], _config: Config) -> torch.Tensor:
    a, b = inputs
    result: torch.Tensor = a / b if a.is_floating_point() else torch.div(a, b, rounding_mode="trunc")
    return result


def _folded(function: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> Callable[[Sequence[Any], Config], torch.Tensor]:
    """Return a function of any number of tensors that folds one of two."""

    def fold(inputs: Sequence[Any], _config: Config) -> torch.Tensor:
        result: torch.Tensor = inputs[0]
        for value in inputs[1:]:
            result = function(result, value)
        return result

    return fold


def _of_one(function: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[Sequence[Any], Config], torch.Tensor]:
    return lambda inputs, _config: function(inputs[0])


def _of_two(function: Callable[[Any, Any], torch.Tensor]) -> Callable[[Sequence[Any], Config], torch.Tensor]:
    return lambda inputs, _config: function(inputs[0], inputs[1])


def _clamped(inputs: Sequence[Any], config: Config) -> torch.Tensor:
    x, *ends = inputs
    low, high = (*ends, None, None)[:2]
    low, high = config.get("min") if low is None else low, config.get("max") if high is None else high
    result: torch.Tensor = x if low is None and high is None else torch.clamp(x, low, high)
    return result


def _lp_normalized(inputs: Sequence[Any], config: Config) -> torch.Tensor:
    return F.normalize(inputs[0], p=config.get("p", 2), dim=config.get("axis", -1))


FUNCTIONS: dict[str, Callable[[Sequence[Any], Config], Any]] = {
    **{name: _of_one(function) for name, function in (
        ("Abs", torch.abs), ("Ceil", torch.ceil), ("Cos", torch.cos), ("Erf", torch.erf), ("Exp", torch.exp),
        ("Floor", torch.floor), ("Log", torch.log), ("Neg", torch.neg), ("Not", torch.logical_not),
        ("Reciprocal", torch.reciprocal), ("Round", torch.round), ("Sign", torch.sign), ("Sin", torch.sin), ("Sqrt", torch.sqrt),
    )},
    **{name: _of_two(function) for name, function in (
        ("Sub", torch.sub), ("Pow", torch.pow), ("MatMul", torch.matmul), ("And", torch.logical_and), ("Or", torch.logical_or),
        ("Equal", torch.eq), ("Greater", torch.gt), ("GreaterOrEqual", torch.ge), ("Less", torch.lt), ("LessOrEqual", torch.le),
        ("PRelu", lambda x, slope: torch.where(x < 0, x * slope, x)),
        ("Expand", lambda x, shape: x * torch.ones(shape.tolist(), dtype=x.dtype, device=x.device)),
        ("Tile", lambda x, repeats: x.repeat(repeats.tolist())),
    )},
    **{name: _folded(function) for name, function in (
        ("Add", torch.add), ("Mul", torch.mul), ("Max", torch.maximum), ("Min", torch.minimum), ("Sum", torch.add),
    )},
    **{f"Reduce{name}": _reduced(function) for name, function in (
        ("Mean", lambda x, axes, keep: x.mean(axes, keep)), ("Sum", lambda x, axes, keep: x.sum(axes, keep)),
        ("Max", lambda x, axes, keep: x.amax(axes, keep)), ("Min", lambda x, axes, keep: x.amin(axes, keep)),
        ("L1", lambda x, axes, keep: x.abs().sum(axes, keep)), ("L2", lambda x, axes, keep: x.square().sum(axes, keep).sqrt()),
        ("SumSquare", lambda x, axes, keep: x.square().sum(axes, keep)),
        ("LogSumExp", lambda x, axes, keep: x.logsumexp(axes, keep)),
    )},
    "Mean": lambda inputs, _: sum(inputs[1:], inputs[0]) / len(inputs),
    "Div": _divided,
    "Clip": _clamped,
    "HardSigmoid": lambda inputs, c: (inputs[0] * c.get("alpha", 0.2) + c.get("beta", 0.5)).clamp(0, 1),
    "ThresholdedRelu": lambda inputs, c: F.threshold(inputs[0], c.get("alpha", 1.0), 0.0),
    "Selu": lambda inputs, c: c["gamma"] * F.elu(inputs[0], c["alpha"]),
    "Where": lambda inputs, _: torch.where(*inputs),
    "Concat": lambda inputs, c: torch.cat(list(inputs), c["axis"]),
    "Split": _split,
    "Slice": _slice,
    "Gather": _gather,
    "Reshape": _reshape,
    "Flatten": lambda inputs, c: inputs[0].reshape(math.prod(inputs[0].shape[: c["axis"]]), -1),
    "Transpose": lambda inputs, c: inputs[0].permute(*c.get("perm", reversed(range(inputs[0].ndim)))),
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Shape": lambda inputs, c: torch.tensor(inputs[0].shape[c.get("start", 0) : c.get("end")], dtype=torch.int64),
    "ConstantOfShape": lambda inputs, c: torch.full(inputs[0].tolist(), c.get("value", 0.0), dtype=dtype_of(c["dtype"])),
    "Range": lambda inputs, _: torch.arange(*(value.item() for value in inputs)),
    "Cast": _cast,
    "Pad": _pad,
    "SamePad": _same_pad,
    "AveragePool": _average_pool,
    "Resize": _resize,
    "DepthToSpace": _depth_to_space,
    "SpaceToDepth": _space_to_depth,
    "Gemm": _gemm,
    "Softmax": _flat_softmax(torch.softmax),
    "LogSoftmax": _flat_softmax(torch.log_softmax),
    "ArgMax": lambda inputs, c: inputs[0].argmax(c.get("axis", 0), bool(c.get("keepdims", 1))),
    "LayerNormalization": _layer_normalization,
    "InstanceNormalization": _instance_normalization,
    "GroupNormalization": _group_normalization,
    "LpNormalization": _lp_normalized,
    "MeanVarianceNormalization": lambda inputs, c: (inputs[0] - inputs[0].mean(c["axes"], True))
    / (inputs[0].std(c["axes"], correction=0, keepdim=True) + 1e-9),
}  # fmt: skip
OPERATORS = sorted({*MODULES, *FUNCTIONS})

"""Describe a network as data: its layers in the order in which they work, their windows and receptive fields.

Sizes are height × width everywhere: in the strip, in panels, in `livecnn layers` and in its data. The recurrences of receptive
fields are those of Araujo, Norris, Sim, "Computing Receptive Fields of Convolutional Neural Networks", Distill 2019,
https://distill.pub/2019/computing-receptive-fields.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn

from livecnn.networks.inspection.tracing import PICTURE, FunctionCall, Shape, record

Pair = tuple[int, int]

KEYS = ("kernel_size", "stride", "padding", "dilation", "groups")
# Of functions with a window, their arguments from the second on.
ARGUMENTS = {
    "conv2d": ("weight", "bias", "stride", "padding", "dilation", "groups"),
    "max_pool2d": KEYS[:4],
    "avg_pool2d": KEYS[:3],
}
TORCH = (nn.Conv2d, nn.ConvTranspose2d, nn.MaxPool2d, nn.AvgPool2d)
KERAS = ("Conv2D", "Conv2DTranspose", "DepthwiseConv2D", "SeparableConv2D", "MaxPooling2D", "AveragePooling2D")
# What torch's layers and functions, Keras' layers and Caffe's are called, in small letters.
ACTIVATIONS = """relu relu6 leakyrelu leaky_relu prelu rrelu elu selu celu gelu silu mish sigmoid hardsigmoid hardswish hardtanh
    logsigmoid tanh softplus softsign softshrink hardshrink threshold clamp clip softmax2d"""
ARITHMETIC = """add sub mul div truediv pow square sqrt rsqrt exp log abs neg maximum minimum
    subtract multiply average power eltwise scale bias rescaling"""
NORMS = "batchnorm1d batchnorm2d batch_norm batchnorm batchnormalization normalization localresponsenorm local_response_norm lrn"
DROPOUTS = "dropout dropout1d dropout2d alphadropout alpha_dropout featurealphadropout"
JOINTS = "cat concat concatenate slice split chunk tensor_split getitem narrow"
COPIES = "identity clone contiguous detach float to channelshuffle channel_shuffle sequential"  # one of no layers
POINTWISE = frozenset(" ".join((ACTIVATIONS, ARITHMETIC, NORMS, DROPOUTS, JOINTS, COPIES)).split())
SOFTMAX = frozenset(("softmax", "logsoftmax", "log_softmax"))
RESHAPING = frozenset(("flatten", "view", "reshape", "squeeze", "unsqueeze", "unflatten"))
REDUCING = frozenset(("mean", "sum", "amax", "amin"))
ADAPTIVE = frozenset(("adaptiveavgpool2d", "adaptivemaxpool2d", "adaptive_avg_pool2d", "adaptive_max_pool2d"))
PADDING = frozenset(("zeropad2d", "constantpad2d", "reflectionpad2d", "replicationpad2d", "zeropadding2d", "pad"))
CONNECTED = frozenset(("linear", "dense"))
GLOBAL = frozenset(("globalaveragepooling2d", "globalmaxpooling2d", "layernorm", "layer_norm", "groupnorm", "group_norm",
                    "instancenorm2d", "instance_norm", "layernormalization", "groupnormalization"))  # fmt: skip
TRANSPOSED = frozenset(("convtranspose2d", "conv2dtranspose"))


@dataclass(frozen=True)
class WindowSpec:
    """The window that a layer moves over its input; (rows, columns) each. padding: before the first row and column."""

    kernel: Pair
    stride: Pair
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1


def size_text(size: Sequence[int], by: str = "×") -> str:
    """Join the numbers of a size, the height first: (3, 5) is "3×5"."""
    return by.join(map(str, size))


def pair_text(pair: Pair, by: str = "×") -> str:
    """Return one number where height and width are the same, else both: "2", "1×2"."""
    return str(pair[0]) if pair[0] == pair[1] else size_text(pair, by)


def window_texts(window: WindowSpec | None, by: str = "×") -> dict[str, str]:
    """Return the text of each field of WindowSpec; "" for no window, and for a dilation or groups of 1."""
    if window is None:
        return dict.fromkeys(WindowSpec.__dataclass_fields__, "")
    return {
        "kernel": size_text(window.kernel, by),
        "stride": pair_text(window.stride, by),
        "padding": pair_text(window.padding, by),
        "dilation": pair_text(window.dilation, by) if window.dilation != (1, 1) else "",
        "groups": str(window.groups) if window.groups > 1 else "",
    }


def window_facts(window: WindowSpec | None) -> list[str]:
    """Describe a window in words: "kernel 3×5", "stride 1×2", "padding 0"; nothing for no window."""
    return [f"{text} groups" if key == "groups" else f"{key} {text}" for key, text in window_texts(window).items() if text]


def layer_kind(module: nn.Module) -> str:
    """Return what the program that a layer comes from calls it, Keras or Caffe; "" of any other layer."""
    config = getattr(module, "config", None)
    inner = config.get("kind") if isinstance(config, Mapping) else None
    kind = getattr(module, "kind", "") or inner
    return kind if isinstance(kind, str) else ""


def layer_label(call: FunctionCall) -> str:
    """Return what a call is, in small letters: of a function its name, of a layer of torch its class there, else its kind."""
    if call.module is None:
        return call.function
    home = next((kind for kind in type(call.module).__mro__ if kind.__module__.startswith("torch.nn.modules.")), nn.Module)
    return (layer_kind(call.module) if home is nn.Module else home.__name__).lower()


def layer_window(call: FunctionCall) -> WindowSpec | None:
    """Kernel, stride, padding, dilation and groups of a convolution or pooling in two dimensions; None of anything else."""
    told = _of_function(call) if call.module is None else _of_layer(call.module)
    if told is None or len(call.shape) != 4 or not call.given:
        return None
    kernel = _pair(told["kernel_size"])
    stride = _pair(told.get("stride") or kernel)
    dilation = _pair(told.get("dilation", 1))
    padding = told.get("padding", 0)
    if padding == "same":
        sides = zip(call.given[0][-2:], kernel, stride, dilation, strict=True)
        padding = [_same(*numbers) for numbers in sides]
    before = (0, 0) if padding == "valid" else _pair(padding)
    return WindowSpec(kernel, stride, before, dilation, told.get("groups", 1))


def _of_function(call: FunctionCall) -> Mapping[str, Any] | None:
    """By KEYS, what it was told; None if it has no window."""
    if call.function not in ARGUMENTS:
        return None
    told = {**dict(zip(ARGUMENTS[call.function], call.arguments[1:], strict=False)), **call.keywords}
    return {"stride": 1, **told, "kernel_size": told["weight"].shape[-2:]} if "weight" in told else told


def _of_layer(module: nn.Module) -> Mapping[str, Any] | None:
    """Return the same of a layer."""
    if isinstance(module, TORCH):
        return {key: getattr(module, key) for key in KEYS if hasattr(module, key)}
    kind, inner = layer_kind(module), getattr(module, "layer", None)
    if kind in KERAS:
        return _of_keras(module.config)  # type: ignore[arg-type]
    if kind == "LRN" and getattr(inner, "norm_region", "") == "WITHIN_CHANNEL":
        size: int = inner.local_size  # type: ignore[union-attr]
        return {"kernel_size": size, "stride": 1, "padding": size // 2}
    return None


def _of_keras(config: Mapping[str, Any]) -> Mapping[str, Any]:
    return {
        "kernel_size": config.get("kernel_size", config.get("pool_size")),
        "stride": config["strides"],
        "padding": config["padding"],
        "dilation": config.get("dilation_rate", 1),
        "groups": config.get("groups", 1),
    }


def _pair(value: Any) -> Pair:
    numbers = tuple(value) if isinstance(value, (tuple, list)) else (value,)
    return int(numbers[0]), int(numbers[-1])


def _same(side: int, kernel: int, stride: int, dilation: int) -> int:
    """Return what "same" puts before the first pixel."""
    return max((math.ceil(side / stride) - 1) * stride + dilation * (kernel - 1) + 1 - side, 0) // 2


@dataclass(frozen=True)
class ReceptiveField:
    """The pixels that one value sees, (rows, columns) each. At the rim of its map, some may lie outside of the picture.

    size: may be more than the picture has.  stride: pixels from one value's field to the next one's.  centre: of the first
    value's field, 0 being the middle of the first pixel. Both are None where the values form no map, or see everything.
    """

    size: Pair
    stride: Pair | None = None
    centre: tuple[float, float] | None = None


FIRST = ReceptiveField((1, 1), (1, 1), (0.0, 0.0))  # of the picture itself


def output_field(call: FunctionCall, fields: Iterable[ReceptiveField | None], picture: Shape) -> ReceptiveField | None:
    """Compute the field of a call's output from those of its inputs; None where that is impossible. picture: (1, C, H, W)."""
    word, known = layer_label(call), list(fields)
    whole = ReceptiveField((picture[-2], picture[-1]))
    if whole in known or (call.given and _sees_all(call, word)):
        return whole
    field = _union(known)
    if field is None or word in TRANSPOSED:
        return None
    window = layer_window(call) or _stretched(call, word) or _padded(call, word)
    if window is not None:
        return through_window(field, window)
    if word in RESHAPING and len(call.shape) == 2:
        return ReceptiveField(field.size)
    return field if _stays(call, word, field) else None


def through_window(field: ReceptiveField, window: WindowSpec) -> ReceptiveField | None:
    """Compute the field behind a window: its reach grows by that of the kernel, in steps of the stride so far."""
    if field.stride is None or field.centre is None:
        return None
    reach = [d * (k - 1) for k, d in zip(window.kernel, window.dilation, strict=True)]
    (r0, r1), (j0, j1), (c0, c1) = field.size, field.stride, field.centre
    return ReceptiveField(
        (r0 + reach[0] * j0, r1 + reach[1] * j1),
        (j0 * window.stride[0], j1 * window.stride[1]),
        (c0 + (reach[0] / 2 - window.padding[0]) * j0, c1 + (reach[1] / 2 - window.padding[1]) * j1),
    )


def _sees_all(call: FunctionCall, word: str) -> bool:
    """Fully connected, pooled over everything, or normalised over everything."""
    flat = len(call.shape) == 2
    if word in CONNECTED or word in SOFTMAX:
        return flat
    if word in ADAPTIVE or word in REDUCING:
        return len(call.given[0]) in (2, 4) and (flat or (len(call.shape) == 4 and call.shape[-2:] == (1, 1)))
    return word in GLOBAL


def _union(fields: list[ReceptiveField | None]) -> ReceptiveField | None:
    """Return what all see together; None if that of one is not known, or if they move at different rates."""
    known = [field for field in fields if field is not None]
    if not known or len(known) < len(fields):
        return None
    if len(set(known)) == 1:
        return known[0]
    if any(field.stride is None for field in known):
        return ReceptiveField((max(field.size[0] for field in known), max(field.size[1] for field in known)))
    if len({field.stride for field in known}) > 1:
        return None
    first, last = ([_edge(known, axis, end) for axis in (0, 1)] for end in (-1, 1))
    size = (round(last[0] - first[0]) + 1, round(last[1] - first[1]) + 1)
    return ReceptiveField(size, known[0].stride, ((first[0] + last[0]) / 2, (first[1] + last[1]) / 2))


def _edge(fields: list[ReceptiveField], axis: int, end: int) -> float:
    """Return the first (end -1) or last (1) pixel that the first value of any of them sees."""
    return end * max(end * field.centre[axis] + (field.size[axis] - 1) / 2 for field in fields if field.centre)


def _stretched(call: FunctionCall, word: str) -> WindowSpec | None:
    """Return the window of a pooling to a size, if it is the same everywhere."""
    if word not in ADAPTIVE or len(call.shape) != 4:
        return None
    (height, width), (rows, columns) = call.given[0][-2:], call.shape[-2:]
    step = (height // rows, width // columns)
    return None if height % rows or width % columns else WindowSpec(step, step)


def _padded(call: FunctionCall, word: str) -> WindowSpec | None:
    """Return a window of one pixel that begins before the first."""
    if word not in PADDING or len(call.shape) != 4:
        return None
    module = call.module
    if module is None:
        sides: tuple[int, ...] = call.keywords.get("pad") or call.arguments[1]
        left, _, top, *_ = (*sides, 0, 0)
    elif word == "zeropadding2d":
        (top, _), (left, _) = module.config["padding"]  # type: ignore[index]
    elif hasattr(module, "padding"):
        left, _, top, _ = module.padding  # type: ignore[misc]
    else:  # computed as the pass goes
        return None
    return WindowSpec((1, 1), (1, 1), (top, left))


def _stays(call: FunctionCall, word: str, field: ReceptiveField) -> bool:
    """Return whether every value of the output comes from the values of the inputs at the same place."""
    if word in SOFTMAX and _axis(call) not in (1, -3):
        return False
    if word not in POINTWISE | SOFTMAX | RESHAPING | REDUCING:
        return False
    if field.stride is None:
        return word not in REDUCING
    shapes = {*call.given, call.shape}
    alike = {len(shape) for shape in shapes} == {4} or len({math.prod(shape) for shape in shapes}) == 1  # (N, 1, H, W), (N, H, W)
    return alike and len({shape[-2:] for shape in shapes}) == 1


def _axis(call: FunctionCall) -> Any:
    """Along which a softmax goes."""
    if call.module is not None:
        return getattr(call.module, "dim", None)
    return call.keywords.get("dim", call.arguments[1] if len(call.arguments) > 1 else None)


@dataclass(frozen=True)
class Node:
    """A call of a layer, or of a function between layers.

    Attributes:
        name: As a Probe takes it; "relu:2" is the second call.
        type: What the program that the layer comes from calls it, "Conv2d" or "Convolution"; of a function its name.
        inputs: Names of the nodes that feed it; "" is the network's input.
        output: Size without the batch axis, (C, H, W) or (units,).
        parameters: How many, counted in the layer's first call.
        window: Of a convolution or pooling.
        field: The receptive field; None where it cannot be found.
    """

    name: str
    type: str
    inputs: tuple[str, ...]
    output: tuple[int, ...]
    parameters: int
    window: WindowSpec | None
    field: ReceptiveField | None


@dataclass(frozen=True)
class Architecture:
    """A network at work on an input of one size: its layers, what feeds them, and what each of them sees.

    Attributes:
        name: Of the network.
        input: Size of the input, (C, H, W).
        nodes: In the order in which they work.
        layers: How many layers run; a layer that is called twice counts once.
        parameters: Of the whole network.

    Example:
        >>> import livecnn
        >>> net = nn.Sequential(nn.Conv2d(1, 4, 3, stride=2), nn.ReLU())
        >>> found = livecnn.Architecture.of(net, torch.zeros(1, 1, 9, 9))
        >>> [(node.name, node.type, node.output, node.parameters) for node in found.nodes]
        [('0', 'Conv2d', (4, 4, 4), 40), ('1', 'ReLU', (4, 4, 4), 0)]
        >>> found.nodes[0].field.size
        (3, 3)
    """

    name: str
    input: tuple[int, ...]
    nodes: tuple[Node, ...]
    layers: int
    parameters: int

    @classmethod
    def of(cls, module: nn.Module, x: torch.Tensor, name: str = "") -> Architecture:
        """Find the architecture of a network by one forward pass.

        Functions between layers are nodes where torch.fx can trace the network; elsewhere their inputs feed the next layer.
        Mode, device and hooks stay as they are; whatever the network raises comes through.

        Args:
            module: The network.
            x: An input (1, C, H, W) on the network's device, whatever its values.
            name: Of the network; by default that of its class.

        Returns:
            The architecture for an input of this size.

        Example:
            >>> import livecnn
            >>> livecnn.Architecture.of(nn.Sequential(nn.Linear(4, 2)), torch.zeros(1, 4)).parameters
            10
        """
        calls = record(module, x)
        modules = [inner for inner in dict.fromkeys(call.module for call in calls) if inner is not None]
        total = sum(parameter.numel() for parameter in module.parameters())
        return cls(name or type(module).__name__, tuple(x.shape[1:]), _nodes(calls, tuple(x.shape)), len(modules), total)

    def data(self) -> dict[str, Any]:
        """Return everything as `livecnn layers --json` writes it.

        Returns:
            Dicts, lists, texts and numbers, ready for JSON; docs/layers.md describes the keys.

        Example:
            >>> import livecnn
            >>> found = livecnn.Architecture.of(nn.Sequential(nn.Linear(4, 2)), torch.zeros(1, 4), "tiny")
            >>> found.data()["model"], found.data()["nodes"][0]["output"]
            ('tiny', (2,))
        """
        return {
            "model": self.name,
            "input": list(self.input),
            "layers": self.layers,
            "parameters": self.parameters,
            "nodes": [_data(node) for node in self.nodes],
        }


def _nodes(calls: list[FunctionCall], picture: tuple[int, ...]) -> tuple[Node, ...]:
    fields: dict[int, ReceptiveField | None] = {PICTURE: FIRST}
    feeding: dict[int, tuple[str, ...]] = {PICTURE: ("",)}  # by call, the names under which it feeds others
    counted: set[nn.Parameter] = set()
    nodes = []
    for number, call in enumerate(calls):
        inputs = tuple(dict.fromkeys(name for before in call.inputs for name in feeding[before]))
        fields[number] = output_field(call, (fields[before] for before in call.inputs), picture)
        feeding[number] = (call.name,) if call.name else inputs
        if call.name:
            own = set(call.module.parameters()) - counted if call.module is not None else set()
            counted |= own
            size = sum(parameter.numel() for parameter in own)
            nodes.append(Node(call.name, _type(call), inputs, call.shape[1:], size, layer_window(call), fields[number]))
    return tuple(nodes)


def _type(call: FunctionCall) -> str:
    return call.function if call.module is None else layer_kind(call.module) or type(call.module).__name__


def _data(node: Node) -> Mapping[str, Any]:
    window = dict.fromkeys(WindowSpec.__dataclass_fields__) if node.window is None else asdict(node.window)
    return {
        "name": node.name,
        "type": node.type,
        "inputs": node.inputs,
        "output": node.output,
        "parameters": node.parameters,
        **window,
        "receptive_field": None if node.field is None else asdict(node.field),
    }

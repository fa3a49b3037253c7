"""Receptive fields: which pixels of the picture one value of a layer sees.

The recurrences are those of Araujo, Norris, Sim, "Computing Receptive Fields of Convolutional Neural Networks", Distill 2019,
https://distill.pub/2019/computing-receptive-fields.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from livecnn.networks.inspection.forward_record import FunctionCall, Shape
from livecnn.networks.inspection.windows import Pair, WindowSpec, layer_label, layer_window

# What torch's layers and functions, Keras' layers and Caffe's are called, in small letters.
ACTIVATIONS = """relu relu6 leakyrelu leaky_relu prelu rrelu elu selu celu gelu silu mish sigmoid hardsigmoid hardswish hardtanh
    logsigmoid tanh softplus softsign softshrink hardshrink threshold clamp clip softmax2d"""
ARITHMETIC = """add sub mul div truediv pow square sqrt rsqrt exp log abs neg maximum minimum
    subtract multiply average power eltwise scale bias rescaling"""
NORMS = "batchnorm1d batchnorm2d batch_norm batchnorm batchnormalization normalization localresponsenorm local_response_norm lrn"
DROPOUTS = "dropout dropout1d dropout2d alphadropout alpha_dropout featurealphadropout"
JOINTS = "cat concat concatenate slice split chunk tensor_split getitem narrow"
COPIES = "identity clone contiguous detach float to channelshuffle channel_shuffle"
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
    else:
        left, _, top, _ = module.padding  # type: ignore[misc]
    return WindowSpec((1, 1), (1, 1), (top, left))


def _stays(call: FunctionCall, word: str, field: ReceptiveField) -> bool:
    """Whether every value of the output comes from the values of the inputs at the same place."""
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

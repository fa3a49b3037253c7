"""What a layer is called, and the window that a convolution or pooling moves over its input, as numbers and in words.

Sizes are height × width everywhere: in the strip, in panels, in `livecnn layers` and in its data.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from livecnn.networks.inspection.forward_record import FunctionCall

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


@dataclass(frozen=True)
class WindowSpec:
    """What a convolution or a pooling moves over its input; (rows, columns) each. padding: before the first row and column."""

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

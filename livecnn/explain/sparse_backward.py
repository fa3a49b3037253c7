"""The way back through convolutions for gradients that are zero but for a window, as those of one position of a map are."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import nn
from torch.nn import functional

from livecnn.explain.backward_rules import BackwardRule

Pair = tuple[int, int]


class _Convolved(torch.autograd.Function):
    """A convolution; its gradient by the input is calculated where it is not zero. Parameters get none."""

    @staticmethod
    def forward(x: torch.Tensor, conv: nn.Conv2d) -> torch.Tensor:
        output: torch.Tensor = conv._conv_forward(x, conv.weight, conv.bias)
        return output

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[torch.Tensor, nn.Conv2d], output: torch.Tensor) -> None:  # noqa: ARG004
        x, ctx.conv = inputs
        ctx.size = tuple(x.shape[2:])

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        return _WindowBackward.apply(gradient, ctx.conv, ctx.size), None  # type: ignore[no-untyped-call]


class _WindowBackward(torch.autograd.Function):
    """That way back: (N, C, h, w) -> (N, C', *size), of all pictures that vmap brings together at once."""

    @staticmethod
    def forward(gradient: torch.Tensor, conv: nn.Conv2d, size: Pair) -> torch.Tensor:
        return _window_backward(gradient, conv, size)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: torch.Tensor) -> None:
        pass

    @staticmethod
    def vmap(
        _info: Any, in_dims: tuple[Any, ...], gradient: torch.Tensor, conv: nn.Conv2d, size: Pair
    ) -> tuple[torch.Tensor, int]:
        together = gradient.movedim(in_dims[0], 0)
        return _window_backward(together.flatten(0, 1), conv, size).unflatten(0, together.shape[:2]), 0


def _window_backward(gradient: torch.Tensor, conv: nn.Conv2d, size: Pair) -> torch.Tensor:
    corners, extent = _windows(gradient)
    windows = torch.stack([one[:, y : y + extent[0], x : x + extent[1]] for one, (y, x) in zip(gradient, corners, strict=True)])
    spread = _spread(windows, conv)
    rows, columns = spread.shape[2:]
    (down, right), (above, left) = conv.stride, cast(Pair, conv.padding)
    canvas = spread.new_zeros(
        *spread.shape[:2],
        max(size[0] + above, (gradient.shape[2] - extent[0]) * down + rows),
        max(size[1] + left, (gradient.shape[3] - extent[1]) * right + columns),
    )
    for one, window, (y, x) in zip(canvas, spread, corners, strict=True):
        one[:, y * down : y * down + rows, x * right : x * right + columns] = window
    return canvas[:, :, above : above + size[0], left : left + size[1]]


def _spread(windows: torch.Tensor, conv: nn.Conv2d) -> torch.Tensor:
    """The transposed convolution, without padding. The rows and columns of a stride are its channels: that is much faster."""
    down, right = conv.stride
    kernel = functional.pad(conv.weight, (0, -conv.kernel_size[1] % right, 0, -conv.kernel_size[0] % down))
    phases = kernel.unflatten(3, (-1, right)).unflatten(2, (-1, down)).permute(0, 1, 3, 5, 2, 4).flatten(1, 3)
    found = functional.conv_transpose2d(windows, phases, groups=conv.groups, dilation=conv.dilation)
    spread: torch.Tensor = found.unflatten(1, (-1, down, right)).permute(0, 1, 4, 2, 5, 3).flatten(4).flatten(2, 3)
    return spread


def _windows(gradient: torch.Tensor) -> tuple[list[Pair], Pair]:
    """Top left corners and the size of windows (N, C, h, w) outside of which all is zero; one size for all."""
    there = gradient.any(1)
    firsts, extents = [], []
    for axis, count in ((2, gradient.shape[2]), (1, gradient.shape[3])):
        seen = there.any(axis).to(torch.uint8)
        first, last = seen.argmax(1), count - 1 - seen.flip(1).argmax(1)
        extent = int((last - first).max()) + 1
        firsts.append(first.clamp(max=count - extent).tolist())
        extents.append(extent)
    return list(zip(*firsts, strict=True)), (extents[0], extents[1])


def _windowed(conv: nn.Conv2d, x: torch.Tensor) -> torch.Tensor:
    if not _plain(conv) or x.ndim != 4:
        return nn.Conv2d.forward(conv, x)
    output: torch.Tensor = _Convolved.apply(x, conv)  # type: ignore[no-untyped-call]
    return output


def _plain(conv: nn.Conv2d) -> bool:
    own = type(conv)._conv_forward is nn.Conv2d._conv_forward
    zeros = conv.padding_mode == "zeros" and not isinstance(conv.padding, str)
    return own and zeros and (max(conv.stride) == 1 or max(conv.dilation) == 1)


WINDOWED = BackwardRule("Conv2d", {nn.Conv2d: _windowed}, {})

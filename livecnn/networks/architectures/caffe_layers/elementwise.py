"""Caffe's layers that treat every unit, or every channel, by itself."""

from __future__ import annotations

from functools import reduce
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import nn
from torch.nn import functional

from livecnn.networks.architectures.caffe_layers.base import Axis, CaffeLayer, Number, Numbers, Shape, axis_of, shape_text


class ReLU(CaffeLayer):
    param: ClassVar[str] = "relu_param"

    negative_slope: Number = 0.0

    def build(self, *_shapes: Shape) -> nn.Module:
        return nn.LeakyReLU(self.negative_slope) if self.negative_slope else nn.ReLU()


class PReLU(CaffeLayer):
    param: ClassVar[str] = "prelu_param"

    channel_shared: bool = False

    def build(self, *shapes: Shape) -> nn.Module:
        return nn.PReLU(1 if self.channel_shared else shapes[0][axis_of(1, shapes[0])])


class ELU(CaffeLayer):
    param: ClassVar[str] = "elu_param"

    alpha: Number = 1.0

    def build(self, *_shapes: Shape) -> nn.Module:
        return nn.ELU(self.alpha)


class Sigmoid(CaffeLayer):
    param: ClassVar[str] = "sigmoid_param"

    def build(self, *_shapes: Shape) -> nn.Module:
        return nn.Sigmoid()


class TanH(CaffeLayer):
    param: ClassVar[str] = "tanh_param"

    def build(self, *_shapes: Shape) -> nn.Module:
        return nn.Tanh()


class Dropout(CaffeLayer):
    param: ClassVar[str] = "dropout_param"

    dropout_ratio: Annotated[float, Field(ge=0, le=1)] = 0.5
    scale_train: Literal[True] = True

    def build(self, *_shapes: Shape) -> nn.Module:
        return nn.Dropout(self.dropout_ratio)


class Softmax(CaffeLayer):
    param: ClassVar[str] = "softmax_param"

    axis: Axis = 1

    def build(self, *shapes: Shape) -> nn.Module:
        return nn.Softmax(dim=axis_of(self.axis, shapes[0]))


class Power(CaffeLayer):
    """(shift + scale * x) ** power"""

    param: ClassVar[str] = "power_param"

    power: Number = 1.0
    scale: Number = 1.0
    shift: Number = 0.0

    def run(self, *bottoms: torch.Tensor) -> torch.Tensor:
        base = self.shift + self.scale * bottoms[0]
        return base if self.power == 1 else base**self.power


class Eltwise(CaffeLayer):
    """Product, weighted sum or maximum of inputs of one shape."""

    param: ClassVar[str] = "eltwise_param"
    bottoms: ClassVar[tuple[int, int]] = (2, 1000)

    operation: Literal["PROD", "SUM", "MAX"] = "SUM"
    coeff: Numbers = ()

    def build(self, *shapes: Shape) -> nn.Module:
        if len(set(shapes)) > 1:
            raise ValueError(f"its inputs are {', '.join(map(shape_text, shapes))}; one shape is needed")
        if self.coeff and (self.operation != "SUM" or len(self.coeff) != len(shapes)):
            raise ValueError(f"coeff: found {len(self.coeff)} numbers; allowed: one an input, of a sum")
        return super().build(*shapes)

    def run(self, *bottoms: torch.Tensor) -> torch.Tensor:
        if self.operation == "SUM":
            factors = self.coeff or (1.0,) * len(bottoms)
            return sum((factor * x if factor != 1 else x for factor, x in zip(factors[1:], bottoms[1:], strict=True)),
                       factors[0] * bottoms[0] if factors[0] != 1 else bottoms[0])  # fmt: skip
        return reduce(torch.mul if self.operation == "PROD" else torch.maximum, bottoms)


class BatchNormBase(nn.Module):
    """Every channel's mean and variance, both still to be divided by `factor`, are taken away."""

    mean: torch.Tensor
    variance: torch.Tensor
    factor: torch.Tensor

    def __init__(self, channels: int, eps: float) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("variance", torch.ones(channels))
        self.register_buffer("factor", torch.ones(1))
        self.eps = eps

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        share = torch.where(self.factor == 0, 0, 1 / self.factor)
        return functional.batch_norm(x, self.mean * share, self.variance * share, eps=self.eps)


class BatchNorm(CaffeLayer):
    param: ClassVar[str] = "batch_norm_param"

    use_global_stats: Literal[True] = True
    moving_average_fraction: Number = 0.999
    eps: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1e-5

    def build(self, *shapes: Shape) -> nn.Module:
        return BatchNormBase(shapes[0][axis_of(1, shapes[0])], self.eps)


class Affine(nn.Module):
    """x * weight + bias along the axes from `axis` on; a second input stands for what is not learned."""

    def __init__(self, axis: int, weight: Shape | None, bias: Shape | None, *, adds: bool = False) -> None:
        super().__init__()
        self.axis, self.adds = axis, adds
        self.weight = None if weight is None else nn.Parameter(torch.ones(weight))
        self.bias = None if bias is None else nn.Parameter(torch.zeros(bias))

    def forward(self, x: torch.Tensor, other: torch.Tensor | None = None) -> torch.Tensor:
        weight, bias = (self.weight, other) if self.adds else (other, self.bias)
        weight = self.weight if weight is None else weight
        bias = self.bias if bias is None else bias
        if weight is not None:
            x = x * self._along(weight, x)
        return x if bias is None else x + self._along(bias, x)

    def _along(self, factor: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        return factor.reshape(*factor.shape, *(1,) * (x.ndim - self.axis - factor.ndim))


class Scale(CaffeLayer):
    """x times a learned factor, a channel each, or times the second input; plus a bias if wanted."""

    param: ClassVar[str] = "scale_param"
    bottoms: ClassVar[tuple[int, int]] = (1, 2)

    axis: Axis = 1
    num_axes: Annotated[int, Field(ge=-1, le=8)] = 1
    bias_term: bool = False

    def build(self, *shapes: Shape) -> nn.Module:
        axis, learned = _along(self.axis, self.num_axes, shapes)
        if learned is None and self.bias_term:
            raise ValueError("bias_term: found with a second input; allowed: with a learned factor")
        return Affine(axis, learned, learned if self.bias_term else None)


class Bias(CaffeLayer):
    """x plus a learned bias, a channel each, or plus the second input."""

    param: ClassVar[str] = "bias_param"
    bottoms: ClassVar[tuple[int, int]] = (1, 2)

    axis: Axis = 1
    num_axes: Annotated[int, Field(ge=-1, le=8)] = 1

    def build(self, *shapes: Shape) -> nn.Module:
        axis, learned = _along(self.axis, self.num_axes, shapes)
        return Affine(axis, None, learned, adds=True)


def _along(axis: int, axes: int, shapes: tuple[Shape, ...]) -> tuple[int, Shape | None]:
    """From which axis on a factor goes, and its shape if it is learned, none of which may be the pictures' axis."""
    start = axis_of(axis, shapes[0])
    covered = shapes[0][start:] if axes == -1 else shapes[0][start : start + axes]
    if len(shapes) == 2:
        if shapes[1] != shapes[0][start : start + len(shapes[1])]:
            raise ValueError(
                f"its inputs are {shape_text(shapes[0])} and {shape_text(shapes[1])}, which do not fit from axis {start} on"
            )
        return start, None
    if start == 0 and covered:
        raise ValueError("axis: found 0, which tells pictures apart; allowed: 1 or more")
    return start, covered


LAYERS = (ReLU, PReLU, ELU, Sigmoid, TanH, Dropout, Softmax, Power, Eltwise, BatchNorm, Scale, Bias)

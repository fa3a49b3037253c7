"""Caffe's layers with filters: convolution, its transpose, fully connected."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
from torch import nn

from livecnn.networks.architectures.caffe_layers.base import (
    Axes,
    Axis,
    CaffeLayer,
    Count,
    Shape,
    WindowedLayer,
    axis_of,
    image_shape,
    pair,
)


class Convolution(WindowedLayer):
    """Kernel, stride, pad and dilation may be rectangular."""

    param: ClassVar[str] = "convolution_param"

    num_output: Count
    bias_term: bool = True
    dilation: Axes = ()
    group: Count = 1
    axis: Literal[1] = 1

    def build(self, *shapes: Shape) -> nn.Module:
        return nn.Conv2d(*self._arguments(shapes[0]), **self._more())

    def _arguments(self, shape: Shape) -> tuple[int, int, tuple[int, int]]:
        channels = image_shape(shape)[0]
        if channels % self.group or self.num_output % self.group:
            raise ValueError(f"group: found {self.group}, which does not divide {channels} inputs and {self.num_output} outputs")
        return channels, self.num_output, self.kernel

    def _more(self) -> dict[str, Any]:
        return {
            "stride": self.strides,
            "padding": self.pads,
            "dilation": pair("dilation", self.dilation, (None, None), 1, 1),
            "groups": self.group,
            "bias": self.bias_term,
        }


class Deconvolution(Convolution):
    """The transpose of a convolution."""

    def build(self, *shapes: Shape) -> nn.Module:
        return nn.ConvTranspose2d(*self._arguments(shapes[0]), **self._more())


class FullyConnected(nn.Linear):
    """A linear layer of all axes from `axis` on. transposed: whether the caffemodel has the weights as (inputs, outputs)."""

    def __init__(self, axis: int, inputs: int, outputs: int, *, bias: bool, transposed: bool) -> None:
        super().__init__(inputs, outputs, bias)
        self.axis = axis
        self.transposed = transposed

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x.flatten(self.axis))


class InnerProduct(CaffeLayer):
    """Flattens its input from `axis` on."""

    param: ClassVar[str] = "inner_product_param"

    num_output: Count
    bias_term: bool = True
    axis: Axis = 1
    transpose: bool = False

    def build(self, *shapes: Shape) -> nn.Module:
        axis = axis_of(self.axis, shapes[0])
        if axis == 0:
            raise ValueError("axis: found 0, which mixes pictures; allowed: 1 or more")
        inputs = torch.Size(shapes[0][axis:]).numel()
        return FullyConnected(axis, inputs, self.num_output, bias=self.bias_term, transposed=self.transpose)


LAYERS = (Convolution, Deconvolution, InnerProduct)

"""Caffe's layers that look at a neighbourhood: pooling and local response normalisation."""

from __future__ import annotations

import math
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import nn
from torch.nn import functional

from livecnn.networks.architectures.caffe_layers.base import CaffeLayer, Count, Number, Shape, WindowedLayer, image_shape


class Pooling(WindowedLayer):
    """The last window may reach beyond the padded picture (Caffe rounds up), but has to begin inside it.

    The mean counts padding, but nothing beyond it.
    """

    param: ClassVar[str] = "pooling_param"

    pool: Literal["MAX", "AVE"] = "MAX"
    global_pooling: bool = False
    round_mode: Literal["CEIL", "FLOOR"] = "CEIL"
    ceil_mode: bool = True

    def build(self, *shapes: Shape) -> nn.Module:
        size = image_shape(shapes[0])[1:]
        if self.global_pooling:
            return nn.AdaptiveMaxPool2d(1) if self.pool == "MAX" else nn.AdaptiveAvgPool2d(1)
        kernel, strides, pads = self.kernel, self.strides, self.pads
        up = self.ceil_mode and self.round_mode == "CEIL"
        if any(2 * pad > side for pad, side in zip(pads, kernel, strict=True)):
            raise ValueError(f"pad: found {max(pads)}; allowed: at most half of kernel_size")
        for side, window, stride, pad in zip(size, kernel, strides, pads, strict=True):
            last = (math.ceil if up else math.floor)((side + 2 * pad - window) / stride) * stride
            if last >= side and not any(pads):  # there Caffe pools nothing
                raise ValueError(f"stride: found {stride}, so that the last window lies outside of its input")
        if self.pool == "MAX":
            return nn.MaxPool2d(kernel, strides, pads, ceil_mode=up)
        return nn.AvgPool2d(kernel, strides, pads, ceil_mode=up, count_include_pad=True)


class LRN(CaffeLayer):
    """Local response normalisation; `k` counts only across channels."""

    param: ClassVar[str] = "lrn_param"

    local_size: Annotated[Count, Field(le=255)] = 5
    alpha: Number = 1.0
    beta: Number = 0.75
    k: Number = 1.0
    norm_region: Literal["ACROSS_CHANNELS", "WITHIN_CHANNEL"] = "ACROSS_CHANNELS"

    def build(self, *shapes: Shape) -> nn.Module:
        image_shape(shapes[0])
        if self.local_size % 2 == 0:
            raise ValueError(f"local_size: found {self.local_size}; allowed: an odd number")
        return super().build(*shapes)

    def run(self, *bottoms: torch.Tensor) -> torch.Tensor:
        (x,) = bottoms
        if self.norm_region == "WITHIN_CHANNEL":
            energy = functional.avg_pool2d(x.square(), self.local_size, 1, self.local_size // 2)
            return x * (1 + self.alpha * energy) ** -self.beta
        return x * (self.k + self.alpha / self.local_size * self._across(x.square())) ** -self.beta

    def _across(self, squares: torch.Tensor) -> torch.Tensor:
        """Sums over neighbouring channels; twice as fast as nn.LocalResponseNorm, which pools in three dimensions."""
        near = self.local_size // 2
        padded = functional.pad(squares, (0, 0, 0, 0, near, near))
        energy = padded[:, : squares.shape[1]]
        for first in range(1, self.local_size):
            energy = energy + padded[:, first : first + squares.shape[1]]
        return energy


LAYERS = (Pooling, LRN)

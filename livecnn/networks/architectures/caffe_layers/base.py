"""What all layers of a Caffe network have in common. Parameters, their names and defaults are those of Caffe's layer catalogue
(https://caffe.berkeleyvision.org/tutorial/layers.html)."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import torch
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from torch import nn

LARGEST = 1 << 28  # numbers in a blob or in all weights: 1 GiB

Shape = tuple[int, ...]
Count = Annotated[int, Field(ge=1, le=1 << 24)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Axis = Annotated[int, Field(ge=-8, le=8)]


def repeated_field(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else (value,)  # a repeated field that is there once


Axes = Annotated[tuple[Annotated[int, Field(ge=0, le=1 << 24)], ...], BeforeValidator(repeated_field), Field(max_length=32)]
Numbers = Annotated[tuple[Number, ...], BeforeValidator(repeated_field)]
Names = Annotated[tuple[str, ...], BeforeValidator(repeated_field)]


class CaffeLayer(BaseModel):
    """One layer: how it is wired, and its parameters by Caffe's names.

    param: in which part of a prototxt its parameters stand.  bottoms: how many inputs it takes, at least and at most.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    param: ClassVar[str] = ""
    bottoms: ClassVar[tuple[int, int]] = (1, 1)

    name: Annotated[str, Field(min_length=1)]
    type: str
    bottom: Names
    top: Annotated[Names, Field(min_length=1)]

    def fields(self) -> dict[str, Any]:
        """The fields that are not Caffe's defaults; a list of one is that one."""
        dumped = self.model_dump(mode="json", exclude_defaults=True)
        return {key: value[0] if isinstance(value, list) and len(value) == 1 else value for key, value in dumped.items()}

    def build(self, *_shapes: Shape) -> nn.Module:
        """The module for inputs of these shapes (1, …); the order of its state is that of the blobs in a caffemodel.

        Raises ValueError for shapes that do not suit it.
        """
        return FunctionModule(self)

    def run(self, *bottoms: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, ...]:
        """What a layer without weights makes of its inputs."""
        raise NotImplementedError


class FunctionModule(nn.Module):
    """A layer without weights as a module."""

    def __init__(self, layer: CaffeLayer) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, *bottoms: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, ...]:
        return self.layer.run(*bottoms)

    def extra_repr(self) -> str:
        return self.layer.type


class WindowedLayer(CaffeLayer):
    """A layer with a window that moves over a picture. Two numbers are height and width, one is both."""

    kernel_size: Axes = ()
    kernel_h: Count | None = None
    kernel_w: Count | None = None
    stride: Axes = ()
    stride_h: Count | None = None
    stride_w: Count | None = None
    pad: Axes = ()
    pad_h: Annotated[int, Field(ge=0, le=1 << 24)] | None = None
    pad_w: Annotated[int, Field(ge=0, le=1 << 24)] | None = None

    @property
    def kernel(self) -> tuple[int, int]:
        return pair("kernel_size", self.kernel_size, (self.kernel_h, self.kernel_w), None, 1)

    @property
    def strides(self) -> tuple[int, int]:
        return pair("stride", self.stride, (self.stride_h, self.stride_w), 1, 1)

    @property
    def pads(self) -> tuple[int, int]:
        return pair("pad", self.pad, (self.pad_h, self.pad_w), 0, 0)


def pair(key: str, both: Shape, each: tuple[int | None, int | None], default: int | None, least: int) -> tuple[int, int]:
    """(height, width) from Caffe's two ways to give them."""
    if len(both) > 2:
        raise ValueError(f"{key}: found {len(both)} numbers; allowed: one, or height and width")
    height, width = (given if given is not None else common for given, common in zip(each, _two(both, default), strict=True))
    if height is None or width is None:
        raise ValueError(f"{key}: nothing found; it is needed")
    if min(height, width) < least:
        raise ValueError(f"{key}: found {min(height, width)}; allowed: {least} or more")
    return height, width


def _two(both: Shape, default: int | None) -> tuple[int | None, int | None]:
    return (both[0], both[-1]) if both else (default, default)


def image_shape(shape: Shape) -> tuple[int, int, int]:
    """(C, H, W) of an input that has to be (N, C, H, W)."""
    if len(shape) != 4:
        raise ValueError(f"its input is {shape_text(shape)}; four axes are needed (N, C, H, W)")
    return shape[1], shape[2], shape[3]


def axis_of(axis: int, shape: Shape) -> int:
    """A Caffe axis, which may count from the end, as an index."""
    if not -len(shape) <= axis < len(shape):
        raise ValueError(f"axis: found {axis}; its input is {shape_text(shape)}")
    return axis % len(shape)


def shape_text(shape: Shape) -> str:
    return "x".join(map(str, shape)) or "one number"

"""Layers as Caffe describes them: what they have in common. A new type is one more class in `layers`, and in its table.

Parameters, their names and defaults are those of Caffe's layer catalogue (https://caffe.berkeleyvision.org/tutorial/layers.html).
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import torch
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from torch import nn

LARGEST = 1 << 28  # numbers in a blob or in all weights: 1 GiB

Shape = tuple[int, ...]


def repeated_field(value: Any) -> Any:
    """Return the value of a repeated field as a tuple, also where it is there only once."""
    return tuple(value) if isinstance(value, list) else (value,)


Count = Annotated[int, Field(ge=1, le=1 << 24)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Axis = Annotated[int, Field(ge=-8, le=8)]
Axes = Annotated[tuple[Annotated[int, Field(ge=0, le=1 << 24)], ...], BeforeValidator(repeated_field), Field(max_length=32)]
Numbers = Annotated[tuple[Number, ...], BeforeValidator(repeated_field)]
Names = Annotated[tuple[str, ...], BeforeValidator(repeated_field)]


class CaffeLayer(BaseModel):
    """One layer of a Caffe network: how it is wired, and its parameters by Caffe's names.

    A type of layer is a subclass named as in Caffe, with a field for each parameter. A layer with weights overrides `build`, one
    without may override `run` alone. What they raise as ValueError is shown with the layer's name in front.

    Class arguments:
        param: The part of a prototxt that holds the parameters, such as "relu_param".
        bottoms: How many inputs the layer takes, at least and at most; by default one.

    Example:
        >>> class Exp(CaffeLayer, param="exp_param"):
        ...     scale: Number = 1.0
        ...
        ...     def run(self, *bottoms):
        ...         return torch.exp(self.scale * bottoms[0])
        >>> Exp(name="e", type="Exp", bottom="x", top="y").build((1, 2))(torch.zeros(1, 2))
        tensor([[1., 1.]])
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    param: ClassVar[str] = ""
    bottoms: ClassVar[tuple[int, int]] = (1, 1)

    name: Annotated[str, Field(min_length=1)]
    type: str
    bottom: Names
    top: Annotated[Names, Field(min_length=1)]

    def __init_subclass__(cls, *, param: str = "", bottoms: tuple[int, int] | None = None, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls.param = param or cls.param
        cls.bottoms = bottoms or cls.bottoms

    def fields(self) -> dict[str, Any]:
        """Return the fields that are not Caffe's defaults; a list of one value as that value."""
        dumped = self.model_dump(mode="json", exclude_defaults=True)
        return {key: value[0] if isinstance(value, list) and len(value) == 1 else value for key, value in dumped.items()}

    def build(self, *_shapes: Shape) -> nn.Module:
        """Make the module; the order of its state is that of the blobs in a caffemodel.

        Args:
            *_shapes: Of the inputs, each (1, …).

        Raises:
            ValueError: If the shapes do not suit the layer.
        """
        return FunctionModule(self)

    def run(self, *bottoms: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, ...]:
        """Compute the output of a layer without weights; a tuple for several tops."""
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
        """Height and width of the window."""
        return pair("kernel_size", self.kernel_size, (self.kernel_h, self.kernel_w), None, 1)

    @property
    def strides(self) -> tuple[int, int]:
        """Steps of the window, down and across."""
        return pair("stride", self.stride, (self.stride_h, self.stride_w), 1, 1)

    @property
    def pads(self) -> tuple[int, int]:
        """Pixels of padding, above and below, left and right."""
        return pair("pad", self.pad, (self.pad_h, self.pad_w), 0, 0)


def pair(key: str, both: Shape, each: tuple[int | None, int | None], default: int | None, least: int) -> tuple[int, int]:
    """Return (height, width) from Caffe's two ways to give them: `both` in one field, or one field `each`."""
    if len(both) > 2:
        raise ValueError(f"{key}: found {len(both)} numbers; allowed: one, or height and width")
    common = (both[0], both[-1]) if both else (default, default)
    height, width = (other if own is None else own for own, other in zip(each, common, strict=True))
    if height is None or width is None:
        raise ValueError(f"{key}: nothing found; it is needed")
    if min(height, width) < least:
        raise ValueError(f"{key}: found {min(height, width)}; allowed: {least} or more")
    return height, width


def image_shape(shape: Shape) -> tuple[int, int, int]:
    """Return (C, H, W) of an input that has to be (N, C, H, W)."""
    if len(shape) != 4:
        raise ValueError(f"its input is {shape_text(shape)}; four axes are needed (N, C, H, W)")
    return shape[1], shape[2], shape[3]


def axis_of(axis: int, shape: Shape) -> int:
    """Return a Caffe axis, which may count from the end, as an index."""
    if not -len(shape) <= axis < len(shape):
        raise ValueError(f"axis: found {axis}; its input is {shape_text(shape)}")
    return axis % len(shape)


def shape_text(shape: Shape) -> str:
    """Return a shape for messages, such as "1x3x8x8"."""
    return "x".join(map(str, shape)) or "one number"

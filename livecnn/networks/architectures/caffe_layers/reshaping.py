"""Caffe's layers that cut, join and reshape."""

from __future__ import annotations

from typing import Annotated, ClassVar

import torch
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from torch import nn

from livecnn.networks.architectures.caffe_layers.base import Axes, Axis, CaffeLayer, Shape, axis_of, repeated_field, shape_text


class Concat(CaffeLayer):
    param: ClassVar[str] = "concat_param"
    bottoms: ClassVar[tuple[int, int]] = (1, 1000)

    axis: Axis | None = None
    concat_dim: Annotated[int, Field(ge=0, le=8)] = 1

    def build(self, *shapes: Shape) -> nn.Module:
        axis = axis_of(self.concat_dim if self.axis is None else self.axis, shapes[0])
        if len({(len(shape), *shape[:axis], *shape[axis + 1 :]) for shape in shapes}) > 1:
            raise ValueError(f"its inputs are {', '.join(map(shape_text, shapes))}; they may differ only along axis {axis}")
        return super().build(*shapes)

    def run(self, *bottoms: torch.Tensor) -> torch.Tensor:
        return torch.cat(bottoms, self.concat_dim if self.axis is None else self.axis)


class Slice(CaffeLayer):
    """Equal parts, or cut at slice_point."""

    param: ClassVar[str] = "slice_param"

    axis: Axis | None = None
    slice_dim: Annotated[int, Field(ge=0, le=8)] = 1
    slice_point: Axes = ()

    def build(self, *shapes: Shape) -> nn.Module:
        length = shapes[0][axis_of(self._axis, shapes[0])]
        if not self.slice_point and length % len(self.top):
            raise ValueError(f"found {len(self.top)} tops for a length of {length}; equal parts are needed, or slice_point")
        points = (0, *self.slice_point, length)
        if self.slice_point and (len(points) != len(self.top) + 1 or list(points) != sorted(set(points))):
            found = ", ".join(map(str, self.slice_point))
            raise ValueError(f"slice_point: found {found}; allowed: {len(self.top) - 1} rising numbers between 0 and {length}")
        return super().build(*shapes)

    @property
    def _axis(self) -> int:
        return self.slice_dim if self.axis is None else self.axis

    def run(self, *bottoms: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return torch.tensor_split(bottoms[0], self.slice_point or len(self.top), dim=self._axis)


class Split(CaffeLayer):
    def run(self, *bottoms: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return bottoms * len(self.top)


class Flatten(CaffeLayer):
    param: ClassVar[str] = "flatten_param"

    axis: Axis = 1
    end_axis: Axis = -1

    def build(self, *shapes: Shape) -> nn.Module:
        start, end = axis_of(self.axis, shapes[0]), axis_of(self.end_axis, shapes[0])
        if start == 0 < end:
            raise ValueError("axis: found 0, which mixes pictures; allowed: 1 or more")
        return nn.Flatten(start, end)


class Dims(BaseModel):
    """0: as in the input; -1: whatever is left."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dim: Annotated[
        tuple[Annotated[int, Field(ge=-1, le=1 << 24)], ...], BeforeValidator(repeated_field), Field(max_length=32)
    ] = ()


class Reshape(CaffeLayer):
    """`shape` in place of `num_axes` axes from `axis` on."""

    param: ClassVar[str] = "reshape_param"

    shape: Dims = Dims()
    axis: Axis = 0
    num_axes: Annotated[int, Field(ge=-1, le=8)] = -1

    def run(self, *bottoms: torch.Tensor) -> torch.Tensor:
        (x,) = bottoms
        start = self.axis if self.axis >= 0 else x.ndim + 1 + self.axis
        end = x.ndim if self.num_axes == -1 else start + self.num_axes
        if not 0 <= start <= end <= x.ndim:
            raise ValueError(f"axis: found {self.axis}, num_axes: {self.num_axes}; its input is {shape_text(tuple(x.shape))}")
        dims = [x.shape[start + i] if dim == 0 else dim for i, dim in enumerate(self.shape.dim)]
        if start == 0 and dims and dims[0] == 1:
            dims[0] = x.shape[0]  # networks are wired for one picture; there may be more
        return x.reshape(*x.shape[:start], *dims, *x.shape[end:])


class Crop(CaffeLayer):
    """The first input cut to the size of the second, from `axis` on."""

    param: ClassVar[str] = "crop_param"
    bottoms: ClassVar[tuple[int, int]] = (2, 2)

    axis: Axis = 2
    offset: Axes = ()

    def build(self, *shapes: Shape) -> nn.Module:
        whole, wanted = shapes
        start = axis_of(self.axis, whole)
        if len(whole) != len(wanted) or len(self.offset) not in (0, 1, len(whole) - start):
            raise ValueError(
                f"offset: found {len(self.offset)} numbers for inputs {shape_text(whole)} and {shape_text(wanted)}; "
                "allowed: one for all axes that are cut, or one each"
            )
        fits = zip(whole[start:], wanted[start:], self._offsets(len(whole) - start), strict=True)
        if start == 0 or any(offset + needed > there for there, needed, offset in fits):
            raise ValueError(f"offset: {shape_text(wanted)} from axis {start} on does not lie inside {shape_text(whole)}")
        return super().build(*shapes)

    def _offsets(self, axes: int) -> Shape:
        return self.offset if len(self.offset) == axes else (self.offset or (0,)) * axes

    def run(self, *bottoms: torch.Tensor) -> torch.Tensor:
        x, reference = bottoms
        start = self.axis % x.ndim
        for axis, offset in enumerate(self._offsets(x.ndim - start), start):
            x = x.narrow(axis, offset, reference.shape[axis])
        return x


LAYERS = (Concat, Slice, Split, Flatten, Reshape, Crop)

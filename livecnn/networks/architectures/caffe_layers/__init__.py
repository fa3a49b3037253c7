"""Layers as Caffe describes them, each a class by its type in Caffe. A new type is one more class here, and in the table LAYERS.

Parameters, their names and defaults are those of Caffe's layer catalogue (https://caffe.berkeleyvision.org/tutorial/layers.html).
"""

import math
from functools import reduce
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from torch import nn
from torch.nn import functional

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


class Convolution(WindowedLayer, param="convolution_param"):
    """Convolve; kernel, stride, pad and dilation may be rectangular."""

    num_output: Count
    bias_term: bool = True
    dilation: Axes = ()
    group: Count = 1
    axis: Literal[1] = 1

    def build(self, *shapes: Shape) -> nn.Module:
        return nn.Conv2d(**self._arguments(shapes[0]))

    def _arguments(self, shape: Shape) -> dict[str, Any]:
        channels = image_shape(shape)[0]
        if channels % self.group or self.num_output % self.group:
            raise ValueError(f"group: found {self.group}, which does not divide {channels} inputs and {self.num_output} outputs")
        return {
            "in_channels": channels,
            "out_channels": self.num_output,
            "kernel_size": self.kernel,
            "stride": self.strides,
            "padding": self.pads,
            "dilation": pair("dilation", self.dilation, (None, None), 1, 1),
            "groups": self.group,
            "bias": self.bias_term,
        }


class Deconvolution(Convolution):
    """Apply the transpose of a convolution."""

    def build(self, *shapes: Shape) -> nn.Module:
        return nn.ConvTranspose2d(**self._arguments(shapes[0]))


class FullyConnected(nn.Linear):
    """A linear layer over all axes from `axis` on."""

    def __init__(self, axis: int, inputs: int, outputs: int, *, bias: bool, transposed: bool) -> None:
        super().__init__(inputs, outputs, bias)
        self.axis = axis
        self.transposed = transposed  # whether the caffemodel holds the weights as (inputs, outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x.flatten(self.axis))


class InnerProduct(CaffeLayer, param="inner_product_param"):
    """Flatten the input from `axis` on and connect every value with every output."""

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


class Pooling(WindowedLayer, param="pooling_param"):
    """Take the maximum or mean of each window.

    The last window may reach beyond the padded picture (Caffe rounds up), but has to begin inside it. The mean counts padding,
    but nothing beyond it.
    """

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


class LRN(CaffeLayer, param="lrn_param"):
    """Divide by the energy of the neighborhood (local response normalization); `k` counts only across channels."""

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
        """Sum over neighboring channels, twice as fast as nn.LocalResponseNorm, which pools in three dimensions."""
        near = self.local_size // 2
        padded = functional.pad(squares, (0, 0, 0, 0, near, near))
        energy = padded[:, : squares.shape[1]]
        for first in range(1, self.local_size):
            energy = energy + padded[:, first : first + squares.shape[1]]
        return energy


class ReLU(CaffeLayer, param="relu_param"):
    """Cut negative values off, or scale them by `negative_slope`."""

    negative_slope: Number = 0.0

    def build(self, *_shapes: Shape) -> nn.Module:
        return nn.LeakyReLU(self.negative_slope) if self.negative_slope else nn.ReLU()


class PReLU(CaffeLayer, param="prelu_param"):
    """Scale negative values by learned slopes."""

    channel_shared: bool = False

    def build(self, *shapes: Shape) -> nn.Module:
        return nn.PReLU(1 if self.channel_shared else shapes[0][axis_of(1, shapes[0])])


class ELU(CaffeLayer, param="elu_param"):
    """Bend negative values towards -alpha."""

    alpha: Number = 1.0

    def build(self, *_shapes: Shape) -> nn.Module:
        return nn.ELU(self.alpha)


class Sigmoid(CaffeLayer, param="sigmoid_param"):
    """Apply the logistic function."""

    def build(self, *_shapes: Shape) -> nn.Module:
        return nn.Sigmoid()


class TanH(CaffeLayer, param="tanh_param"):
    """Apply the hyperbolic tangent."""

    def build(self, *_shapes: Shape) -> nn.Module:
        return nn.Tanh()


class Dropout(CaffeLayer, param="dropout_param"):
    """Pass the input on: units are dropped in training only."""

    dropout_ratio: Annotated[float, Field(ge=0, le=1)] = 0.5
    scale_train: Literal[True] = True

    def build(self, *_shapes: Shape) -> nn.Module:
        return nn.Dropout(self.dropout_ratio)


class Softmax(CaffeLayer, param="softmax_param"):
    """Turn scores along `axis` into probabilities."""

    axis: Axis = 1

    def build(self, *shapes: Shape) -> nn.Module:
        return nn.Softmax(dim=axis_of(self.axis, shapes[0]))


class Power(CaffeLayer, param="power_param"):
    """Compute (shift + scale * x) ** power."""

    power: Number = 1.0
    scale: Number = 1.0
    shift: Number = 0.0

    def run(self, *bottoms: torch.Tensor) -> torch.Tensor:
        base = self.shift + self.scale * bottoms[0]
        return base if self.power == 1 else base**self.power


class Eltwise(CaffeLayer, param="eltwise_param", bottoms=(2, 1000)):
    """Combine inputs of one shape: their product, weighted sum or maximum."""

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
            bottoms = tuple(x if factor == 1 else factor * x for factor, x in zip(factors, bottoms, strict=True))
            return reduce(torch.add, bottoms)
        return reduce(torch.mul if self.operation == "PROD" else torch.maximum, bottoms)


class BatchNormBase(nn.Module):
    """Normalize each channel by its mean and variance, both still to be divided by `factor`."""

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


class BatchNorm(CaffeLayer, param="batch_norm_param"):
    """Normalize each channel by the statistics of the training."""

    use_global_stats: Literal[True] = True
    moving_average_fraction: Number = 0.999
    eps: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1e-5

    def build(self, *shapes: Shape) -> nn.Module:
        return BatchNormBase(shapes[0][axis_of(1, shapes[0])], self.eps)


class Affine(nn.Module):
    """Compute x * weight + bias along the axes from `axis` on; a second input replaces what is not learned."""

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


class Scale(CaffeLayer, param="scale_param", bottoms=(1, 2)):
    """Multiply by a learned factor for each channel, or by the second input, and add a bias if wanted."""

    axis: Axis = 1
    num_axes: Annotated[int, Field(ge=-1, le=8)] = 1
    bias_term: bool = False

    def build(self, *shapes: Shape) -> nn.Module:
        axis, learned = _along(self.axis, self.num_axes, shapes)
        if learned is None and self.bias_term:
            raise ValueError("bias_term: found with a second input; allowed: with a learned factor")
        return Affine(axis, learned, learned if self.bias_term else None)


class Bias(CaffeLayer, param="bias_param", bottoms=(1, 2)):
    """Add a learned bias for each channel, or the second input."""

    axis: Axis = 1
    num_axes: Annotated[int, Field(ge=-1, le=8)] = 1

    def build(self, *shapes: Shape) -> nn.Module:
        axis, learned = _along(self.axis, self.num_axes, shapes)
        return Affine(axis, None, learned, adds=True)


def _along(axis: int, axes: int, shapes: tuple[Shape, ...]) -> tuple[int, Shape | None]:
    """Return from which axis on a factor applies, and its shape if it is learned; the batch axis is not allowed."""
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


class Concat(CaffeLayer, param="concat_param", bottoms=(1, 1000)):
    """Join the inputs along `axis`."""

    axis: Axis | None = None
    concat_dim: Annotated[int, Field(ge=0, le=8)] = 1

    def build(self, *shapes: Shape) -> nn.Module:
        axis = axis_of(self.concat_dim if self.axis is None else self.axis, shapes[0])
        if len({(len(shape), *shape[:axis], *shape[axis + 1 :]) for shape in shapes}) > 1:
            raise ValueError(f"its inputs are {', '.join(map(shape_text, shapes))}; they may differ only along axis {axis}")
        return super().build(*shapes)

    def run(self, *bottoms: torch.Tensor) -> torch.Tensor:
        return torch.cat(bottoms, self.concat_dim if self.axis is None else self.axis)


class Slice(CaffeLayer, param="slice_param"):
    """Cut the input into equal parts, or at `slice_point`."""

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
    """Give the input several times."""

    def run(self, *bottoms: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return bottoms * len(self.top)


class Flatten(CaffeLayer, param="flatten_param"):
    """Make one axis of those from `axis` to `end_axis`."""

    axis: Axis = 1
    end_axis: Axis = -1

    def build(self, *shapes: Shape) -> nn.Module:
        start, end = axis_of(self.axis, shapes[0]), axis_of(self.end_axis, shapes[0])
        if start == 0 < end:
            raise ValueError("axis: found 0, which mixes pictures; allowed: 1 or more")
        return nn.Flatten(start, end)


class Dims(BaseModel):
    """The new lengths of axes; 0: as in the input; -1: whatever is left."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dim: Annotated[
        tuple[Annotated[int, Field(ge=-1, le=1 << 24)], ...], BeforeValidator(repeated_field), Field(max_length=32)
    ] = ()


class Reshape(CaffeLayer, param="reshape_param"):
    """Replace `num_axes` axes from `axis` on by those of `shape`."""

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


class Crop(CaffeLayer, param="crop_param", bottoms=(2, 2)):
    """Cut the first input to the size of the second, from `axis` on."""

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


LAYERS: dict[str, type[CaffeLayer]] = {
    kind.__name__: kind
    for kind in (
        *(Convolution, Deconvolution, InnerProduct, Pooling, LRN),
        *(ReLU, PReLU, ELU, Sigmoid, TanH, Dropout, Softmax, Power, Eltwise, BatchNorm, Scale, Bias),
        *(Concat, Slice, Split, Flatten, Reshape, Crop),
    )
}

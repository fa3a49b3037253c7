"""Every type of layer against OpenCV's Caffe importer, or against a reference worked by hand where OpenCV has none."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from tests.helpers import caffe_files
from tests.helpers.caffe_files import Array

INPUT = 'layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 7 dim: 6 dim: 9 dim: 11 } } }'


def picture(*shape: int) -> Array:
    return np.random.default_rng(5).uniform(-1, 1, shape or (1, 6, 9, 11)).astype(np.float32)


def layer(kind: str, params: str = "", name: str = "y", bottoms: tuple[str, ...] = ("x",), tops: tuple[str, ...] = ("y",)) -> str:
    wires = [f'bottom: "{bottom}"' for bottom in bottoms] + [f'top: "{top}"' for top in tops]
    return f'layer {{ name: "{name}" type: "{kind}" {" ".join(wires)} {params} }}'


def convolved(name: str, params: str, x: str = "x") -> str:
    return layer("Convolution", f"convolution_param {{ {params} }}", name, (x,), (name,))


WINDOWS = [
    "kernel_size: 3",
    "kernel_size: 3 stride: 2",
    "kernel_size: 2 stride: 2",
    "kernel_size: 3 stride: 2 pad: 1",
    "kernel_size: 2 stride: 2 pad: 1",
    "kernel_size: 4 stride: 3 pad: 2",
    "kernel_h: 2 kernel_w: 5 stride_h: 3 stride_w: 1 pad_h: 1 pad_w: 2",
    "kernel_size: 9 stride: 1 pad: 4",
    "global_pooling: true",
]

ALONE = {
    "square": layer("Convolution", "convolution_param { num_output: 4 kernel_size: 3 }"),
    "stride and pad": layer("Convolution", "convolution_param { num_output: 4 kernel_size: 3 stride: 2 pad: 1 }"),
    "rectangular": layer(
        "Convolution",
        "convolution_param { num_output: 4 kernel_h: 3 kernel_w: 5 stride_h: 2 stride_w: 1 pad_h: 0 pad_w: 2 bias_term: false }",
    ),
    "two numbers": layer("Convolution", "convolution_param { num_output: 4 kernel_size: [3, 1] pad: 1 pad: 0 stride: [1, 2] }"),
    "groups": layer("Convolution", "convolution_param { num_output: 9 kernel_size: 3 group: 3 }"),
    "dilation": layer("Convolution", "convolution_param { num_output: 4 kernel_size: 3 dilation: 2 pad: 2 }"),
    "deconvolution": layer("Deconvolution", "convolution_param { num_output: 4 kernel_size: 4 stride: 2 pad: 1 }"),
    "deconvolution in groups": layer(
        "Deconvolution", "convolution_param { num_output: 6 kernel_size: 4 stride: 2 group: 6 bias_term: false }"
    ),
    "rectangular deconvolution": layer(
        "Deconvolution", "convolution_param { num_output: 4 kernel_h: 2 kernel_w: 3 stride_h: 1 stride_w: 2 group: 2 }"
    ),
    "fully connected": layer("InnerProduct", "inner_product_param { num_output: 5 }"),
    "fully connected without bias": layer("InnerProduct", "inner_product_param { num_output: 5 bias_term: false }"),
    "relu": layer("ReLU"),
    "leaky relu": layer("ReLU", "relu_param { negative_slope: 0.1 }"),
    "prelu": layer("PReLU"),
    "elu": layer("ELU", "elu_param { alpha: 1 }"),
    "sigmoid": layer("Sigmoid"),
    "tanh": layer("TanH"),
    "dropout": layer("Dropout", "dropout_param { dropout_ratio: 0.3 }"),
    "softmax": layer("Softmax"),
    "softmax of rows": layer("Softmax", "softmax_param { axis: -1 }"),
    "power": layer("Power", "power_param { power: 2 scale: 0.5 shift: 0.1 }"),
    "scaled": layer("Power", "power_param { scale: -2 shift: 0.1 }"),
    "batch norm": layer("BatchNorm", "batch_norm_param { eps: 0.001 }"),
    "scale": layer("Scale", "scale_param { bias_term: true }"),
    "scale without bias": layer("Scale"),
    "lrn across": layer("LRN", "lrn_param { local_size: 3 alpha: 2 beta: 0.6 }"),
    "lrn across few channels": layer("LRN", "lrn_param { local_size: 11 alpha: 2 }"),
    "lrn within": layer("LRN", "lrn_param { local_size: 3 alpha: 2 beta: 0.6 norm_region: WITHIN_CHANNEL }"),
    "flatten": layer("Flatten"),
    "flatten maps": layer("Flatten", "flatten_param { axis: 2 end_axis: 3 }"),
    "reshape": layer("Reshape", "reshape_param { shape { dim: 0 dim: 3 dim: -1 dim: 11 } }"),
    "slices": layer("Slice", "slice_param { axis: 2 slice_point: 1 slice_point: 4 }", tops=("a", "b", "c"))
    + layer("TanH", "", "z", ("c",), ("z",)),
    **{f"max {window}": layer("Pooling", f"pooling_param {{ {window} }}") for window in WINDOWS[:-1]},
    **{f"mean {window}": layer("Pooling", f"pooling_param {{ pool: AVE {window} }}") for window in WINDOWS},
}  # fmt: skip

TWO = convolved("a", "num_output: 6 kernel_size: 3 pad: 1") + convolved("b", "num_output: 6 kernel_size: 1")
SMALL = convolved("s", "num_output: 2 kernel_size: 4")
TOGETHER = {
    "concat": TWO + layer("Concat", "", bottoms=("a", "x", "b")),
    "concat of rows": TWO + layer("Concat", "concat_param { axis: 2 }", bottoms=("a", "b")),
    "sum": TWO + layer("Eltwise", "", bottoms=("a", "b", "x")),
    "weighted sum": TWO + layer("Eltwise", "eltwise_param { coeff: 2 coeff: -0.5 }", bottoms=("a", "b")),
    "weighted sum, the first as it is": TWO + layer("Eltwise", "eltwise_param { coeff: [1, -1] }", bottoms=("a", "b")),
    "product": TWO + layer("Eltwise", "eltwise_param { operation: PROD }", bottoms=("a", "b", "x")),
    "maximum": TWO + layer("Eltwise", "eltwise_param { operation: MAX }", bottoms=("a", "b", "x")),
    "crop": SMALL + layer("Crop", "crop_param { offset: 2 }", bottoms=("x", "s")),
    "crop by axis": SMALL + layer("Crop", "crop_param { axis: 1 offset: 4 offset: 0 offset: 3 }", bottoms=("x", "s")),
    "crop without offset": SMALL + layer("Crop", "", bottoms=("x", "s")),
    "in place": convolved("a", "num_output: 6 kernel_size: 3")
    + layer("ReLU", "", "r", ("a",), ("a",))
    + layer("Dropout", "", "d", ("a",), ("a",))
    + layer("TanH", "", "t", ("a",), ("t",)),
}


@pytest.mark.parametrize("prototxt", [*ALONE.values(), *TOGETHER.values()], ids=[*ALONE, *TOGETHER])
def test_every_layer_is_as_in_opencv(tmp_path: Path, prototxt: str) -> None:
    network = caffe_files.imported(tmp_path, INPUT + prototxt).module
    found = caffe_files.differences(tmp_path, network, picture())
    assert max(found.values()) < 1e-5, found


def alone(folder: Path, kind: str, params: str, weights: list[Array], *inputs: str) -> Array:
    """What one layer makes of the picture, and of its first channels."""
    first = convolved("first", "num_output: 6 kernel_size: 1 bias_term: false")
    given = {"first": [np.eye(6, dtype=np.float32)[:, :, None, None]], "y": weights}
    text = INPUT + first + layer(kind, params, bottoms=inputs or ("x",))
    with torch.no_grad():
        output: Array = caffe_files.imported(folder, text, given).module(torch.from_numpy(picture())).numpy()
    return output


def test_bias(tmp_path: Path) -> None:
    values = np.arange(6, dtype=np.float32)
    found = alone(tmp_path, "Bias", "", [values])
    np.testing.assert_allclose(found, picture() + values[None, :, None, None], rtol=1e-6)


def test_bias_of_two_axes(tmp_path: Path) -> None:
    values = picture(9, 11)
    found = alone(tmp_path, "Bias", "bias_param { axis: -2 num_axes: -1 }", [values])
    np.testing.assert_allclose(found, picture() + values, rtol=1e-6)


@pytest.mark.parametrize(("kind", "expected"), [("Bias", picture() * 2), ("Scale", picture() ** 2)])
def test_a_second_input_takes_the_place_of_what_is_learned(tmp_path: Path, kind: str, expected: Array) -> None:
    param = kind.lower()
    found = alone(tmp_path, kind, f"{param}_param {{ axis: 0 }}", [], "x", "first")
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("kind", "params", "tops", "expected"),
    [
        ("Split", "", ("a", "b"), picture()),
        ("Slice", "", ("a", "b"), picture()[:, 3:]),
        ("Slice", "", ("a", "b", "c"), picture()[:, 4:]),
        ("Slice", "slice_param { slice_dim: 3 slice_point: 4 }", ("a", "b"), picture()[..., 4:]),
        ("Slice", "slice_param { axis: -2 slice_point: [1, 3] }", ("a", "b", "c"), picture()[:, :, 3:]),
    ],
)
def test_the_last_of_several_outputs(tmp_path: Path, kind: str, params: str, tops: tuple[str, ...], expected: Array) -> None:
    text = INPUT + layer(kind, params, tops=tops) + layer("Power", "", "z", (tops[-1],), ("z",))
    network = caffe_files.imported(tmp_path, text).module
    np.testing.assert_array_equal(network(torch.from_numpy(picture())).numpy(), expected)


def test_concat_by_concat_dim(tmp_path: Path) -> None:
    found = alone(tmp_path, "Concat", "concat_param { concat_dim: 3 }", [], "x", "first")
    np.testing.assert_array_equal(found, np.concatenate([picture()] * 2, axis=3))


def test_scale_by_one_number(tmp_path: Path) -> None:
    found = alone(tmp_path, "Scale", "scale_param { num_axes: 0 }", [np.array([3], np.float32)])
    np.testing.assert_allclose(found, 3 * picture(), rtol=1e-6)


def test_scale_by_channel_and_row(tmp_path: Path) -> None:
    weight, bias = picture(6, 9), picture(6, 9) + 1
    found = alone(tmp_path, "Scale", "scale_param { num_axes: 2 bias_term: true }", [weight, bias])
    np.testing.assert_allclose(found, picture() * weight[..., None] + bias[..., None], rtol=1e-5, atol=1e-6)


def test_a_batch_norm_that_has_seen_nothing(tmp_path: Path) -> None:
    zeros = np.zeros(6, np.float32)
    found = alone(tmp_path, "BatchNorm", "batch_norm_param { eps: 0.25 }", [zeros, zeros, np.zeros(1, np.float32)])
    np.testing.assert_allclose(found, picture() * 2, rtol=1e-5)


def test_elu_with_alpha(tmp_path: Path) -> None:
    found = alone(tmp_path, "ELU", "elu_param { alpha: 0.5 }", [])
    np.testing.assert_allclose(found, np.where(picture() > 0, picture(), 0.5 * np.expm1(picture())), rtol=1e-5)


def test_prelu_shared_by_the_channels(tmp_path: Path) -> None:
    found = alone(tmp_path, "PReLU", "prelu_param { channel_shared: true }", [np.array([0.2], np.float32)])
    np.testing.assert_allclose(found, np.where(picture() > 0, picture(), np.float32(0.2) * picture()), rtol=1e-6)


def test_power_that_is_no_integer(tmp_path: Path) -> None:
    found = alone(tmp_path, "Power", "power_param { power: 0.5 shift: 1 }", [])
    np.testing.assert_allclose(found, np.sqrt(picture() + 1), rtol=1e-6)


def test_fully_connected_from_the_last_axis_and_transposed(tmp_path: Path) -> None:
    weight, bias = picture(11, 4), picture(4)
    params = "inner_product_param { num_output: 4 axis: -1 transpose: true }"
    found = alone(tmp_path, "InnerProduct", params, [weight, bias])
    np.testing.assert_allclose(found, picture() @ weight + bias, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("rounding", ["round_mode: FLOOR", "ceil_mode: false"])
def test_pooling_that_rounds_down(tmp_path: Path, rounding: str) -> None:
    found = alone(tmp_path, "Pooling", f"pooling_param {{ kernel_size: 2 stride: 2 {rounding} }}", [])
    np.testing.assert_array_equal(found, functional.max_pool2d(torch.from_numpy(picture()), 2).numpy())


def test_the_largest_of_each_map(tmp_path: Path) -> None:
    found = alone(tmp_path, "Pooling", "pooling_param { global_pooling: true }", [])
    np.testing.assert_array_equal(found, picture().max((2, 3)))


def test_lrn_by_its_formula(tmp_path: Path) -> None:
    found = alone(tmp_path, "LRN", "lrn_param { local_size: 5 alpha: 3 beta: 0.75 k: 2 }", [])
    squares = np.pad(picture() ** 2, ((0, 0), (2, 2), (0, 0), (0, 0)))
    energy = np.stack([squares[:, channel : channel + 5].sum(1) for channel in range(6)], axis=1)
    np.testing.assert_allclose(found, picture() / (2 + 3 / 5 * energy) ** 0.75, rtol=1e-5)


@pytest.mark.parametrize(
    ("params", "shape"),
    [
        ("shape { dim: 0 dim: -1 }", (1, 594)),
        ("shape { dim: -1 dim: 11 } axis: 1", (1, 54, 11)),
        ("shape { dim: 3 dim: 2 } axis: 1 num_axes: 1", (1, 3, 2, 9, 11)),
        ("shape { dim: 1 } axis: -1 num_axes: 0", (1, 6, 9, 11, 1)),
        ("shape { dim: 1 dim: 0 dim: 99 }", (1, 6, 99)),
    ],
)
def test_reshape(tmp_path: Path, params: str, shape: tuple[int, ...]) -> None:
    found = alone(tmp_path, "Reshape", f"reshape_param {{ {params} }}", [])
    assert found.shape == shape
    np.testing.assert_array_equal(found.ravel(), picture().ravel())


def test_several_pictures_at_once(tmp_path: Path) -> None:
    text = INPUT + layer("Reshape", "reshape_param { shape { dim: 1 dim: 594 } }")
    network = caffe_files.imported(tmp_path, text, {"y": []}).module
    assert network(torch.zeros(3, 6, 9, 11)).shape == (3, 594)

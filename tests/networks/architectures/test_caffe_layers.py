"""Every type of layer against OpenCV's Caffe importer, or against a reference worked by hand where OpenCV has none."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from tests.helpers import caffe_files
from tests.helpers.caffe_files import Array, layer

INPUT = 'layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 7 dim: 6 dim: 9 dim: 11 } } }'


def picture(*shape: int) -> Array:
    return np.random.default_rng(5).uniform(-1, 1, shape or (1, 6, 9, 11)).astype(np.float32)


def convolved(name: str, params: str) -> str:
    return layer("Convolution", params, name=name, tops=name)


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
    "square": layer("Convolution", "num_output: 4 kernel_size: 3"),
    "stride and pad": layer("Convolution", "num_output: 4 kernel_size: 3 stride: 2 pad: 1"),
    "rectangular": layer(
        "Convolution", "num_output: 4 kernel_h: 3 kernel_w: 5 stride_h: 2 stride_w: 1 pad_h: 0 pad_w: 2 bias_term: false"),
    "two numbers": layer("Convolution", "num_output: 4 kernel_size: [3, 1] pad: 1 pad: 0 stride: [1, 2]"),
    "groups": layer("Convolution", "num_output: 9 kernel_size: 3 group: 3"),
    "dilation": layer("Convolution", "num_output: 4 kernel_size: 3 dilation: 2 pad: 2"),
    "deconvolution": layer("Deconvolution", "num_output: 4 kernel_size: 4 stride: 2 pad: 1"),
    "deconvolution in groups": layer("Deconvolution", "num_output: 6 kernel_size: 4 stride: 2 group: 6 bias_term: false"),
    "rectangular deconvolution": layer("Deconvolution", "num_output: 4 kernel_h: 2 kernel_w: 3 stride_h: 1 stride_w: 2 group: 2"),
    "fully connected": layer("InnerProduct", "num_output: 5"),
    "fully connected without bias": layer("InnerProduct", "num_output: 5 bias_term: false"),
    "relu": layer("ReLU"),
    "leaky relu": layer("ReLU", "negative_slope: 0.1"),
    "prelu": layer("PReLU"),
    "elu": layer("ELU", "alpha: 1"),
    "sigmoid": layer("Sigmoid"),
    "tanh": layer("TanH"),
    "dropout": layer("Dropout", "dropout_ratio: 0.3"),
    "softmax": layer("Softmax"),
    "softmax of rows": layer("Softmax", "axis: -1"),
    "power": layer("Power", "power: 2 scale: 0.5 shift: 0.1"),
    "scaled": layer("Power", "scale: -2 shift: 0.1"),
    "batch norm": layer("BatchNorm", "eps: 0.001"),
    "scale": layer("Scale", "bias_term: true"),
    "scale without bias": layer("Scale"),
    "lrn across": layer("LRN", "local_size: 3 alpha: 2 beta: 0.6"),
    "lrn across few channels": layer("LRN", "local_size: 11 alpha: 2"),
    "lrn within": layer("LRN", "local_size: 3 alpha: 2 beta: 0.6 norm_region: WITHIN_CHANNEL"),
    "flatten": layer("Flatten"),
    "flatten maps": layer("Flatten", "axis: 2 end_axis: 3"),
    "reshape": layer("Reshape", "shape { dim: 0 dim: 3 dim: -1 dim: 11 }"),
    "slices": layer("Slice", "axis: 2 slice_point: 1 slice_point: 4", tops="a b c")
    + layer("TanH", name="z", bottoms="c", tops="z"),
    **{f"max {window}": layer("Pooling", window) for window in WINDOWS[:-1]},
    **{f"mean {window}": layer("Pooling", f"pool: AVE {window}") for window in WINDOWS},
}  # fmt: skip

TWO = convolved("a", "num_output: 6 kernel_size: 3 pad: 1") + convolved("b", "num_output: 6 kernel_size: 1")
SMALL = convolved("s", "num_output: 2 kernel_size: 4")
TOGETHER = {
    "concat": TWO + layer("Concat", bottoms="a x b"),
    "concat of rows": TWO + layer("Concat", "axis: 2", bottoms="a b"),
    "sum": TWO + layer("Eltwise", bottoms="a b x"),
    "weighted sum": TWO + layer("Eltwise", "coeff: 2 coeff: -0.5", bottoms="a b"),
    "weighted sum, the first as it is": TWO + layer("Eltwise", "coeff: [1, -1]", bottoms="a b"),
    "product": TWO + layer("Eltwise", "operation: PROD", bottoms="a b x"),
    "maximum": TWO + layer("Eltwise", "operation: MAX", bottoms="a b x"),
    "crop": SMALL + layer("Crop", "offset: 2", bottoms="x s"),
    "crop by axis": SMALL + layer("Crop", "axis: 1 offset: 4 offset: 0 offset: 3", bottoms="x s"),
    "crop without offset": SMALL + layer("Crop", bottoms="x s"),
    "in place": convolved("a", "num_output: 6 kernel_size: 3")
    + layer("ReLU", name="r", bottoms="a", tops="a")
    + layer("Dropout", name="d", bottoms="a", tops="a")
    + layer("TanH", name="t", bottoms="a", tops="t"),
}


@pytest.mark.parametrize("prototxt", [*ALONE.values(), *TOGETHER.values()], ids=[*ALONE, *TOGETHER])
def test_every_layer_is_as_in_opencv(tmp_path: Path, prototxt: str) -> None:
    network = caffe_files.imported(tmp_path, INPUT + prototxt).module
    found = caffe_files.differences(tmp_path, network, picture())
    assert max(found.values()) < 1e-5, found


def alone(folder: Path, kind: str, params: str, weights: list[Array], inputs: str = "x") -> Array:
    """What one layer makes of the picture, and of its first channels."""
    first = convolved("first", "num_output: 6 kernel_size: 1 bias_term: false")
    given = {"first": [np.eye(6, dtype=np.float32)[:, :, None, None]], "y": weights}
    text = INPUT + first + layer(kind, params, bottoms=inputs)
    with torch.no_grad():
        output: Array = caffe_files.imported(folder, text, given).module(torch.from_numpy(picture())).numpy()
    return output


@pytest.mark.parametrize(("kind", "expected"), [("Bias", picture() * 2), ("Scale", picture() ** 2)])
def test_a_second_input_takes_the_place_of_what_is_learned(tmp_path: Path, kind: str, expected: Array) -> None:
    found = alone(tmp_path, kind, "axis: 0", [], "x first")
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("kind", "params", "tops", "expected"),
    [
        ("Split", "", "a b", picture()),
        ("Slice", "", "a b", picture()[:, 3:]),
        ("Slice", "", "a b c", picture()[:, 4:]),
        ("Slice", "slice_dim: 3 slice_point: 4", "a b", picture()[..., 4:]),
        ("Slice", "axis: -2 slice_point: [1, 3]", "a b c", picture()[:, :, 3:]),
    ],
)
def test_the_last_of_several_outputs(tmp_path: Path, kind: str, params: str, tops: str, expected: Array) -> None:
    text = INPUT + layer(kind, params, tops=tops) + layer("Power", name="z", bottoms=tops[-1], tops="z")
    network = caffe_files.imported(tmp_path, text).module
    np.testing.assert_array_equal(network(torch.from_numpy(picture())).numpy(), expected)


X = picture()
ZEROS = np.zeros(6, np.float32)
CHANNELS = np.arange(6, dtype=np.float32)
ENERGY = np.stack([np.pad(X**2, ((0, 0), (2, 2), (0, 0), (0, 0)))[:, first : first + 5].sum(1) for first in range(6)], axis=1)


@pytest.mark.parametrize(
    ("kind", "params", "weights", "expected"),
    [
        ("Bias", "", [CHANNELS], X + CHANNELS[None, :, None, None]),
        ("Bias", "axis: -2 num_axes: -1", [picture(9, 11)], X + picture(9, 11)),
        ("Scale", "num_axes: 0", [np.array([3], np.float32)], 3 * X),
        ("Scale", "num_axes: 2 bias_term: true", [picture(6, 9), picture(6, 9) + 1], (X + 1) * picture(6, 9)[..., None] + 1),
        ("BatchNorm", "eps: 0.25", [ZEROS, ZEROS, np.zeros(1, np.float32)], X * 2),  # which has seen nothing
        ("ELU", "alpha: 0.5", [], np.where(X > 0, X, 0.5 * np.expm1(X))),
        ("PReLU", "channel_shared: true", [np.array([0.2], np.float32)], np.where(X > 0, X, np.float32(0.2) * X)),
        ("Power", "power: 0.5 shift: 1", [], np.sqrt(X + 1)),
        ("InnerProduct", "num_output: 4 axis: -1 transpose: true", [picture(11, 4), picture(4)], X @ picture(11, 4) + picture(4)),
        ("Pooling", "kernel_size: 2 stride: 2 round_mode: FLOOR", [], functional.max_pool2d(torch.from_numpy(X), 2).numpy()),
        ("Pooling", "kernel_size: 2 stride: 2 ceil_mode: false", [], functional.max_pool2d(torch.from_numpy(X), 2).numpy()),
        ("Pooling", "global_pooling: true", [], X.max((2, 3))),
        ("LRN", "local_size: 5 alpha: 3 beta: 0.75 k: 2", [], X / (2 + 3 / 5 * ENERGY) ** 0.75),
    ],
)
def test_a_layer_by_its_formula(tmp_path: Path, kind: str, params: str, weights: list[Array], expected: Array) -> None:
    np.testing.assert_allclose(alone(tmp_path, kind, params, weights), expected, rtol=1e-5, atol=1e-6)


def test_concat_by_concat_dim(tmp_path: Path) -> None:
    np.testing.assert_array_equal(alone(tmp_path, "Concat", "concat_dim: 3", [], "x first"), np.concatenate([X] * 2, axis=3))


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
    found = alone(tmp_path, "Reshape", params, [])
    assert found.shape == shape
    np.testing.assert_array_equal(found.ravel(), picture().ravel())


def test_several_pictures_at_once(tmp_path: Path) -> None:
    text = INPUT + layer("Reshape", "shape { dim: 1 dim: 594 }")
    network = caffe_files.imported(tmp_path, text, {"y": []}).module
    assert network(torch.zeros(3, 6, 9, 11)).shape == (3, 594)

"""Whole networks of Caffe: real ones, and small ones that are written here."""

import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from livecnn.app.run import RunOptions, run
from livecnn.errors import ModelError
from livecnn.networks import bundle as bundles
from livecnn.networks import pipelines
from livecnn.networks.importers import Imported
from livecnn.networks.importers.caffe import CaffeImporter
from livecnn.networks.importers.caffe_format import parse
from livecnn.networks.inspection.probe import Probe
from livecnn.networks.training import mnist
from tests.helpers import caffe_files
from tests.helpers.caffe_files import Array, blob, field, layer, varint

NETWORKS = (
    "caffe/lenet.prototxt",
    "caffe/alexnet.prototxt",
    "caffe/googlenet.prototxt",
    "age/levi_hassner_age.prototxt",
    "age/dex_age.prototxt",
)
LAYOUT = """\
figure: {size: [640, 360]}
layout: |
  conv1 ip1
  patch scores
panels:
  conv1: {kind: feature_maps, layer: conv1, channels: 0-7}
  ip1: {kind: neurons, layer: ip1}
  patch: {kind: patch}
  scores: {kind: scores}
"""
TRAINED = """
name: "small"
layer { name: "mnist" type: "Data" top: "data" top: "label" include { phase: TRAIN }
  transform_param { scale: 2 crop_size: 99 mirror: true } data_param { source: "train" batch_size: 64 backend: LMDB } }
layer { name: "mnist" type: "Data" top: "data" top: "label" include { phase: TEST }
  transform_param { scale: 0.5 crop_size: 8 mean_value: 10 mean_value: 20 mean_value: 30 } data_param { source: "test" } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv" param { lr_mult: 1 } param { lr_mult: 2 decay_mult: 0 }
  convolution_param { num_output: 4 kernel_size: 8 weight_filler { type: "gaussian" std: 0.01 } engine: CAFFE } }
layer { name: "noise" type: "Dropout" bottom: "conv" top: "noisy" exclude { phase: TEST } }
layer { name: "strict" type: "Flatten" bottom: "conv" top: "strict" include { phase: TEST stage: "deploy" } }
layer { name: "late" type: "Flatten" bottom: "conv" top: "late" include { min_level: 1 } }
layer { name: "flat" type: "Flatten" bottom: "conv" top: "flat" include { phase: TEST not_stage: "deploy" max_level: 3 } }
layer { name: "accuracy" type: "Accuracy" bottom: "flat" bottom: "label" top: "accuracy" include { phase: TEST } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "flat" bottom: "label" top: "loss" loss_weight: 1 }
layer { name: "silence" type: "Silence" bottom: "label" }
"""
TEXT = """\
name: "net" input: "data" input_dim: [1, 3, 8, 8]
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
  convolution_param { num_output: 4 kernel_size: 3 pad: 1 group: 1 } }
layer { name: "norm" type: "BatchNorm" bottom: "conv" top: "conv" batch_norm_param { eps: 1e-3 } }
layer { name: "pool" type: "Pooling" bottom: "conv" top: "pool" pooling_param { pool: AVE kernel_size: 2 stride: 2 } }
layer { name: "cut" type: "Slice" bottom: "pool" top: "a" top: "b" slice_param { axis: 1 slice_point: 2 } }
layer { name: "sum" type: "Eltwise" bottom: "a" bottom: "b" top: "sum" eltwise_param { coeff: 1 coeff: -1 } }
layer { name: "flat" type: "Reshape" bottom: "sum" top: "flat" reshape_param { shape { dim: 0 dim: -1 } } }
layer { name: "fc" type: "InnerProduct" bottom: "flat" top: "fc" inner_product_param { num_output: 5 } }
layer { name: "prob" type: "Softmax" bottom: "fc" top: "prob" }
"""
WEIGHTS = caffe_files.random_weights(TEXT)
LAYER = layer("Convolution", "num_output: 4 kernel_size: 3", name="conv", bottoms="data", tops="conv")
HEAD = 'input: "data" input_dim: [1, 3, 8, 8] '


def network(input_text: str = 'input: "data" input_dim: [1, 3, 8, 8]', layers: str = "") -> str:
    return f"{input_text} " + (
        layers
        or layer("Convolution", "num_output: 4 kernel_size: 8", name="conv", bottoms="data", tops="conv")
        + layer("Softmax", name="prob", bottoms="conv", tops="prob")
    )


def spec_of(found: Imported) -> dict[str, Any]:
    assert found.input is not None
    return dict(found.input)


def again(found: Imported) -> nn.Module:
    """The same network from what a bundle keeps of it."""
    module = bundles.registry.find("networks.architectures", found.architecture, ModelError)(**found.options)
    module.load_state_dict(found.module.state_dict())
    return module.eval()


@pytest.mark.parametrize("name", NETWORKS)
def test_every_layer_of_a_real_network_is_as_in_opencv(shared: Path, tmp_path: Path, name: str) -> None:
    text = (shared / name).read_text().replace("num_output: 4096", "num_output: 64")
    if "dex" in name:  # whose convolutions are those of VGG, the slowest
        text = text.replace(" 224", " 112")
    found = caffe_files.imported(tmp_path, text)
    x = np.random.default_rng(1).uniform(-1, 1, (1, *pipelines.make(spec_of(found)).shape)).astype(np.float32)
    apart = caffe_files.differences(tmp_path, found.module, x)
    assert len(apart) >= 8
    assert max(apart.values()) < 1e-4, apart
    assert set(apart) == {layer for layer in re.findall(r'name: "(.*?)"', text)[1:] if layer not in ("data", "input")}
    assert torch.equal(again(found)(torch.from_numpy(x)), found.module(torch.from_numpy(x)))


@pytest.fixture(scope="module")
def lenet(shared: Path) -> Imported:
    return CaffeImporter()([shared / "caffe" / "lenet.prototxt", shared / "caffe" / "lenet_iter_10000.caffemodel"])


def test_lenet_classifies_mnist(shared: Path, lenet: Imported) -> None:
    images, labels = mnist.load(shared / "mnist", "test", mirrors=())
    pipeline = pipelines.make({**spec_of(lenet), "std": [256]})  # its training scaled pictures by 1/256
    pictures = torch.cat([pipeline(np.repeat(image[..., None], 3, axis=2)).tensor for image in images[:3000]])
    answers = lenet.module(pictures).argmax(1).numpy()
    assert (answers == labels[:3000]).mean() == pytest.approx(0.985, abs=0.0005)


def test_hooks_see_blobs_by_caffes_names(lenet: Imported) -> None:
    x = torch.rand(1, 1, 28, 28)
    with Probe(lenet.module, ["conv1", "ip1", "relu1", "prob"]) as probe:
        scores, seen = probe(x)
    assert seen["conv1"].shape == (1, 20, 24, 24)
    assert seen["ip1"].min() == 0  # Caffe's ReLU has overwritten the blob
    assert torch.equal(seen["ip1"], seen["relu1"])
    assert torch.equal(seen["prob"], scores)


def test_a_bundle_of_lenet_is_loaded_and_shown(lenet: Imported, tmp_path: Path) -> None:
    card = {
        "name": "lenet-caffe", "architecture": lenet.architecture, "options": lenet.options, "input": lenet.input,
        "classes": list("0123456789"), "licence": "unrestricted", "source": "CaffeMNIST",
    }  # fmt: skip
    folder = bundles.save(tmp_path / "lenet-caffe", lenet.module, card)
    bundle = bundles.load(folder)
    x = torch.rand(2, 1, 28, 28)
    assert torch.equal(bundle.module(x), lenet.module(x))
    assert bundle.shapes()["pool2"] == (1, 50, 4, 4)
    (tmp_path / "caffe.yaml").write_text(LAYOUT)
    scores = tmp_path / "scores.csv"
    run(RunOptions(config=str(tmp_path / "caffe.yaml"), model=str(folder), source="demo", headless=True, frames=2, scores=scores))
    assert len(scores.read_text().splitlines()) == 3


def test_the_test_phase_of_a_network_for_training(tmp_path: Path) -> None:
    kernel = np.random.default_rng(0).standard_normal((4, 3, 8, 8), np.float32)
    bias = np.arange(4, dtype=np.float32)
    found = caffe_files.imported(tmp_path, TRAINED, {"conv": [kernel, bias], "mnist": [], "loss": []})
    assert list(dict(found.module.named_children())) == ["conv", "flat", "loss"]
    assert spec_of(found) == {
        "kind": "plain", "size": [8, 8], "channels": 3, "scale": 255, "order": "BGR", "mean": [10, 20, 30], "std": [2],
    }  # fmt: skip
    x = torch.rand(1, 3, 8, 8)
    expected = (torch.from_numpy(kernel) * x).sum((1, 2, 3)) + torch.from_numpy(bias)
    torch.testing.assert_close(found.module(x), expected.softmax(0)[None])


def test_colours_mean_and_scale_are_those_of_caffe(tmp_path: Path) -> None:
    identity = np.eye(3, dtype=np.float32)[:, :, None, None]
    text = TRAINED.replace("num_output: 4 kernel_size: 8", "num_output: 3 kernel_size: 1 bias_term: false")
    found = caffe_files.imported(tmp_path, text, {"conv": [identity]})
    shot = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    tensor = pipelines.make(spec_of(found))(shot).tensor
    bgr = shot[..., ::-1].astype(np.float32)
    np.testing.assert_allclose(tensor[0].permute(1, 2, 0).numpy(), (bgr - [10, 20, 30]) * 0.5, rtol=1e-5)


def test_sigmoid_losses_become_sigmoids_and_names_of_blobs_may_lack(tmp_path: Path) -> None:
    layers = (
        layer("InnerProduct", "num_output: 2", name="fc", bottoms="data", tops="fc")
        + layer("EuclideanLoss", name="regression", bottoms="fc label", tops="distance")
        + layer("SigmoidCrossEntropyLoss", name="loss", bottoms="fc label", tops="")
    )
    found = caffe_files.imported(tmp_path, network(layers=layers))
    assert isinstance(found.module.get_submodule("loss"), nn.Sigmoid)
    assert found.module(torch.rand(1, 3, 8, 8)).shape == (1, 2)


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        ('input: "data" input_dim: 10 input_dim: 3 input_dim: 9 input_dim: 8', (3, 9, 8)),
        ('input: "data" input: "label" input_dim: [1, 3, 8, 8, 1, 1, 1, 1]', (3, 8, 8)),
        ('input: "data" input_shape { dim: 10 dim: 1 dim: 8 dim: 9 }', (1, 8, 9)),
        ('layer { name: "in" type: "Input" top: "data" input_param { shape: < dim: [1, 3, 8, 8] > } }', (3, 8, 8)),
        ('layer { name: "in" type: "DummyData" top: "data" dummy_data_param { shape { dim: [5, 3, 8, 8] } } }', (3, 8, 8)),
        ('layer { name: "m" type: "MemoryData" top: "data" top: "label" memory_data_param '
         '{ batch_size: 9 channels: 1 height: 8 width: 12 } }', (1, 8, 12)),
        ('input: "data" input_dim: [1, 1, 8, 9] layer { name: "d" type: "Data" top: "data" top: "label" }', (1, 8, 9)),
    ],
)  # fmt: skip
def test_ways_to_tell_the_input(tmp_path: Path, text: str, shape: tuple[int, ...]) -> None:
    found = caffe_files.imported(tmp_path, network(text))
    assert pipelines.make(spec_of(found)).shape == shape
    assert found.module(torch.zeros(1, *shape)).shape[:2] == (1, 4)


def test_an_input_that_is_no_picture_is_left_to_the_user(tmp_path: Path) -> None:
    found = caffe_files.imported(tmp_path, network('input: "data" input_dim: [1, 4, 8, 8]'))
    assert found.input is None
    assert found.module(torch.zeros(1, 4, 8, 8)).shape == (1, 4)


@pytest.mark.parametrize(("first", "channels"), [("Convolution", 6), ("InnerProduct", 3)])
def test_where_only_a_crop_is_told_the_filters_tell_the_channels(tmp_path: Path, first: str, channels: int) -> None:
    data = 'layers { name: "d" type: IMAGE_DATA top: "data" image_data_param { crop_size: 8 scale: 0.25 } }'
    kind, param = {
        "Convolution": ("CONVOLUTION", "convolution_param { num_output: 2 kernel_size: 8 group: 2 }"),
        "InnerProduct": ("INNER_PRODUCT", "inner_product_param { num_output: 2 }"),
    }[first]
    layers = f'layers {{ name: "y" type: {kind} bottom: "data" top: "y" {param} }}'
    weight = np.zeros((2, 3, 8, 8) if first == "Convolution" else (2, 192), np.float32)
    found = caffe_files.imported(tmp_path, data + layers, {"y": [weight, np.zeros(2, np.float32)]})
    assert found.options["inputs"] == {"data": [1, channels, 8, 8]}
    if channels == 3:
        assert spec_of(found)["std"] == [4]


def test_names_that_modules_cannot_have(tmp_path: Path) -> None:
    layers = "".join(layer("PReLU", name=name, bottoms="data", tops="data") for name in ("v1.5/a", "type", "mean", "blobs"))
    found = caffe_files.imported(tmp_path, network(layers=layers))
    assert list(dict(found.module.named_children())) == ["v1_5/a", "type_", "mean_", "blobs_"]
    assert torch.equal(again(found)(torch.ones(1, 3, 8, 8)), torch.ones(1, 3, 8, 8))


def test_names_that_are_shared_or_missing(tmp_path: Path) -> None:
    """Caffe runs such layers; both of a name get its weights."""
    layers = layer("ReLU", name="r", bottoms="data", tops="a") + layer("ReLU", name="r", bottoms="a", tops="b")
    layers += layer("Sigmoid", name="", bottoms="b", tops="c")
    twice = "".join(layer("PReLU", name="p", bottoms=before, tops=after) for before, after in (("c", "d"), ("d", "e")))
    found = caffe_files.imported(tmp_path, network(layers=layers + twice), {"p": [np.float32([0.5, 0.25, 0.125])]})
    assert list(dict(found.module.named_children())) == ["r", "r_2", "sigmoid", "p", "p_2"]
    x = torch.randn(1, 3, 8, 8)
    torch.testing.assert_close(found.module(x), x.relu().sigmoid())
    assert torch.equal(found.module.get_parameter("p.weight"), found.module.get_parameter("p_2.weight"))
    assert torch.equal(again(found)(x), found.module(x))


def with_mean(folder: Path, mean: Array, suffix: str, text: str = "", weights: dict[str, list[Array]] | None = None) -> Imported:
    path = folder / f"mean{suffix}"
    if suffix == ".npy":
        np.save(path, mean)
    else:
        path.write_bytes(caffe_files.blob(mean, legacy=True))
    return caffe_files.imported(folder, text or network(), weights, path)


@pytest.mark.parametrize("suffix", [".binaryproto", ".npy"])
@pytest.mark.parametrize("scale", [1, 0.5])
def test_the_middle_of_a_mean_picture_is_part_of_the_network(tmp_path: Path, suffix: str, scale: float) -> None:
    mean = np.random.default_rng(0).uniform(0, 255, (3, 10, 13)).astype(np.float32)
    text = TRAINED.replace("scale: 0.5", f"scale: {scale}").replace("mean_value: 10 mean_value: 20 mean_value: 30", "")
    text = text.replace("SoftmaxWithLoss", "EuclideanLoss")
    weights = {"conv": [np.ones((4, 3, 8, 8), np.float32) * np.float32(0.001), np.zeros(4, np.float32)]}
    bare = caffe_files.imported(tmp_path, text, weights)
    found = with_mean(tmp_path, mean, suffix, text, weights)
    assert {"mean", "std"}.isdisjoint(spec_of(found))
    x = torch.rand(2, 3, 8, 8) * 255
    expected = bare.module((x - torch.from_numpy(mean[:, 1:9, 2:10])) * scale)
    torch.testing.assert_close(found.module(x), expected)
    torch.testing.assert_close(again(found)(x), expected)


def test_the_mean_picture_of_a_real_network(shared: Path, tmp_path: Path) -> None:
    text = (shared / "age" / "levi_hassner_age.prototxt").read_text()
    found = caffe_files.imported(tmp_path, text, None, shared / "age" / "levi_hassner_mean.binaryproto")
    mean = found.module.state_dict()["mean"]
    assert mean.shape == (1, 3, 227, 227)
    assert 40 < mean.min() < mean.max() < 200  # faces, in the mean


@pytest.mark.parametrize(
    ("mean", "expected"),
    [([104, 117, 123], [104, 117, 123]), ([[[104]], [[117]], [[123]]], [104, 117, 123]), ([7], [7])],
)
def test_a_mean_by_channel_is_part_of_the_input(tmp_path: Path, mean: list[Any], expected: list[float]) -> None:
    found = with_mean(tmp_path, np.array(mean, np.float64), ".npy")
    assert spec_of(found)["mean"] == expected
    assert "mean_scale" not in found.options


@pytest.mark.parametrize(
    ("mean", "suffix", "message"),
    [
        (np.zeros((3, 4, 4)), ".npy", r"mean\.npy: a mean of 3x4x4; the network's input is 3x8x8, which it has to cover"),
        (np.zeros((1, 9, 9)), ".npy", r"a mean of 1x9x9"),
        (np.zeros((2, 3, 9, 9)), ".npy", r"mean\.npy: found 2x3x9x9; needed: finite numbers, one a channel, or C x H x W"),
        (np.full(3, np.nan), ".npy", r"needed: finite numbers"),
        (np.zeros(2), ".npy", r"mean_value: found 2; allowed: 1 or 3 finite numbers"),
        (np.zeros(0), ".npy", r"mean\.npy: not a sound NumPy array: numbers are needed"),
        (np.array(["a"]), ".npy", r"mean\.npy: not a sound NumPy array: numbers are needed"),
        (np.array([{}]), ".npy", r"mean\.npy: not a sound NumPy array"),
        (np.full((3, 8, 8), np.inf, np.float32), ".binaryproto", r"mean\.binaryproto: found 3x8x8; needed: finite"),
    ],
)
def test_means_that_do_not_suit(tmp_path: Path, mean: Array, suffix: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        with_mean(tmp_path, mean, suffix)


def test_labels_of_the_classes(tmp_path: Path) -> None:
    path = tmp_path / "synset_words.txt"
    path.write_text("n01440764 tench, Tinca tinca\nplain cat\n\nn2 dog\n  fish \n")
    assert caffe_files.imported(tmp_path, network(), None, path).classes == ("tench, Tinca tinca", "plain cat", "n2 dog", "fish")
    assert caffe_files.imported(tmp_path, network()).classes == ()


def test_weights_of_float64_and_of_older_shapes(tmp_path: Path) -> None:
    text = network(layers=layer("InnerProduct", "num_output: 2", bottoms="data"))
    weight, bias = np.random.default_rng(0).standard_normal((1, 1, 2, 192)), np.ones((1, 1, 1, 2))
    module = caffe_files.imported(tmp_path, text, {"y": [weight, bias]}).module
    x = np.linspace(0, 1, 192, dtype=np.float32)
    found = module(torch.from_numpy(x).reshape(1, 3, 8, 8))
    np.testing.assert_allclose(found.numpy()[0], weight[0, 0] @ x + 1, rtol=1e-4)


def test_files_of_each_role(tmp_path: Path) -> None:
    one, other = tmp_path / "a.prototxt", tmp_path / "b.prototxt"
    with pytest.raises(ModelError, match=r"\.caffemodel: found none; one is needed"):
        CaffeImporter()([one])
    with pytest.raises(ModelError, match=r"\.prototxt: found .*a\.prototxt, .*b\.prototxt; one is needed"):
        CaffeImporter()([one, other, tmp_path / "a.caffemodel"])
    with pytest.raises(ModelError, match=r"\.binaryproto or \.npy: found .*; one is needed"):
        CaffeImporter()([one, tmp_path / "a.caffemodel", tmp_path / "m.npy", tmp_path / "m.binaryproto"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("a: 1 a: -2, a: 1.5; a: 2e3 a: .5f a: 3.", {"a": [1, -2, 1.5, 2000.0, 0.5, 3.0]}),
        ("a: [1, 2] a: [] # rest { \n b: true c: false d: MAX", {"a": [1, 2], "b": [True], "c": [False], "d": ["MAX"]}),
        ("""a: "x\\"y\\n" 'it' b: 'q"'""", {"a": ['x"y\nit'], "b": ['q"']}),
        ("m { n < a: 1 > } m: { } m: [{ b: 2 }, <>]", {"m": [{"n": [{"a": [1]}]}, {}, {"b": [2]}, {}]}),
        ("a: 1e999", {"a": [float("inf")]}),
    ],
)
def test_the_text_format(text: str, expected: dict[str, Any]) -> None:
    assert parse(text, "net.prototxt") == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a", r"^net\.prototxt:1: found the end; ':' or '\{' is needed$"),
        ("a:\n\n", r":3: found the end; a value is needed"),
        ("a: 1\nm {", r":2: found the end; the name of a field is needed"),
        ("a: 1 }", r":1: found '\}'; the name of a field is needed"),
        ("m { > ", r"found '>'"),
        ("a: [1 2]", r"found '2'; ',' or '\]' is needed"),
        ("a: [1, 2", r"found the end; ',' or '\]' is needed"),
        ("a [1]", r"found '\['; ':' or '\{' is needed"),
        ('a: "open\n"', r":1: found '\"', which no prototxt has there"),
        ("a: 1\n@", r":2: found '@', which no prototxt has there"),
        ("[ext]: 1", r"found '\['; the name of a field is needed"),
        ("m {" * 30 + "}" * 30, r"found '\{'; at most 16 levels is needed"),
        ("m {" * 100_000, r"at most 16 levels"),
    ],
)
def test_mistakes_in_the_text_are_told_by_line(text: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        parse(text, "net.prototxt")


def net(kind: str, own: str = "", more: str = "", *, bottoms: str = "data", tops: str = "y") -> str:
    return HEAD + layer(kind, own, more, name="L", bottoms=bottoms, tops=tops)


def data(fields: str) -> str:
    return layer("Data", more=f"transform_param {{ crop_size: 8 {fields} }}", bottoms="", tops="data") + LAYER


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"net\.prototxt: found no layers; a prototxt has either layer or layers$"),
        ("layer { } layers { }", r"found layer and layers"),
        ("layer: 3", r"a layer: found 3; allowed: \{ … \}"),
        ("layers { layer { name: 'x' } }", r"oldest format; Caffe's upgrade_net_proto_text brings it up to date"),
        (net("Permute"), r"layer 'L' \(Permute\): this type is not supported; allowed: Convolution, .*Crop$"),
        (net("Convolutional"), r"this type is not supported; did you mean 'Convolution'\?"),
        (net("ReLU", more="rellu_param { }"), r"unknown field 'rellu_param'; did you mean 'relu_param'"),
        (net("ReLU", more="colour: 1"), r"layer 'L' \(ReLU\): unknown field 'colour'"),
        (net("ReLU", "negative_slop: 1"), r"unknown field 'negative_slop'; did you mean 'negative_slope'"),
        (net("ReLU", "name: 1"), r"relu_param: unknown field 'name'"),
        (net("ReLU", "negative_slope: 1e999"), r"negative_slope: found inf; allowed: a finite"),
        (net("ReLU", more="relu_param: 1"), r"relu_param: found 1; allowed: one message in braces"),
        (net("ReLU", more="relu_param { } relu_param { }"), r"relu_param: found \{\}, \{\}; allowed: one message in braces"),
        (net("ReLU", more="bottom: 3", bottoms=""), r"found 3 as a blob's name; a text is needed"),
        (net("ReLU", more="bottom: { }", bottoms=""), r"found \{\} as a blob's name"),
        (net("ReLU", bottoms="datum data"), r"found 2 bottoms; allowed: 1"),
        (net("Eltwise"), r"found 1 bottoms; allowed: 2 to 1000"),
        (net("Eltwise", bottoms="data y"), r"\(Eltwise\): bottom 'y': no layer before gives it; allowed: data$"),
        (net("ReLU", tops=""), r"layer 'L' \(ReLU\): top: "),
        (net("ReLU", tops="a b"), r"found 2 tops; it gives 1"),
        (net("Convolution"), r"layer 'L' \(Convolution\): num_output: nothing found; it is needed"),
        (net("Convolution", "num_output: 4"), r"layer 'L' \(Convolution\): kernel_size: nothing found"),
        (net("Convolution", "num_output: 4 kernel_size: 0"), r"kernel_size: found 0; allowed: 1 or more"),
        (net("Convolution", "num_output: 4 kernel_size: [1, 2, 3]"), r"kernel_size: found 3 numbers"),
        (net("Convolution", "num_output: 4 kernel_size: 3.5"), r"kernel_size: found 3\.5; allowed: a valid int"),
        (net("Convolution", "num_output: 4 kernel_size: 9"), r"layer 'L' \(Convolution\): .*[Kk]ernel size"),
        (net("Convolution", "num_output: 4 kernel_size: 1 group: 2"), r"group: found 2, which does not divide 3"),
        (net("Convolution", "num_output: 4 kernel_size: 3 pad: 9999999"), r"its output: .* are more than"),
        (net("InnerProduct", "num_output: 16000000"), r"all weights: \d+ are more than 268435456"),
        (net("InnerProduct", "num_output: 4 axis: 0"), r"axis: found 0, which mixes pictures"),
        (net("InnerProduct", "num_output: 4 axis: 4"), r"axis: found 4; its input is 1x3x8x8"),
        (net("Pooling", "kernel_size: 2 pool: STOCHASTIC"), r"pool: found 'STOCHASTIC'; allowed: MAX, AVE"),
        (net("Pooling", "kernel_size: 3 pad: 2"), r"pad: found 2; allowed: at most half of kernel_size"),
        (net("Pooling", "kernel_size: 1 stride: 4"), r"stride: found 4, so that the last window lies"),
        (net("LRN", "local_size: 4"), r"local_size: found 4; allowed: an odd number"),
        (net("BatchNorm", "use_global_stats: false"), r"use_global_stats: found False; allowed: "),
        (net("Scale", "axis: 0"), r"axis: found 0, which tells pictures apart"),
        (net("Scale", "bias_term: true axis: 0", bottoms="data data"), r"bias_term: found with"),
        (net("Bias", bottoms="data data"), r"its inputs are 1x3x8x8 and 1x3x8x8, which do not fit from axis 1"),
        (net("Eltwise", "coeff: 1", bottoms="data data"), r"coeff: found 1 numbers"),
        (net("Slice", tops="a b"), r"found 2 tops for a length of 3; equal parts are needed"),
        (net("Slice", "slice_point: 3", tops="a b"), r"slice_point: found 3; allowed: 1 rising"),
        (net("Flatten", "axis: 0"), r"axis: found 0, which mixes pictures"),
        (net("Flatten", "axis: 3 end_axis: 1"), r"layer 'L' \(Flatten\): "),
        (net("Reshape", "shape { dim: 7 dim: -1 }"), r"layer 'L' \(Reshape\): "),
        (net("Reshape", "shape { dims: 7 }"), r"shape\.dims: unknown key"),
        (net("Reshape", "axis: 5"), r"axis: found 5, num_axes: -1; its input is 1x3x8x8"),
        (net("Crop", "offset: 1", bottoms="data data"), r"does not lie inside 1x3x8x8"),
        (net("Crop", "offset: [1, 2, 3]", bottoms="data data"), r"offset: found 3 numbers"),
        (HEAD + LAYER.replace('name: "conv"', 'name: "a" name: "b"'), r"a layer: name: found 'a', 'b'; allowed: one text"),
        (LAYER, r"its inputs: found none; one is needed: Input, input_shape or input_dim"),
        (layer("Data", bottoms="", tops="data") + LAYER, r"input 'data': its size is not told; needed: an Input layer"),
        ('input: "data" input_dim: [1, "x", 8, 8]' + LAYER, r"inputs\.data\.1: found 'x'; allowed: a valid integer"),
        ('input: "data" input_dim: [1, 3, 99999, 99999]' + LAYER, r"input 'data': 1x3x99999x99999 are more than"),
        (HEAD + LAYER + layer("Eltwise", bottoms="conv data"), r"inputs are 1x4x6x6, 1x3"),
        (HEAD + LAYER + layer("Concat", bottoms="conv data"), r"differ only along axis 1"),
        (HEAD + layer("Flatten", bottoms="data", tops="f") + LAYER.replace('bottom: "data"', 'bottom: "f"'),
         r"layer 'conv' \(Convolution\): its input is 1x192; four axes are needed"),
        (net("ReLU", more="include { phase: 1 }"), r"layer 'L': phase: found 1; allowed: one text"),
        (data('mean_file: "m.bin"'), r"its pictures are less the mean in 'm\.bin': give that file, too"),
        (data("mean_value: 1e999"), r"mean_value: found 1; allowed: 1 or 3 finite numbers"),
        (data("scale: 0"), r"transform_param: scale: found 0\.0; allowed: a number above 0"),
    ],
)  # fmt: skip
def test_networks_that_are_not_supported_or_wrong(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ModelError, match=r"^\S*net\.prototxt: .*" + message.removeprefix(r"net\.prototxt: ")) as raised:
        caffe_files.imported(tmp_path, text, {"conv": [np.zeros((4, 3, 3, 3), np.float32), np.zeros(4, np.float32)]})
    assert "\ufffd" not in str(raised.value)  # which stands for the end of a line


def zeros(*shape: int) -> Array:
    return np.zeros(shape, np.float32)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"other": [zeros(1)]}, r"layer 'conv': found 0 blobs; 2 are needed$"),
        ({"conv": [zeros(4, 3, 3, 3)]}, r"layer 'conv': found 1 blobs; 2 are needed"),
        ({"conv": [zeros(4, 1, 3, 3), zeros(4)]}, r"layer 'conv': its weight are 4x1x3x3; 4x3x3x3 are needed"),
        ({"conv": [zeros(4, 3, 3, 3), zeros(5)]}, r"layer 'conv': its bias are 5; 4 are needed"),
    ],
)
def test_weights_of_another_network(tmp_path: Path, weights: dict[str, list[Array]], message: str) -> None:
    with pytest.raises(ModelError, match=r"net\.caffemodel: " + message):
        caffe_files.imported(tmp_path, HEAD + LAYER, weights)


def named(content: bytes, *, v1: bool = False) -> bytes:
    return field(2 if v1 else 100, field(4 if v1 else 1, b"conv") + content)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"no layers in it; a caffemodel is needed"),
        (field(1, b"net"), r"no layers in it"),
        (b"\x89PNG\r\n\x1a\n" * 9, r"net\.caffemodel: "),
        (b"\xff" * 30, r"not a sound protocol buffer"),
        (b"\x0b\x00", r"not a sound protocol buffer"),
        (b"\x80", r"it is cut off, or not a protocol buffer"),
        (varint(100 << 3 | 2) + varint(1 << 40), r"it is cut off, or not a protocol buffer"),
        (named(field(7, blob(zeros(4))))[:-3], r"it is cut off"),
        (named(field(7, field(7, field(1, varint(5))) + field(5, b"\0" * 16))), r"blob 0: its shape is 5, but there are 16"),
        (named(field(7, field(7, field(1, varint(1 << 62) * 2)) + field(5, b"\0" * 16))), r"blob 0: its shape is 46"),
        (named(field(7, field(7, field(1, varint(1) * 33)) + field(5, b"\0" * 4))), r"its shape is 1x1x1x1x1x1x1x1, but"),
        (named(field(7, field(7, field(1, 0)) + field(5, b""))), r"its shape is 0, but there are 0 bytes"),
        (named(field(7, field(1, 4))), r"found its numbers in 0 pieces; allowed: one, packed"),
        (named(field(7, varint(5 << 3 | 5) + b"\0" * 4)), r"found its numbers in 1 pieces; allowed: one, packed"),
        (named(field(7, (varint(5 << 3 | 5) + b"\0" * 4) * 9)), r"found its numbers in 9 pieces"),
        (named(field(7, field(5, b"\0" * 4) * 2)), r"found its numbers in 2 pieces"),
        (named(field(1, b"x"), v1=True), r"oldest format; Caffe's upgrade_net_proto_binary"),
        (b"\x08\x00" * 1_001, r"more than 1000 fields"),
    ],
)  # fmt: skip
def test_caffemodels_that_are_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, message: str) -> None:
    monkeypatch.setattr("livecnn.networks.importers.caffe_format.MOST_FIELDS", 1000)
    (tmp_path / "net.prototxt").write_text(HEAD + LAYER)
    (tmp_path / "net.caffemodel").write_bytes(content)
    with pytest.raises(ModelError, match=message):
        CaffeImporter()([tmp_path / "net.prototxt", tmp_path / "net.caffemodel"])


def test_fields_of_any_wire_type_are_passed_over(tmp_path: Path) -> None:
    text = HEAD + LAYER
    weights = caffe_files.random_weights(text)
    bare = caffe_files.imported(tmp_path, text, weights).module.state_dict()
    more = field(999, 5) + varint(998 << 3 | 1) + b"\0" * 8 + varint(997 << 3 | 5) + b"\0" * 4 + field(996, b"abc")
    unpacked = [field(7, b"".join(field(1, n) for n in a.shape)) + field(5, a.tobytes()) + more for a in weights["conv"]]
    again = more + named(more + b"".join(field(7, content) for content in unpacked)) + named(b"")
    (tmp_path / "net.caffemodel").write_bytes(again)
    found = CaffeImporter()([tmp_path / "net.prototxt", tmp_path / "net.caffemodel"]).module.state_dict()
    assert all((found[name] == tensor).all() for name, tensor in bare.items())


@pytest.mark.parametrize("suffix", ["prototxt", "caffemodel", "binaryproto", "npy"])
def test_files_that_are_not_there_or_too_large(tmp_path: Path, suffix: str) -> None:
    paths = [tmp_path / "net.prototxt", caffe_files.write(tmp_path / "net.caffemodel", WEIGHTS)]
    paths[0].write_text(TEXT)
    path = tmp_path / f"net.{suffix}"
    paths += [path] if path not in paths else []
    path.unlink(missing_ok=True)
    with pytest.raises(ModelError, match=rf"net\.{suffix}: cannot be read: No such file"):
        CaffeImporter()(paths)
    path.touch()
    os.truncate(path, (1 << 30) + 1)  # a hole, not bytes on the disk
    message = rf"net\.{suffix}: (more than 4194304 bytes|1073741825 bytes; allowed: at most|not a sound)"
    with pytest.raises(ModelError, match=message):
        CaffeImporter()(paths)


def test_a_text_in_another_encoding(tmp_path: Path) -> None:
    paths = [tmp_path / "net.prototxt", caffe_files.write(tmp_path / "net.caffemodel", WEIGHTS)]
    paths[0].write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ModelError, match=r"net\.prototxt: not a text in UTF-8"):
        CaffeImporter()(paths)


# One mutation: at a place (a share of the length) some of the bytes are taken out and others put in.
CHANGES = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 12), st.binary(max_size=6)), min_size=1, max_size=4)
WORDS = st.sampled_from([*'-1 0 2 1e9 nan true "x" { } : data layer dim MAX'.split(), "9" * 30, "[1, 2]", "top: 'y'", ""])  # noqa: SIM905
SOME = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)


def mutated(content: bytes, changes: list[tuple[float, int, bytes]]) -> bytes:
    for share, gone, new in changes:
        place = int(share * len(content))
        content = content[:place] + new + content[place + gone :]
    return content


def try_files(folder: Path, contents: dict[str, bytes]) -> None:
    """Import files by their suffixes."""
    paths = {folder / f"net{suffix}": content for suffix, content in contents.items()}
    for path, content in paths.items():
        path.write_bytes(content)
    try:
        found = CaffeImporter()([*paths])
    except ModelError:
        return
    assert sum(parameter.numel() for parameter in found.module.state_dict().values()) < 1 << 20


@pytest.fixture
def sound(tmp_path: Path) -> bytes:
    return caffe_files.write(tmp_path / "sound.caffemodel", WEIGHTS).read_bytes()


@given(changes=st.lists(st.tuples(st.integers(0, len(TEXT.split()) - 1), WORDS), min_size=1, max_size=3))
@SOME
def test_any_words_of_a_prototxt_are_read_or_refused(tmp_path: Path, sound: bytes, changes: list[tuple[int, str]]) -> None:
    words = TEXT.split()
    for place, word in changes:
        words[place] = word
    try_files(tmp_path, {".prototxt": " ".join(words).encode(), ".caffemodel": sound})


@pytest.mark.parametrize("suffix", [".prototxt", ".caffemodel", ".binaryproto", ".npy", ".txt"])
@given(changes=CHANGES)
@SOME
def test_any_bytes_of_a_file_are_read_or_refused(
    tmp_path: Path, sound: bytes, suffix: str, changes: list[tuple[float, int, bytes]]
) -> None:
    mean = np.ones((3, 9, 9), np.float32)
    np.save(tmp_path / "mean.npy", mean)
    network = {".prototxt": TEXT.encode(), ".caffemodel": sound}
    beside = {".binaryproto": blob(mean, legacy=True), ".npy": (tmp_path / "mean.npy").read_bytes(), ".txt": b"one\ntwo\n"}
    try_files(tmp_path, {**network, suffix: mutated({**network, **beside}[suffix], changes)})

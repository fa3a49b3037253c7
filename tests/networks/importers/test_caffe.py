"""Whole networks of Caffe: real ones, and small ones that are written here."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from livecnn.app.run import RunOptions, run
from livecnn.errors import ModelError
from livecnn.networks import bundle as bundles
from livecnn.networks import pipelines
from livecnn.networks.importers import Imported
from livecnn.networks.importers.caffe import CaffeImporter
from livecnn.networks.inspection.probe import Probe
from livecnn.networks.training import mnist
from tests.helpers import caffe_files
from tests.helpers.caffe_files import Array, layer

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


def with_mean(folder: Path, mean: Array, suffix: str = ".binaryproto", text: str = "") -> Imported:
    path = folder / f"mean{suffix}"
    if suffix == ".npy":
        np.save(path, mean)
    else:
        path.write_bytes(caffe_files.blob(mean, legacy=True))
    return caffe_files.imported(folder, text or network(), None, path)


@pytest.mark.parametrize("suffix", [".binaryproto", ".npy"])
@pytest.mark.parametrize("scale", [1, 0.5])
def test_the_middle_of_a_mean_picture_is_part_of_the_network(tmp_path: Path, suffix: str, scale: float) -> None:
    mean = np.random.default_rng(0).uniform(0, 255, (3, 10, 13)).astype(np.float32)
    text = TRAINED.replace("scale: 0.5", f"scale: {scale}").replace("mean_value: 10 mean_value: 20 mean_value: 30", "")
    weights = {"conv": [np.ones((4, 3, 8, 8), np.float32) * np.float32(0.001), np.zeros(4, np.float32)]}
    bare = caffe_files.imported(tmp_path, text.replace("SoftmaxWithLoss", "EuclideanLoss"), weights)
    np.save(tmp_path / "mean.npy", mean)
    (tmp_path / "mean.binaryproto").write_bytes(caffe_files.blob(mean[None], legacy=True))
    text = text.replace("SoftmaxWithLoss", "EuclideanLoss")
    found = caffe_files.imported(tmp_path, text, weights, tmp_path / f"mean{suffix}")
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

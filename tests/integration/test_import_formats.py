"""Every format from its files to a running network, through the command: what a newcomer does."""

import csv
import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from livecnn._cv2 import cv2
from livecnn.app.plan import Plan
from livecnn.cli import main
from livecnn.networks import bundle as bundles
from livecnn.networks import catalogue
from livecnn.networks import pipelines as inputs
from livecnn.networks.architectures.squeezenet import Squeezenet
from livecnn.networks.catalogue import ENTRIES, ModelFile
from tests.helpers import caffe_files

INK = ("--input", "kind=ink", "--input", "mean=0", "--input", "std=1")
SMALL = "figure.size=[640, 360]"


@pytest.fixture(autouse=True)
def own_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIVECNN_MODELS", str(tmp_path / "models"))
    monkeypatch.chdir(tmp_path)


def imported(name: str, *words: object) -> None:
    assert main(["models", "import", *map(str, words), "--name", name]) == 0
    assert main(["models", "check", name]) == 0


def run(*words: str) -> list[dict[str, str]]:
    """Film it, and return the rows of scores."""
    assert main(["run", *words, "--headless", "--once", "--scores", "s.csv", "--record", "film.gif", "--set", SMALL]) == 0
    assert Path("film.gif").exists()
    with Path("s.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def seen(model: str, source: str, frames: int) -> list[dict[str, str]]:
    """Rows of scores of a run without a layout of its own."""
    return run("--model", model, "--source", source, "--frames", str(frames))


def shown(model: str) -> set[str]:
    """Layers that the layout made for it shows."""
    plan = Plan.of(None, model=model, source="demo")
    return {layer for panel in plan.layout.panels.values() for layer in panel.layers()}


def test_caffe(shared: Path) -> None:
    caffe = shared / "caffe"
    imported("lenet-caffe", caffe / "lenet.prototxt", caffe / "lenet_iter_10000.caffemodel", *INK)
    rows = seen("lenet-caffe", f"folder:{shared / 'digits'}", 8)
    assert [row["top_class"] for row in rows] == [row["name"].split("label")[1][0] for row in rows]
    assert shown("lenet-caffe") == {"conv1", "conv2", "ip1"}


def test_our_lenet_beside_caffes(shared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    caffe = shared / "caffe"
    imported("lenet-caffe", caffe / "lenet.prototxt", caffe / "lenet_iter_10000.caffemodel", *INK)
    assert main(["config", "check", "compare"]) == 0
    assert capsys.readouterr().out.endswith("compare: fine: 11 panels, model lenet-mnist · lenet-caffe\n")
    rows = run("compare", "--source", f"folder:{shared / 'digits'}", "--frames", "8")
    assert len(rows) == 8
    assert all(row["top_class"] == row["name"].split("label")[1][0] for row in rows)


def test_keras(shared: Path) -> None:
    keras = shared / "keras"
    imported("digits", keras / "tensorspace_tf_keras_model.h5", *INK)
    rows = seen("digits", f"folder:{shared / 'digits'}", 8)
    right = [row["top_class"] == row["name"].split("label")[1][0] for row in rows]
    assert sum(right) >= 7
    assert shown("digits") == {"conv_1", "conv_2", "dense_2"}
    names = "angry,disgust,fear,happy,sad,surprise,neutral"
    half = ("--input", "mean=[0.5]", "--input", "std=[0.5]")
    imported("emotions", keras / "fer2013_mini_XCEPTION.102-0.66.hdf5", *half, "--classes", names)
    rows = seen("emotions", f"folder:{shared / 'photos'}", 2)
    assert {row["top_class"] for row in rows} <= set(names.split(","))
    assert shown("emotions") == {"conv2d_1", "conv2d_3", "conv2d_5", "conv2d_7"}


def test_keras_neurons_are_sorted_by_their_weights(shared: Path) -> None:
    imported("digits", shared / "keras" / "tensorspace_tf_keras_model.h5", *INK)
    Path("sorted.yaml").write_text(
        "model: digits\nlayout: n\npanels: {n: {kind: neurons, layer: dense_2, sort_by_class: 3, row_means: true}}\n"
    )
    assert main(["config", "check", "sorted.yaml"]) == 0
    plan = Plan.of("sorted.yaml", source="demo")
    weights = plan.context.class_weights(84)
    assert weights is not None
    with torch.no_grad():
        module = plan.bundle.module
        hidden = torch.rand(1, 84)
        assert torch.allclose(module.get_submodule("softmax.linear")(hidden), hidden @ weights.T + _bias(module), atol=1e-5)


def _bias(module: torch.nn.Module) -> torch.Tensor:
    return module.get_parameter("softmax.linear.bias")


def test_weights_of_pytorch() -> None:
    torch.manual_seed(0)
    network = Squeezenet(classes=3)
    torch.save({"epoch": 3, "state_dict": {f"module.{name}": tensor for name, tensor in network.state_dict().items()}}, "w.pth")
    words = ("--architecture", "squeezenet", "--option", "classes=3", "--classes", "cat,dog,owl", "--input", "size=[64, 64]")
    imported("mine", "w.pth", *words)
    bundle = bundles.load("mine")
    picture = np.random.default_rng(0).integers(0, 256, (80, 80, 3), np.uint8)
    x = bundle.prepare(picture)
    with torch.no_grad():
        assert torch.allclose(bundle.module(x), network.eval()(x), atol=1e-6)
    cv2.imwrite("a.png", picture)
    assert seen("mine", "folder:.", 1)[0]["top_class"] in ("cat", "dog", "owl")


def test_weights_for_code_of_ones_own() -> None:
    Path("tinynets.py").write_text(
        "from torch import nn\ndef make(units): return nn.Sequential(nn.Flatten(), nn.Linear(64, units))\n"
    )
    torch.save(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 4)).state_dict(), "w.pt")
    words = ["models", "import", "w.pt", "--name", "coded", "--architecture", "tinynets:make", "--option", "units=4"]
    shape = ["--input", "size=[8, 8]", "--input", "channels=1"]
    assert main([*words, *shape]) == 2
    assert main([*words, *shape, "--allow-code"]) == 0
    assert main(["models", "check", "coded"]) == 2
    assert main(["models", "check", "coded", "--allow-code"]) == 0


def test_a_published_network_from_its_file(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    torch.save(Squeezenet().state_dict(), "squeezenet1_1.pth")
    Path("imagenet_classes.txt").write_text("".join(f"thing {number}\n" for number in range(1000)))
    digest = hashlib.sha256(Path("squeezenet1_1.pth").read_bytes()).hexdigest()
    weights, labels = ENTRIES["squeezenet"].files
    own = replace(ENTRIES["squeezenet"], files=(ModelFile("https://x.invalid/squeezenet1_1.pth", 5.0, digest[:8]), labels))
    monkeypatch.setattr(catalogue, "ENTRIES", {**ENTRIES, "squeezenet": own})
    assert main(["models", "get", "squeezenet", "--from", "squeezenet1_1.pth"]) == 0
    bundle = bundles.load("squeezenet")
    assert bundle.classes[7] == "thing 7"
    assert bundle.precision == "tf32"
    assert weights.sha256


def test_dex_from_its_file() -> None:
    """With few units, so that the file stays small: what counts is that prototxt, weights and card go together."""
    prototxt = catalogue.vgg16_prototxt(101).replace("num_output: 4096", "num_output: 8")
    Path("net.prototxt").write_text(prototxt)
    caffe_files.write(Path("net.caffemodel"), caffe_files.random_weights(prototxt))
    dex = ENTRIES["age-dex"]
    fields = [word for key, value in dex.input.items() for word in ("--input", f"{key}={value}")]
    imported("dex", "net.prototxt", "net.caffemodel", *fields, "--classes", ",".join(map(str, range(101))))
    plan = Plan.of("age-dex", ["model=dex"], source="demo")
    assert plan.bundle.classes[100] == "100"


@pytest.mark.parametrize("name", [name for name, entry in ENTRIES.items() if {"size", "channels"} <= entry.input.keys()])
def test_inputs_of_published_networks_are_sound(name: str) -> None:
    entry = ENTRIES[name]
    assert inputs.make(dict(entry.input)).shape == (3, 224, 224)

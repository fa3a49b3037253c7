import copy
import os
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from livecnn.errors import ModelError
from livecnn.networks import bundle as bundles
from livecnn.networks.architectures.keras import Keras, library

CONV: dict[str, Any] = {"name": "conv", "kind": "Conv2D", "config": {"filters": 2, "kernel_size": 3, "activation": "relu"}}
FLAT: dict[str, Any] = {"name": "flat", "kind": "Flatten"}
SUM: dict[str, Any] = {"name": "sum", "kind": "Add", "inputs": ["x", "x"]}
CARD: dict[str, Any] = {
    "name": "it",
    "architecture": "keras",
    "input": {"kind": "plain", "size": [6, 6], "channels": 1},
    "classes": list(range(32)),
    "licence": "MIT",
    "source": "made up",
}


def options(*steps: dict[str, Any], outputs: tuple[str, ...] = ("flat",), shape: tuple[Any, ...] = (6, 6, 1)) -> dict[str, Any]:
    return {"shape": list(shape), "plan": {"input": "x", "steps": list(steps), "outputs": list(outputs)}}


def test_a_bundle_of_options_and_weights(tmp_path: Path) -> None:
    net = Keras(**options(SUM, CONV, FLAT)).eval()
    assert list(net.state_dict()) == ["conv.linear.kernel", "conv.linear.bias"]
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.uniform_(-1, 1)
    bundles.save(tmp_path / "it", net, {**CARD, "options": options(SUM, CONV, FLAT)})
    x = torch.rand(1, 1, 6, 6)
    kernel = net.get_parameter("conv.linear.kernel").permute(3, 2, 0, 1)
    expected = torch.relu(torch.nn.functional.conv2d(2 * x, kernel, net.get_parameter("conv.linear.bias")))
    torch.testing.assert_close(bundles.load(tmp_path / "it").module(x), expected.permute(0, 2, 3, 1).flatten(1))


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        (options({**CONV, "kind": "Lambda"}, FLAT), r"layer 'conv': Lambda: unknown kind; .*allowed: Conv2D, Conv2DTranspose, "),
        (options({**CONV, "kind": "conv2d"}, FLAT), r"layer 'conv': conv2d: unknown kind; did you mean 'Conv2D'\?"),
        (options({"name": "a.b", "kind": "Flatten"}), r"layer 'a\.b': Flatten: "),
        (options({"name": "train", "kind": "Flatten"}), r"layer 'train': Flatten: "),
        (options({**CONV, "config": {"filters": 2}}, FLAT), r"layer 'conv': Conv2D: .*kernel_size"),
        (options({**CONV, "config": {"filters": 1 << 40, "kernel_size": 3}}, FLAT),
         r"found a tensor of shape .*allowed: 268435456"),
        (options({"name": "up", "kind": "UpSampling2D", "config": {"size": 10**6}}, FLAT),
         r"layer 'up': UpSampling2D: found a tensor"),
        (options({**CONV, "config": {**CONV["config"], "activation": "x"}}, FLAT),
         r"unknown activation 'x'; allowed: linear, relu"),
        (options({**SUM, "inputs": ["y", "x"]}, FLAT), r"nothing has the key 'y'; allowed: that of an output before it"),
        (options(FLAT, outputs=("flat:2",)), r"nothing has the key 'flat:2'"),
        (options(FLAT, shape=(6, 6, 1, 1)), r"found the shape \[6, 6, 1, 1\]; allowed: \(H, W\) or \(H, W, C\)"),
        (options(FLAT, shape=(6, "a", 1)), r"found the shape \[6, 'a', 1\]; allowed: "),
        ({"shape": [6, 6, 1], "plan": {"input": "x"}}, r"steps: nothing found; it is needed"),
        ({"shape": [6, 6, 1]}, r"missing 1 required positional argument: 'plan'"),
    ],
)  # fmt: skip
def test_options_that_make_no_network(tmp_path: Path, chosen: dict[str, Any], message: str) -> None:
    bundles.save(tmp_path / "it", torch.nn.Identity(), {**CARD, "options": chosen})
    with pytest.raises(ModelError, match=rf"model\.yaml:\d+: options: (?s:.*){message}"):
        bundles.load(tmp_path / "it")


@pytest.mark.parametrize("missing", ["keras", "h5py"])
def test_without_the_extra(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ModelError, match=rf"a Keras model needs {missing}: pip install 'livecnn\[keras\]'"):
        Keras(**options(FLAT))


def test_another_backend_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert library().backend.backend() == "torch"
    monkeypatch.setattr(library().backend, "backend", lambda: "jax")
    with pytest.raises(ModelError, match=r"^keras is already imported, with jax as its backend; set KERAS_BACKEND=torch before"):
        library()


FAKE = """
import os

class backend:
    chosen = os.environ["KERAS_BACKEND"]
    backend = lambda: backend.chosen
"""


def test_the_backend_is_chosen_where_nobody_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "keras.py").write_text(FAKE)
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "keras")
    try:
        assert library().__file__ == str(tmp_path / "keras.py")
        assert os.environ["KERAS_BACKEND"] == library().backend.backend() == "torch"
    finally:
        sys.modules.pop("keras", None)  # monkeypatch puts the real one back


def test_a_copy_is_a_network_of_its_own() -> None:
    net = Keras(**options(CONV, FLAT)).eval().requires_grad_(False)
    with torch.no_grad():
        for parameter in net.parameters():  # weights are expected from a file: until then they are whatever the memory held
            parameter.uniform_(-1, 1)
    copied = copy.deepcopy(net)
    x = torch.rand(1, 1, 6, 6)
    assert torch.equal(copied(x), net(x))
    assert not copied.training
    assert not any(parameter.requires_grad for parameter in copied.parameters())
    with torch.no_grad():
        for parameter in copied.parameters():
            parameter.fill_(1)
    assert not torch.equal(copied(x), net(x))

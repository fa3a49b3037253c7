"""What every method promises, and the errors it tells."""

import re
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.testing import assert_close

import livecnn
from livecnn import registry
from livecnn.errors import ModelError, UsageError
from livecnn.explain import backprop as _backprop
from livecnn.explain.base import Method
from livecnn.explain.methods.gradient import Gradient
from livecnn.explain.methods.guided_backprop import GuidedBackprop
from livecnn.networks.architectures.lenet import Lenet
from livecnn.networks.inspection.probe import Probe
from tests.helpers.paths import ROOT
from tests.helpers.relu_networks import Doubled, Reused, picture, seeded, untouched

KINDS = registry.kinds("explain.methods")
OF_UNITS = [kind for kind in KINDS if kind != "grad_cam"]
OF_CLASSES = [kind for kind in KINDS if kind != "activation"]


def method(kind: str, *given: Any, **options: Any) -> Method:
    made: Method = registry.find("explain.methods", kind, UsageError)(*given, **options)
    return made


@pytest.fixture
def net() -> nn.Module:
    return seeded(Reused)


@pytest.fixture
def x() -> torch.Tensor:
    return picture(2, 13, 12)


def test_the_kinds() -> None:
    assert KINDS == (
        "activation", "deconvnet", "deconvnet_unpooled", "grad_cam", "gradient", "guided_backprop", "integrated_gradients",
        "occlusion",
    )  # fmt: skip
    assert [method(kind, Lenet()).kind for kind in KINDS] == list(KINDS)


@pytest.mark.parametrize("kind", OF_UNITS)
def test_a_picture_a_unit_in_their_order(kind: str, net: nn.Module, x: torch.Tensor) -> None:
    explain = method(kind, net, "conv3").explain
    found = explain(x, [4, 0, 2, 0])
    assert found.shape in ((4, 2, 13, 12), (4, 1, 13, 12))
    assert not found.requires_grad
    assert_close(found, torch.cat([explain(x, [unit]) for unit in (4, 0, 2, 0)]), rtol=1e-5, atol=1e-6)
    assert len({tuple(one.flatten().tolist()) for one in found[:3]}) == 3


@pytest.mark.parametrize("kind", OF_CLASSES)
def test_a_picture_of_a_class(kind: str, net: nn.Module, x: torch.Tensor) -> None:
    found = method(kind, net, "conv2").explain(x, target=1)
    assert found.shape in ((1, 2, 13, 12), (1, 1, 13, 12))
    assert not torch.equal(found, method(kind, net, "conv2").explain(x, target=2))


@pytest.mark.parametrize("kind", KINDS)
def test_network_and_input_stay_as_they_are(kind: str, net: nn.Module, x: torch.Tensor) -> None:
    before, wanted = x.clone(), {"target": 0} if kind == "grad_cam" else {"units": [0]}
    scores = net.train()(x)
    for recorded in (torch.no_grad(), torch.inference_mode(), torch.enable_grad()):
        with recorded:
            found = method(kind, net, "conv2").explain(x, **wanted)
        assert not found.requires_grad
    assert torch.equal(x, before)
    assert not x.requires_grad
    assert net.training
    assert torch.equal(net(x), scores)
    assert untouched(net)
    with pytest.raises(RuntimeError, match="channels"):
        method(kind, net, "conv2").explain(picture(3, 13, 12), **wanted)
    assert untouched(net)


@pytest.mark.parametrize("kind", KINDS)
def test_the_input_may_be_an_inference_tensor(kind: str, net: nn.Module) -> None:
    with torch.inference_mode():
        x = picture(2, 13, 12) + 0
    wanted = {"target": 0} if kind == "grad_cam" else {"units": [0]}
    assert method(kind, net, "conv2").explain(x, **wanted).any()


@pytest.mark.parametrize("kind", OF_UNITS)
def test_units_that_are_no_maps(kind: str, x: torch.Tensor) -> None:
    net = seeded(Reused)
    if kind == "activation":
        with pytest.raises(ModelError, match="activation needs a layer that gives maps; 'fc' gives 4 values"):
            method(kind, net, "fc").explain(x, [0])
    else:
        assert method(kind, net, "fc").explain(x, [3, 1]).shape[0] == 2


def test_errors_of_the_caller(net: nn.Module, x: torch.Tensor) -> None:
    def told(match: str, error: type[Exception] = UsageError) -> Any:
        return pytest.raises(error, match=match)

    for kind in OF_UNITS:
        with told("unit 5: conv3 has 5 \\(0-4\\)"):
            method(kind, net, "conv3").explain(x, [0, 5])
        with told("units"):
            method(kind, net, "conv3").explain(x, [1], target=0)
        with told("units"):
            method(kind, net, "conv3").explain(x)
        with told("units are those of a layer; found none"):
            method(kind, net).explain(x, [0])
    for kind in OF_CLASSES:
        with told("class 4: the network has 4 \\(0-3\\)"):
            method(kind, net, "conv3").explain(x, target=4)
    for kind in KINDS:
        for wrong in (x[0], x.repeat(2, 1, 1, 1)):
            with told("one picture \\(1, C, H, W\\) is needed"):
                method(kind, net, "conv3").explain(wrong, [0])
        with told("unknown layer 'conv9'; did you mean", ModelError):
            method(kind, net, "conv9").explain(x, [0])
    with told("class 0: the network gives scores of shape"):
        Gradient(nn.Conv2d(2, 2, 3)).explain(x, target=0)
    with told("layer '0' gives the shape \\(312,\\); a tensor"):
        Gradient(nn.Sequential(nn.Flatten(0), nn.Unflatten(0, (1, 312))), "0").explain(x, [0])


def test_positions(net: nn.Module, x: torch.Tensor) -> None:
    with Probe(net, ["conv2"]) as probe:
        maps = probe(x)[1]["conv2"][0]
    row, column = divmod(int(maps[3].argmax()), maps.shape[2])
    assert torch.equal(Gradient(net, "conv2").explain(x, [3]), Gradient(net, "conv2", at=(row, column)).explain(x, [3]))
    everywhere = [
        Gradient(net, "conv2", at=(row, column)).explain(x, [3])
        for row in range(maps.shape[1])
        for column in range(maps.shape[2])
    ]
    assert_close(Gradient(net, "conv2", at="sum").explain(x, [3]), torch.stack(everywhere).sum(0))
    corner = Gradient(net, "conv1", at=(0, 0)).explain(x, [0])[0]
    assert corner[:, :2, :2].all()
    assert not corner[:, 2:].any()
    assert not corner[:, :, 2:].any()


@pytest.mark.parametrize(
    ("at", "layer", "match"),
    [
        ((6, 0), "conv2", "at: found \\(6, 0\\); maps of 'conv2' have rows 0-5 and columns 0-5"),
        ((0, -1), "conv2", "at: found"),
        ((0, 0), "fc", "'fc' gives no maps; allowed: 'max', 'sum'"),
        ("min", "conv2", "at: found 'min'; allowed: 'max', 'sum', \\(row, column\\)"),
        ((1,), "conv2", "at: found \\(1,\\)"),
    ],
)
def test_positions_that_are_none(net: nn.Module, x: torch.Tensor, at: Any, layer: str, match: str) -> None:
    with pytest.raises(UsageError, match=match):
        Gradient(net, layer, at=at).explain(x, [0])


def test_a_softmax_is_looked_behind() -> None:
    lenet, x = livecnn.load("lenet-mnist").module, picture(1, 28, 28)
    assert isinstance(lenet, Lenet)
    found = Gradient(lenet).explain(x, target=3)
    leaf = x.clone().requires_grad_()
    assert_close(found, torch.autograd.grad(lenet.logits(leaf)[0, 3], leaf)[0])
    assert_close(Gradient(lenet, "ip2").explain(x, [3]), found)


@pytest.mark.parametrize(
    ("ending", "looked_behind"),
    [
        (lambda s: s.softmax(1), True),
        (lambda s: F.log_softmax(input=s, dim=1), True),
        (lambda s: torch.softmax(s[:, :, None, None], 1).flatten(1), True),
        (lambda s: s.softmax(1) * 2, False),
        (lambda s: s.sigmoid(), False),
        (lambda s: s * s.softmax(1).sum(), False),
    ],
)
def test_what_counts_as_a_softmax(ending: Any, looked_behind: bool, net: nn.Module, x: torch.Tensor) -> None:
    class Ending(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = net

        def forward(self, x: torch.Tensor) -> Any:
            return ending(self.net(x))

    leaf = x.clone().requires_grad_()
    scores = net(leaf) if looked_behind else Ending()(leaf)
    assert_close(Gradient(Ending()).explain(x, target=1), torch.autograd.grad(scores[0, 1], leaf)[0])


def test_layers_by_every_name_that_a_probe_takes(x: torch.Tensor) -> None:
    class Named(Reused):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(torch.sigmoid(x))

    net = seeded(Named)
    for layer in ("sigmoid", "relu:2", "conv1", "mean"):
        assert Gradient(net, layer).explain(x, [1]).any()
        assert GuidedBackprop(net, layer).explain(x, [1]).any()


def test_the_network_may_write_over_its_input(x: torch.Tensor) -> None:
    class Centred(nn.Sequential):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x.sub_(1))  # type: ignore[no-any-return]

    net, before = Centred(nn.Conv2d(2, 3, 3)), x.clone()
    for kind in ("gradient", "integrated_gradients", "occlusion", "activation"):
        assert method(kind, net, "0").explain(x, [0]).any()
    assert torch.equal(x, before)


def test_units_go_in_as_many_goes_as_memory_asks_for(net: nn.Module, x: torch.Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = GuidedBackprop(net, "conv3").explain(x, range(5))
    goes = []
    together = _backprop._batched_gradients
    monkeypatch.setattr(_backprop, "_batched_gradients", lambda *given: goes.append(len(given[2])) or together(*given))
    monkeypatch.setattr(_backprop, "MOST_VALUES", 2 * 6 * 13 * 12)  # conv1 gives 6 maps of 13 x 12
    assert_close(GuidedBackprop(net, "conv3").explain(x, range(5)), whole)
    assert goes == [2, 2, 1]
    monkeypatch.setattr(_backprop, "MOST_VALUES", 1)
    assert_close(GuidedBackprop(net, "conv3").explain(x, range(5)), whole)
    assert goes[3:] == [1] * 5


def test_steps_without_a_batched_way_back(x: torch.Tensor) -> None:
    class Net(nn.Conv2d):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(Doubled.apply(x))  # type: ignore[no-untyped-call]

    net = nn.Sequential(Net(2, 3, 3))
    plain = nn.Sequential(nn.Conv2d(2, 3, 3))
    plain.load_state_dict(net.state_dict())
    at: Any = (1, 1)
    assert_close(Gradient(net, "0", at=at).explain(x, [0, 2]), 2 * Gradient(plain, "0", at=at).explain(x, [0, 2]))


@pytest.mark.parametrize("kind", ["gradient", "guided_backprop", "integrated_gradients"])
def test_a_way_back_that_is_cut_is_told(kind: str, x: torch.Tensor) -> None:
    class Cut(nn.Sequential):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x.detach())  # type: ignore[no-any-return]

    for net in (Cut(nn.Conv2d(2, 3, 3)), Cut(nn.Conv2d(2, 3, 3)).requires_grad_(False)):
        with pytest.raises(ModelError, match=f"{kind} needs a way back to the input"):
            method(kind, net, "0").explain(x, [0])


def test_the_examples_of_the_page_run(capsys: pytest.CaptureFixture[str]) -> None:
    page = (ROOT / "docs" / "explain.md").read_text(encoding="utf-8")
    names: dict[str, Any] = {"rgb": np.full((28, 28, 3), 200, np.uint8)}
    for example in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        exec(example, names)
    assert capsys.readouterr().out == 4 * "(50, 1, 28, 28)\n"
    assert names["apart"].conv1.weight is names["model"].module.conv1.weight
    assert all(f"| `{kind}` |" in page for kind in KINDS)

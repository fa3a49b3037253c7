from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.testing import assert_close

from livecnn.errors import ModelError
from livecnn.nets.lenet import Lenet
from livecnn.probe import Probe, class_weights, find_layer


def hooks(module: nn.Module) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in module.modules())


@pytest.fixture
def net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(inplace=True), nn.Conv2d(3, 2, 3), nn.Flatten(), nn.Linear(32, 4))


@pytest.fixture
def x() -> torch.Tensor:
    return torch.randn(1, 1, 8, 8, generator=torch.Generator().manual_seed(1))


def test_hooks_live_as_long_as_the_with(net: nn.Module, x: torch.Tensor) -> None:
    probe = Probe(net, ["0", "2", "0"])
    assert hooks(net) == 0
    with probe:
        assert hooks(net) == 2
        probe(x)
        assert hooks(net) == 2
    assert hooks(net) == 0


def test_hooks_are_gone_after_an_exception_in_the_forward_pass(net: nn.Module) -> None:
    with pytest.raises(RuntimeError, match="size"), Probe(net, ["0", "2"]) as probe:
        probe(torch.zeros(1, 5, 8, 8))
    assert hooks(net) == 0


def test_hooks_are_gone_after_an_exception_in_enter(net: nn.Sequential, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_hook: object) -> None:
        raise RuntimeError("no more hooks")

    monkeypatch.setattr(net[2], "register_forward_hook", refuse)
    with pytest.raises(RuntimeError, match="no more hooks"), Probe(net, ["0", "2"]):
        pytest.fail("entered")
    assert hooks(net) == 0


def test_a_probe_can_be_entered_again_and_never_hooks_twice(net: nn.Module, x: torch.Tensor) -> None:
    probe = Probe(net, ["0"])
    for _ in range(2):
        with probe:
            probe(x)
    with probe, probe:
        assert hooks(net) == 1
    assert hooks(net) == 0


def test_unknown_layers_are_refused_with_the_nearest_name() -> None:
    net = Lenet()
    with pytest.raises(ModelError, match=r"unknown layer 'conv3'; did you mean 'conv\d'\? allowed: conv1, pool1"):
        Probe(net, ["conv1", "conv3"])
    assert hooks(net) == 0
    with pytest.raises(ModelError, match="unknown layer ''"):
        find_layer(net, "")


@pytest.mark.parametrize("training", [True, False])
def test_the_mode_is_left_alone(training: bool, x: torch.Tensor) -> None:
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Dropout()).train(training)
    with Probe(net, ["0"]) as probe:
        probe(x)
        assert net.training == net[1].training == training
    assert net.training == net[1].training == training


def test_no_gradients_are_recorded(net: nn.Module, x: torch.Tensor) -> None:
    with Probe(net, ["0"]) as probe:
        scores, activations = probe(x.requires_grad_())
    assert not scores.requires_grad
    assert not activations["0"].requires_grad
    assert torch.is_grad_enabled()
    assert net(x).requires_grad


class AddsInPlace(nn.Module):
    """Writes over what its layer gave without any module that says `inplace`."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3)
        self.last = nn.Flatten()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.conv(x)
        y += 100
        F.relu_(y)
        z: torch.Tensor = self.last(y)
        return z


@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad, torch.enable_grad])
def test_an_activation_is_what_the_layer_gave_in_spite_of_writing_in_place(
    mode: Callable[[], torch.no_grad], net: nn.Sequential, x: torch.Tensor
) -> None:
    adds = AddsInPlace()
    by_hand = net[0](x).detach(), adds.conv(x).detach()
    with Probe(net, ["0", "2"]) as relu, Probe(adds, ["conv"]) as plus, mode():
        for _ in range(3):
            assert_close(relu(x)[1]["0"], by_hand[0])
            assert_close(plus(x)[1]["conv"], by_hand[1])
    assert (by_hand[0] < 0).any()


def test_only_what_is_overwritten_is_copied(net: nn.Sequential, x: torch.Tensor) -> None:
    given = {}
    net[0].register_forward_hook(lambda _m, _i, output: given.update({"0": output.data_ptr()}))
    net[2].register_forward_hook(lambda _m, _i, output: given.update({"2": output.data_ptr()}))
    with Probe(net, ["0", "2"]) as probe:
        probe(x)
        _, activations = probe(x)
    assert activations["0"].data_ptr() != given["0"]
    assert activations["2"].data_ptr() == given["2"]


def test_scores_and_activations_match_the_network_and_survive_the_with(net: nn.Sequential, x: torch.Tensor) -> None:
    with Probe(net, ["2", "4"]) as probe:
        scores, activations = probe(x)
        probe(2 * x)
    assert list(activations) == ["2", "4"]
    assert_close(scores, net(x).detach())
    assert_close(activations["2"], net[2](F.relu(net[0](x))).detach())
    assert torch.equal(activations["4"], scores)


def test_blobs_show_what_finally_stands_in_them() -> None:
    torch.manual_seed(0)
    net, x = Lenet().requires_grad_(False), torch.randn(1, 1, 28, 28)
    with Probe(net, ["ip1", "relu1", "pool2"]) as probe:
        _, activations = probe(x)
    before = net.ip1(activations["pool2"].flatten(1))
    assert (before < 0).any()
    assert_close(activations["ip1"], F.relu(before))
    assert torch.equal(activations["ip1"], activations["relu1"])


class GivesTwo(nn.Module):
    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return x, x


class Odd(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.two = GivesTwo()
        self.unused = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first: torch.Tensor = self.two(x)[0]
        return first


@pytest.mark.parametrize(
    ("layer", "message"), [("two", "layer 'two' gave a tuple; a tensor is needed"), ("unused", "layer 'unused' did not run")]
)
def test_a_layer_that_gives_no_tensor_is_told(layer: str, message: str, x: torch.Tensor) -> None:
    net = Odd()
    with pytest.raises(ModelError, match=message), Probe(net, [layer]) as probe:
        probe(x)
    assert hooks(net) == 0


def test_a_probe_outside_its_with_says_so(net: nn.Module, x: torch.Tensor) -> None:
    with pytest.raises(ModelError, match="the probe inside its `with`"):
        Probe(net, ["0"])(x)


def test_class_weights() -> None:
    net = Lenet()
    weights = class_weights(net, 500, 10)
    assert weights is not None
    assert torch.equal(weights, net.ip2.weight)
    assert not weights.requires_grad
    assert class_weights(net, 501, 10) is None

"""Every method that captum has, against it: within 1e-5 of the maximum."""

import copy
import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import livecnn
from livecnn.explain.methods.activation import Activation
from livecnn.explain.methods.deconvnet import Deconvnet
from livecnn.explain.methods.grad_cam import GradCam
from livecnn.explain.methods.gradient import Gradient
from livecnn.explain.methods.guided_backprop import GuidedBackprop
from livecnn.explain.methods.integrated_gradients import IntegratedGradients
from livecnn.explain.methods.occlusion import Occlusion
from livecnn.networks.architectures.alexnet import Alexnet
from livecnn.networks.architectures.squeezenet import Squeezenet
from livecnn.networks.inspection.probe import Probe
from tests.helpers.relu_networks import Reused, picture, seeded

attr = pytest.importorskip("captum.attr", reason="captum is not installed (extra explain)")
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:captum")

# Network, layer, units, a layer with maps for Grad-CAM, input.
CASES: dict[str, tuple[Callable[[], nn.Module], str, list[int], str, tuple[int, ...]]] = {
    "lenet": (lambda: livecnn.load("lenet-mnist").module, "conv2", [0, 7, 49], "conv1", (1, 28, 28)),
    "lenet_ip1": (lambda: livecnn.load("lenet-mnist").module, "relu1", [0, 7], "pool2", (1, 28, 28)),
    "squeezenet": (lambda: Squeezenet(7), "features.4.expand3x3", [0, 63], "features.12", (3, 70, 64)),
    "alexnet": (lambda: Alexnet(7), "features.6", [0, 5, 383], "features.11", (3, 80, 80)),
    "reused": (Reused, "conv3", [0, 1, 4], "conv2", (2, 13, 12)),
    "reused_in_place": (Reused, "relu:2", [1, 7], "last", (2, 13, 12)),
}


@cache
def network(name: str) -> nn.Module:
    """Large ones take longer to make than to explain."""
    return seeded(CASES[name][0])


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> tuple[nn.Module, str, list[int], str, torch.Tensor]:
    _, layer, units, maps, shape = CASES[request.param]
    return network(request.param), layer, units, maps, picture(*shape)


@pytest.fixture
def double_case(case: Any) -> tuple[nn.Module, str, list[int], str, torch.Tensor]:
    module, *which, x = case
    return copy.deepcopy(module).double(), *which, x.double()


def same(ours: torch.Tensor, theirs: torch.Tensor) -> bool:
    return bool((ours - theirs).abs().max() <= 1e-5 * theirs.abs().max()) and bool(theirs.abs().max() > 0)


def captum(work: Callable[[], Any]) -> torch.Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it hooks ReLUs, that the input gets gradients
        result: torch.Tensor = work().detach()
        return result


class Unit(nn.Module):
    """One unit of a layer at one position as what the network returns, so that captum needs no layer."""

    def __init__(self, module: nn.Module, layer: str, unit: int, at: str, x: torch.Tensor) -> None:
        super().__init__()
        self.module, self.layer, self.unit = module, layer, unit
        with Probe(module, [layer]) as probe:
            found = probe(x)[1][layer][:, unit, None].flatten(1)
        self.place = found.argmax(1) if at == "max" else slice(None)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        name, _, call = self.layer.partition(":")
        kept: list[torch.Tensor] = []
        hook = self.module.get_submodule(name).register_forward_hook(lambda *given: kept.append(given[-1].clone()))
        try:
            self.module(x)
        finally:
            hook.remove()
        value: torch.Tensor = kept[int(call or 1) - 1][:, self.unit, None].flatten(1)[:, self.place].sum(1)
        return value


class Logits(nn.Module):
    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = getattr(self.module, "logits", self.module)(x)
        return logits


PEERS = {"Saliency": Gradient, "GuidedBackprop": GuidedBackprop, "Deconvolution": Deconvnet}
PEERS_OF_NEURONS = {"NeuronGradient": Gradient, "NeuronGuidedBackprop": GuidedBackprop, "NeuronDeconvolution": Deconvnet}
SIGNED = {"Saliency": {"abs": False}}


@pytest.mark.parametrize("at", ["max", "sum"])
@pytest.mark.parametrize("peer", PEERS)
def test_units(case: Any, peer: str, at: Any) -> None:
    module, layer, units, _, x = case
    options = SIGNED.get(peer, {})
    ours = PEERS[peer](module, layer, at=at).explain(x, units)
    for unit, found in zip(units, ours, strict=True):
        theirs = captum(lambda: getattr(attr, peer)(Unit(module, layer, unit, at, x)).attribute(x.clone(), **options))  # noqa: B023
        assert same(found[None], theirs)


@pytest.mark.parametrize("place", [(0, 0), (1, 2), (2, 0)])
@pytest.mark.parametrize("peer", PEERS_OF_NEURONS)
def test_neurons_at_a_position(peer: str, place: Any) -> None:
    module, x = network("alexnet"), picture(3, 70, 70)
    found = PEERS_OF_NEURONS[peer](module, "features.8", at=place).explain(x, [3, 200])
    for unit, explained in zip([3, 200], found, strict=True):
        method = getattr(attr, peer)(module, module.get_submodule("features.8"))
        assert same(explained[None], captum(lambda: method.attribute(x.clone(), (unit, *place))))  # noqa: B023


@pytest.mark.parametrize("peer", PEERS)
def test_classes(case: Any, peer: str) -> None:
    module, *_, x = case
    best = int(module(x).argmax())
    theirs = captum(lambda: getattr(attr, peer)(Logits(module)).attribute(x.clone(), target=best, **SIGNED.get(peer, {})))
    assert same(PEERS[peer](module).explain(x, target=best), theirs)


def test_grad_cam(case: Any) -> None:
    module, _, _, layer, x = case
    peer = attr.LayerGradCam(Logits(module), module.get_submodule(layer))
    speaks = []
    for target in range(module(x).shape[1]):
        theirs = captum(lambda: peer.attribute(x.clone(), target=target, relu_attributions=True))  # noqa: B023
        theirs = F.interpolate(theirs, size=x.shape[2:], mode="bilinear", align_corners=False)
        ours = GradCam(module, layer).explain(x, target=target)
        assert float((ours - theirs).abs().max()) <= 1e-5 * float(theirs.abs().max())
        speaks.append(bool(theirs.any()))
    assert any(speaks)  # what speaks against a class is left out, which may be all


@pytest.mark.parametrize(("patch", "stride"), [(5, 3), (4, 4), (7, 1)])
def test_occlusion(patch: int, stride: int) -> None:
    module, x = seeded(Reused), picture(2, 13, 12)
    ours = Occlusion(module, "conv3", patch=patch, stride=stride, fill=0.5).explain(x, [0, 3])
    for unit, found in zip([0, 3], ours, strict=True):
        peer = attr.Occlusion(Unit(module, "conv3", unit, "max", x))
        theirs = captum(lambda: peer.attribute(x, (2, patch, patch), (2, stride, stride), 0.5))  # noqa: B023
        assert same(found.expand(2, -1, -1)[None], theirs)


def test_occlusion_by_default() -> None:
    module, x = livecnn.load("lenet-mnist").module, picture(1, 28, 28)
    theirs = captum(lambda: attr.Occlusion(Logits(module)).attribute(x, (1, 4, 4), (1, 2, 2), target=3))
    assert same(Occlusion(module).explain(x, target=3), theirs)


@pytest.mark.parametrize("at", ["max", "sum"])
def test_occlusion_of_networks(double_case: Any, at: Any) -> None:
    """In double precision: what is taken away is the small difference of large numbers."""
    module, layer, units, _, x = double_case
    side = x.shape[-1] // 3
    windows = (len(x[0]), side, side), (len(x[0]), side - 1, side - 1)
    ours = Occlusion(module, layer, patch=side, stride=side - 1, at=at).explain(x, units)
    for unit, found in zip(units, ours, strict=True):
        peer = attr.Occlusion(Unit(module, layer, unit, at, x))
        theirs = captum(lambda: peer.attribute(x, *windows, perturbations_per_eval=16))  # noqa: B023
        assert same(found.expand_as(x[0])[None], theirs)
    best = int(module(x).argmax())
    theirs = captum(lambda: attr.Occlusion(Logits(module)).attribute(x, *windows, perturbations_per_eval=16, target=best))
    assert same(Occlusion(module, patch=side, stride=side - 1).explain(x, target=best).expand_as(x), theirs)


def test_activation(case: Any) -> None:
    module, _, _, layer, x = case
    theirs = captum(lambda: attr.LayerActivation(module, module.get_submodule(layer)).attribute(x.clone()))
    ours = Activation(module, layer).explain(x, [0, 3])
    assert same(ours, F.interpolate(theirs[:, [0, 3]], size=x.shape[2:], mode="bilinear", align_corners=False)[0, :, None])


def test_integrated_gradients(double_case: Any) -> None:
    """In double precision: captum takes all steps in one batch, whose rounding switches ReLUs near zero."""
    module, layer, units, _, x = double_case
    ours = IntegratedGradients(module, layer, steps=9, baseline=0.25).explain(x, units)
    for unit, found in zip(units, ours, strict=True):
        peer = attr.IntegratedGradients(Unit(module, layer, unit, "max", x))
        assert same(found[None], captum(lambda: peer.attribute(x.clone(), 0.25, n_steps=9)))  # noqa: B023
    best = int(module(x).argmax())
    theirs = captum(lambda: attr.IntegratedGradients(Logits(module)).attribute(x.clone(), target=best, n_steps=9))
    assert same(IntegratedGradients(module, steps=9).explain(x, target=best), theirs)

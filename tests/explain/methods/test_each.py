"""What each method shows by itself."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.testing import assert_close

from livecnn.errors import ModelError, UsageError
from livecnn.explain.methods.activation import Activation
from livecnn.explain.methods.grad_cam import GradCam
from livecnn.explain.methods.integrated_gradients import IntegratedGradients
from livecnn.explain.methods.occlusion import Occlusion
from livecnn.networks.inspection.probe import Probe
from tests.helpers.relu_networks import Reused, picture, seeded, untouched


@pytest.fixture
def net() -> nn.Module:
    return seeded(Reused)


@pytest.fixture
def x() -> torch.Tensor:
    return picture(2, 13, 12)


def test_activation_is_the_map(net: nn.Module, x: torch.Tensor) -> None:
    with Probe(net, ["conv1", "conv2"]) as probe:
        maps = probe(x)[1]
    assert_close(Activation(net, "conv1").explain(x, [5, 1]), maps["conv1"][0, [5, 1], None])
    found = Activation(net, "conv2").explain(x, [0])
    assert_close(found, F.interpolate(maps["conv2"][:, :1], (13, 12), mode="bilinear"))
    with pytest.raises(UsageError, match="activation shows units of a layer"):
        Activation(net, "conv2").explain(x, target=1)


def test_grad_cam(net: nn.Module, x: torch.Tensor) -> None:
    best = int(net(x).argmax())
    cam = GradCam(net, "last")
    assert torch.equal(cam.explain(x), cam.explain(x, target=best))
    assert torch.equal(cam.explain(x), cam.explain(x, range(5)))
    assert (cam.explain(x, [2]) >= 0).all()
    for layer, match in (("fc", "'fc' gives 4 values"), ("mean", "'mean' gives 5 values")):
        with pytest.raises(ModelError, match=f"grad_cam needs a layer that gives maps; {match}"):
            GradCam(net, layer).explain(x)
    with pytest.raises(ModelError, match="grad_cam needs a layer that gives maps"):
        GradCam(net).explain(x)


def test_grad_cam_of_a_layer_that_does_not_lead_to_the_scores(x: torch.Tensor) -> None:
    class Aside(Reused):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.pool(x)
            return super().forward(x.detach())

    net = seeded(Aside)
    for frozen in (False, True):
        with pytest.raises(ModelError, match="grad_cam needs a way from the layer to the scores; 'pool:1' has none"):
            GradCam(net.requires_grad_(not frozen), "pool:1").explain(x)


def test_occlusion_refines_what_it_shows(net: nn.Module, x: torch.Tensor) -> None:
    occlusion = Occlusion(net, "conv3", patch=3, stride=1)
    results = list(occlusion.refine(x, [0, 1]))
    assert [tuple(result.shape) for result in results] == [(2, 1, 13, 12)] * 4
    errors = [float((result - results[-1]).abs().sum()) for result in results]
    assert errors[0] > errors[2] > errors[3] == 0
    assert torch.equal(results[-1], occlusion.explain(x, [0, 1]))


def test_where_occlusion_has_not_looked_yet_its_neighbour_counts() -> None:
    """Every patch covers nine ones, so all results are the same everywhere."""
    net = nn.Sequential(nn.Conv2d(1, 1, 1, bias=False))
    nn.init.ones_(net[0].weight)
    for result in Occlusion(net, "0", at="sum", patch=3, stride=3).refine(torch.ones(1, 1, 30, 30), [0]):
        assert_close(result, torch.full((1, 1, 30, 30), 9.0))


def test_occlusion_looks_at_every_patch_once(x: torch.Tensor) -> None:
    pictures: list[torch.Tensor] = []

    class Watched(Reused):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            pictures.extend(x.clone())
            return super().forward(x)

    Occlusion(seeded(Watched), "conv3", patch=4, stride=3, fill=7).explain(x, [0])
    covered = [tuple((one[0] == 7).nonzero()[0].tolist()) for one in pictures[1:]]
    assert sorted(covered) == [(row, column) for row in (0, 3, 6, 9) for column in (0, 3, 6, 9)]
    assert {int((one[0] == 7).sum()) for one in pictures[1:]} == {16, 12}  # cut off at the right


def test_between_two_results_of_occlusion_the_network_is_as_it_was(net: nn.Module, x: torch.Tensor) -> None:
    steps = Occlusion(net, "conv3").refine(x, [0])
    next(steps)
    assert untouched(net)
    assert torch.is_grad_enabled()
    with Probe(net, ["conv1"]) as probe:
        probe(x)
    assert next(steps).any()


@pytest.mark.parametrize(("patch", "stride"), [(0, 1), (3, 0), (3, 4), (-2, None)])
def test_patches_that_are_none(net: nn.Module, x: torch.Tensor, patch: int, stride: int | None) -> None:
    with pytest.raises(UsageError, match="allowed: a patch of 1 or more, a stride from 1 to the patch"):
        Occlusion(net, "conv3", patch=patch, stride=stride).explain(x, [0])


def test_a_patch_larger_than_the_picture(net: nn.Module, x: torch.Tensor) -> None:
    found = Occlusion(net, "fc", patch=40, stride=5).explain(x, [0])
    drop = net(x)[0, 0] - net(torch.zeros_like(x))[0, 0]
    assert_close(found, drop.detach().expand_as(found))


def test_integrated_gradients_are_complete(net: nn.Module, x: torch.Tensor) -> None:
    found = IntegratedGradients(net, "fc", baseline=0.5, steps=200).explain(x, range(4))
    difference = (net(x) - net(torch.full_like(x, 0.5)))[0].detach()
    assert_close(found.sum((1, 2, 3)), difference, rtol=0.02, atol=0.002)
    with pytest.raises(UsageError, match="steps: found 0; allowed: 1 to 1000"):
        IntegratedGradients(net, "fc", steps=0).explain(x, [0])

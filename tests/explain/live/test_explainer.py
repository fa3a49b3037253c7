"""What one copy of a network tells of one input, or why it does not."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from livecnn.errors import ModelError
from livecnn.explain.live.explainer import Contributions, LiveExplainer, copy_to_explain
from livecnn.explain.methods.gradient import Gradient
from livecnn.explain.methods.guided_backprop import GuidedBackprop
from livecnn.explain.results import Refused
from livecnn.networks.architectures.lenet import Lenet
from livecnn.networks.inspection.probe import Probe
from livecnn.selection import INPUT, OUTPUT, Unit
from tests.helpers.relu_networks import Functional, Reused, picture, seeded, untouched


@pytest.fixture
def x() -> torch.Tensor:
    return picture(2, 13, 12)


@pytest.fixture
def explainer() -> Iterator[LiveExplainer]:
    with LiveExplainer(seeded(Reused)) as explainer:
        yield explainer


def reason_of(answer: object) -> str:
    assert isinstance(answer, Refused)
    return answer.reason


def test_a_copy_shares_weights_and_nothing_else() -> None:
    net = seeded(Lenet)
    copied = copy_to_explain(net)
    assert all(ours is theirs for ours, theirs in zip(copied.parameters(), net.parameters(), strict=True))
    assert not set(copied.modules()) & set(net.modules())


def test_a_network_that_cannot_be_copied_is_told() -> None:
    net = seeded(Lenet)
    net.steps = (step for step in ())  # type: ignore[assignment]
    with pytest.raises(ModelError, match=r"need a copy of the network: TypeError: .*generator"):
        copy_to_explain(net)


def test_pictures_are_those_of_the_methods(explainer: LiveExplainer, x: torch.Tensor) -> None:
    direct = GuidedBackprop(explainer.module, "conv2").explain(x, [3, 1]).numpy()
    assert np.array_equal(explainer.pictures("guided_backprop", x, "conv2", [3, 1]), direct)
    one = explainer.picture("guided_backprop", x, Unit("conv2", 3), 0)
    assert one.shape == (2, 13, 12)
    assert_close(one, direct[0])


def test_a_method_of_classes_is_about_the_target(explainer: LiveExplainer, x: torch.Tensor) -> None:
    first, second = (explainer.picture("grad_cam", x, Unit("conv2", 0), target) for target in (0, 1))
    assert first.shape == (1, 13, 12)
    assert not np.array_equal(first, second)
    assert explainer.pictures("grad_cam", x, "conv2", [0]) == Refused("explains classes, not units")


def test_contributions_of_the_last_hidden_layer_sum_up_to_the_score() -> None:
    net, x = seeded(Lenet), picture(1, 28, 28)
    with torch.no_grad():
        logits = net.logits(x)[0]
    with LiveExplainer(net) as explainer:
        for target in range(10):
            values, logit = explainer.contributions(x, "ip1", target)  # type: ignore[misc]
            assert values.shape == (500,)
            assert logit == pytest.approx(logits[target].item(), abs=1e-5)
            assert values.sum() + net.ip2.bias[target].item() == pytest.approx(logit, abs=1e-5)


def test_contributions_of_maps_are_activation_times_gradient() -> None:
    net, x = seeded(Reused), picture(2, 13, 12)
    values, _ = Contributions(net, "conv3").of(x, 2)
    with Probe(net, ["conv3"]) as probe:
        maps = probe(x)[1]["conv3"][0]
    # after conv3 come a ReLU, a mean and a linear layer
    wanted = (maps.clamp_min(0)).mean((1, 2)) * net.fc.weight[2]
    assert_close(values, wanted.detach())


def test_contributions_need_a_way_to_the_scores(x: torch.Tensor) -> None:
    net = seeded(Reused)
    net.fc.register_forward_pre_hook(lambda _, given: given[0].detach())
    with LiveExplainer(net) as explainer:
        assert explainer.contributions(x, "conv2", 0) == Refused("need a way from the layer to the scores; 'conv2' has none")


@pytest.mark.parametrize("end", [INPUT, OUTPUT])
def test_the_ends_of_a_network_have_no_units(end: str, explainer: LiveExplainer, x: torch.Tensor) -> None:
    told = [
        explainer.picture("gradient", x, Unit(end, 0), 0),
        explainer.pictures("gradient", x, end, [0]),
        explainer.contributions(x, end, 0),
        *explainer.refine(x, Unit(end, 0)),
    ]
    assert len(told) == 4
    assert all(isinstance(one, Refused) and "choose" in one.reason for one in told)


@pytest.mark.parametrize(
    ("kind", "layer", "reason"),
    [
        ("guided_backprop", "conv3", "needs ReLU modules; 'relu' in the forward pass is a function"),
        ("grad_cam", "flatten", "needs a layer that gives maps; 'flatten' gives 36 values"),
        ("gradient", "cnv3", "unknown layer 'cnv3'; did you mean 'conv3'?"),
    ],
)
def test_what_lies_in_the_layer_is_tried_once(
    kind: str, layer: str, reason: str, x: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = seeded(Functional)
    passes: list[object] = []
    with LiveExplainer(net) as explainer:
        assert reason_of(explainer.picture(kind, x, Unit(layer, 0), 0)).startswith(reason)
        handle = net.register_forward_pre_hook(lambda *_: passes.append(0))
        assert reason_of(explainer.picture(kind, x, Unit(layer, 0), 0)).startswith(reason)
        assert reason_of(explainer.picture(kind, x, Unit(layer, 1), 1)).startswith(reason)
        assert not passes
        assert not isinstance(explainer.picture("gradient", x, Unit("conv2", 0), 0), Refused)
        explainer.mute({("conv1", 0)})  # another network: perhaps it can be explained
        passes.clear()
        explainer.picture(kind, x, Unit(layer, 0), 0)
        assert passes or layer == "cnv3"
        handle.remove()


def test_what_lies_in_the_unit_is_tried_again(explainer: LiveExplainer, x: torch.Tensor) -> None:
    assert explainer.picture("gradient", x, Unit("conv2", 8), 0) == Refused("unit 8: conv2 has 8 (0-7)")
    assert not isinstance(explainer.picture("gradient", x, Unit("conv2", 7), 0), Refused)
    assert explainer.contributions(x, "conv2", 9) == Refused("class 9: the network has 4 (0-3)")
    assert reason_of(explainer.picture("magic", x, Unit("conv2", 0), 0)).startswith("unknown kind 'magic' in methods")


def test_errors_of_networks_are_told_in_a_line(
    explainer: LiveExplainer, x: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> torch.Tensor:
        raise RuntimeError("out of memory\nat some place")

    monkeypatch.setattr(Gradient, "explain", fail)
    assert explainer.picture("gradient", x, Unit("conv2", 0), 0) == Refused("RuntimeError: out of memory")
    monkeypatch.setattr(Gradient, "explain", lambda *_, **__: 1 / 0)
    assert explainer.picture("gradient", x, Unit("conv3", 0), 0) == Refused("ZeroDivisionError: division by zero")


def test_a_refusal_on_the_way_ends_the_steps(explainer: LiveExplainer) -> None:
    def steps() -> Iterator[int]:
        yield 1
        raise RuntimeError("enough")

    assert list(explainer.steps("some", "conv2", steps)) == [1, Refused("RuntimeError: enough")]
    assert list(explainer.steps("some", "conv2", steps)) == [Refused("RuntimeError: enough")]
    assert list(explainer.steps("other", "conv2", lambda: iter([1, 2]))) == [1, 2]


def test_occlusion_from_coarse_to_fine(explainer: LiveExplainer, x: torch.Tensor) -> None:
    found: list[Any] = list(explainer.refine(x, Unit("conv2", 1)))
    assert [progress for _, progress in found] == [0.25, 0.5, 0.75, 1.0]
    assert np.array_equal(found[-1][0], explainer.picture("occlusion", x, Unit("conv2", 1), 0))
    assert not np.array_equal(found[0][0], found[-1][0])


def test_muted_units_count_for_nothing(explainer: LiveExplainer, x: torch.Tensor) -> None:
    whole = explainer.picture("gradient", x, Unit("conv2", 1), 0)
    explainer.mute({("conv1", unit) for unit in range(6)})
    assert not np.any(explainer.picture("gradient", x, Unit("conv2", 1), 0))
    explainer.mute(())
    assert np.array_equal(explainer.picture("gradient", x, Unit("conv2", 1), 0), whole)


def test_a_function_between_layers_can_be_explained(x: torch.Tensor) -> None:
    with LiveExplainer(seeded(Functional)) as explainer:
        found = explainer.picture("gradient", x, Unit("relu", 1), 0)
        explainer.mute({("conv1", unit) for unit in range(4)})
        muted = explainer.picture("gradient", x, Unit("relu", 1), 0)
    assert np.any(found)
    assert not np.any(muted)


def test_hooks_are_gone_afterwards(x: torch.Tensor) -> None:
    net = seeded(Reused)

    def work() -> None:
        with LiveExplainer(net) as explainer:
            explainer.mute({("conv1", 0)})
            explainer.contributions(x, "conv2", 0)
            assert not untouched(net)
            raise ZeroDivisionError("in the middle")

    with pytest.raises(ZeroDivisionError, match="in the middle"):
        work()
    assert untouched(net)

"""What an ascent promises."""

import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.testing import assert_close

import livecnn
from livecnn.dreams import Ascent, Dream, RandomTransforms, Regularizers
from livecnn.dreams import ascent as ascents
from livecnn.dreams.ascent import RedirectedReLU
from livecnn.errors import ModelError, UsageError
from livecnn.networks.bundle import Bundle
from livecnn.networks.training import mnist
from tests.helpers.relu_networks import Reused, seeded, untouched

SHAPE = 2, 13, 12


@pytest.fixture
def net() -> nn.Module:
    return seeded(Reused)


def dreamt(dream: Dream, units: Any, steps: int = 12, seed: int = 0, **more: Any) -> Ascent:
    *_, last = dream.ascend(units, steps, seed, **more)
    return last


@pytest.mark.parametrize("parameters", ["fourier", "pixels"])
@pytest.mark.parametrize(
    ("layer", "over"), [("conv3", "centre"), ("conv3", "max"), ("conv2", "mean"), ("fc", "mean"), (None, "max")]
)
def test_the_values_rise(net: nn.Module, parameters: Any, layer: str | None, over: Any) -> None:
    dream = Dream(net, layer, SHAPE, limits=(-1, 1), over=over, parameters=parameters)
    first, *_, last = dream.ascend([0, 2, 3], 16)
    assert (last.step, last.images.shape, last.values.shape) == (16, (3, *SHAPE), (3,))
    assert (last.values > first.values).all()
    assert not last.images.requires_grad
    assert not last.values.requires_grad


@pytest.fixture(scope="module", params=["conv1", "conv2", "ip1", "ip2", None])  # what sees little is moved little
def climbed(request: pytest.FixtureRequest, lenet: Bundle) -> tuple[str | None, torch.Tensor, torch.Tensor]:
    """A layer, and the values of its first units after 64 steps and after 128."""
    early, late = Dream.from_bundle(lenet, request.param).ascend(range(10), 128, every=64)
    return request.param, early.values, late.values


def test_a_unit_likes_its_dream_better_than_other_pictures(lenet: Bundle, climbed: Any) -> None:
    layer, values, _ = climbed
    others = torch.rand(500, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    assert (values > values_of(lenet, layer, others).amax(0)).all()


def test_and_better_than_real_ones(lenet: Bundle, climbed: Any, shared: Path) -> None:
    layer, _, values = climbed
    images = torch.tensor(mnist.load(shared / "mnist", "test")[0][:2000])[:, None] / 255
    assert (values > values_of(lenet, layer, images).amax(0)).all()


def values_of(bundle: Bundle, layer: str | None, levels: torch.Tensor) -> torch.Tensor:
    """(N, 10): what the first units give for pictures from 0 to 1, in the middle of their maps."""
    name = layer or "ip2"  # what goes into the softmax
    low, high = bundle.pipeline.limits
    with livecnn.Probe(bundle.module, [name]) as probe:
        found = probe(low + (high - low) * levels)[1][name][:, :10]
    return found[:, :, found.shape[2] // 2, found.shape[3] // 2] if found.ndim == 4 else found


def test_values_are_those_of_the_images(lenet: Bundle) -> None:
    for layer in ("conv2", None):
        found = dreamt(Dream.from_bundle(lenet, layer), [3, 7])
        low, high = lenet.pipeline.limits
        assert_close(found.values, values_of(lenet, layer, (found.images - low) / (high - low))[[0, 1], [3, 7]])


@pytest.mark.parametrize("parameters", ["fourier", "pixels"])
def test_images_stay_within_what_pixels_give(net: nn.Module, parameters: Any) -> None:
    limits = torch.tensor([-2.0, 0.5])[:, None, None], torch.tensor([1.0, 3.0])[:, None, None]
    found = dreamt(Dream(net, "fc", SHAPE, limits=limits, parameters=parameters, rate=1.0), [0, 1], 30)
    for channel, (low, high) in enumerate([(-2, 1), (0.5, 3)]):
        part = found.images[:, channel]
        assert low - 1e-6 <= float(part.min()) < float(part.max()) <= high + 1e-6
        assert float(part.max() - part.min()) > 0.9 * (high - low)  # the whole range is used


@pytest.mark.parametrize(
    ("limits", "options", "level"),
    [((-1, 3), {}, 0.25), ((-0.4, 2.8), {}, 0), ((-2.8, 0.4), {}, 1), ((0, 1), {}, 0.5), ((-1, 3), {"ground": 0.6}, 0.6)],
)
def test_the_ground_is_what_is_nothing_to_the_network(net: nn.Module, limits: Any, options: Any, level: float) -> None:
    first = next(Dream(net, "conv1", SHAPE, limits=limits, parameters="pixels", rate=1e-6, **options).ascend([0], 5))
    found = (first.images - limits[0]) / (limits[1] - limits[0])
    assert float(found.median()) == pytest.approx(level, abs=0.01)


def test_the_same_seed_gives_the_same_bytes(net: nn.Module) -> None:
    dream = Dream(net, "conv3", SHAPE)
    torch.manual_seed(1)
    before = torch.get_rng_state()
    one = dreamt(dream, [1, 4], seed=5)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert torch.equal(dreamt(dream, [1, 4], seed=5).images, one.images)
    assert not torch.equal(dreamt(dream, [1, 4], seed=6).images, one.images)


@pytest.mark.parametrize("options", [{}, {"parameters": "pixels", "regularisers": Regularizers(blur=0.7, blur_every=5)}])
def test_a_break_changes_nothing(net: nn.Module, options: Any) -> None:
    dream = Dream(net, "conv3", SHAPE, **options)
    whole = [ascent.images for ascent in dream.ascend([1, 4], 9, 3)]
    for early in (1, 4, 8):
        state = dreamt(dream, [1, 4], early, 3).state
        rest = [ascent.images for ascent in Dream(net, "conv3", SHAPE, **options).ascend([1, 4], 9, 3, state=state)]
        assert len(rest) == 9 - early
        assert all(map(torch.equal, rest, whole[early:]))
    (done,) = dream.ascend([1, 4], 9, 3, state=dreamt(dream, [1, 4], 9, 3).state)
    assert torch.equal(done.images, whole[-1])
    assert not torch.equal(dreamt(dream, [1, 4], 9, 4, state=state).images, whole[-1])  # the seed goes with the state


def test_pixels_are_regularised_after_each_step(net: nn.Module) -> None:
    def images(regularisers: Regularizers) -> torch.Tensor:
        dream = Dream(net, "fc", SHAPE, limits=(-1, 1), parameters="pixels", rate=0.2, regularisers=regularisers)
        return dreamt(dream, [0], 8).images

    assert images(Regularizers()).abs().mean() > 0.2
    assert not images(Regularizers(decay=1)).any()
    assert int((images(Regularizers(norm=0.5))[0] == 0).all(0).sum()) == 13 * 12 // 2
    assert int((images(Regularizers(contribution=0.25))[0] == 0).all(0).sum()) == 13 * 12 // 4


def test_how_often_is_shown_changes_nothing(net: nn.Module) -> None:
    dream = Dream(net, "conv3", SHAPE)
    every = [ascent.images for ascent in dream.ascend([0, 1], 7)]
    some = list(dream.ascend([0, 1], 7, every=3))
    assert [ascent.step for ascent in some] == [3, 6, 7]
    assert all(torch.equal(ascent.images, every[ascent.step - 1]) for ascent in some)


@pytest.mark.parametrize(("layer", "most"), [("conv3", 1 << 24), ("conv3", 2 * 6 * 13 * 12), ("fc", 1), (None, 1 << 24)])
def test_a_batch_gives_what_each_gives_alone(
    net: nn.Module, layer: str | None, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ascents, "MOST_VALUES", most)  # conv1 gives 6 maps of 13 x 12: two units at a time, or one
    dream = Dream(net, layer, SHAPE, limits=(-1, 1))
    together = dreamt(dream, [3, 0, 2], 6)
    alone = [dreamt(dream, [unit], 6) for unit in (3, 0, 2)]
    assert_close(together.images, torch.cat([one.images for one in alone]), rtol=0, atol=1e-5)
    assert_close(together.values, torch.cat([one.values for one in alone]), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("parameters", ["fourier", "pixels"])
def test_how_large_activations_are_makes_no_difference(net: nn.Module, parameters: Any) -> None:
    class Loud(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = net

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return 1000 * self.net(x)  # type: ignore[no-any-return]

    regularisers = Regularizers(variation=0.2, sparsity=0.2)
    quiet, loud = (Dream(module, None, SHAPE, parameters=parameters, regularisers=regularisers) for module in (net, Loud()))
    assert_close(dreamt(quiet, [0, 1], 6).images, dreamt(loud, [0, 1], 6).images, rtol=0, atol=1e-4)


def test_penalties_count(net: nn.Module) -> None:
    rough, smooth = (Dream(net, None, SHAPE, regularisers=Regularizers(variation=weight)) for weight in (0.0, 1.0))
    assert dreamt(smooth, [0]).images.diff(dim=3).abs().mean() < 0.7 * dreamt(rough, [0]).images.diff(dim=3).abs().mean()


def test_a_neuron_that_is_off_is_switched_on() -> None:
    class Off(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(16, 3)
            nn.init.constant_(self.fc.bias, -0.5)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return F.relu(self.fc(x.flatten(1)))

    net = seeded(Off)
    found = dreamt(Dream(net, "relu", (1, 4, 4), limits=(-1, 1), moves=RandomTransforms(0, 0, 0)), [0, 1, 2], 40)
    with torch.no_grad():
        assert not net(torch.zeros(1, 1, 4, 4)).any()
    assert (found.values > 0.1).all()


def test_the_network_stays_as_it_is_and_may_be_used_between_two_steps(net: nn.Module) -> None:
    net.requires_grad_(True)
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    with torch.inference_mode():
        for ascent in Dream(net, "relu:2", SHAPE).ascend([0], 4):
            assert untouched(net)
            assert torch.is_inference_mode_enabled()
            net(ascent.images)
    steps = Dream(net, "conv1", SHAPE).ascend([0], 100)
    next(steps)
    steps.close()  # type: ignore[attr-defined]
    assert untouched(net)
    assert torch.is_grad_enabled()
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())
    assert all(parameter.requires_grad for parameter in net.parameters())


def test_nothing_is_left_behind_by_a_network_that_fails(net: nn.Module) -> None:
    calls = []

    def fail(*_: Any) -> None:
        calls.append(1)
        if len(calls) > 4:
            raise RuntimeError("out of luck")

    handle = net.get_submodule("conv2").register_forward_hook(fail)
    with pytest.raises(RuntimeError, match="out of luck"):
        dreamt(Dream(net, "conv3", SHAPE), [0])
    handle.remove()
    assert untouched(net)
    assert torch.is_grad_enabled()
    x = torch.tensor([-1.0], requires_grad=True)
    assert torch.autograd.grad(F.relu(x).sum(), x)[0].item() == 0  # ReLUs are as ever


def test_functions_in_the_forward_pass(net: nn.Module) -> None:
    assert (dreamt(Dream(net, "mean", SHAPE), [1]).values > 0).all()


def test_on_a_thread_of_its_own(net: nn.Module) -> None:
    found: list[Ascent] = []
    thread = threading.Thread(target=lambda: found.extend(Dream(net, "conv3", SHAPE).ascend([1], 3)))
    thread.start()
    thread.join()
    assert torch.equal(found[-1].images, dreamt(Dream(net, "conv3", SHAPE), [1], 3).images)


def test_what_is_not_a_number_is_no_way_up() -> None:
    class Broken(nn.Conv2d):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x) * torch.nan

    found = dreamt(Dream(nn.Sequential(Broken(2, 3, 3)), "0", SHAPE), [0], 3)
    assert found.images.isfinite().all()
    assert found.values.isnan().all()


def test_a_unit_without_any_slope_stays_on_its_ground() -> None:
    net = nn.Sequential(nn.Conv2d(2, 3, 3))
    nn.init.zeros_(net[0].weight)
    found = dreamt(Dream(net, "0", SHAPE, regularisers=Regularizers(variation=0)), [0, 1], 3)
    assert found.images.isfinite().all()
    assert float(found.images.std()) < 0.02


class Cut(nn.Sequential):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x.detach())  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("layer", "units", "options", "error", "match"),
    [
        ("conv9", [0], {}, ModelError, "unknown layer 'conv9'; did you mean"),
        ("conv3", [0, 5], {}, UsageError, "unit 5: conv3 has 5 \\(0-4\\)"),
        (None, [4], {}, UsageError, "class 4: the network has 4 \\(0-3\\)"),
        ("conv3", [], {}, UsageError, "units: found none"),
        ("conv3", [0], {"over": "sum"}, UsageError, "over: found 'sum'; allowed: mean, max, centre"),
        ("conv3", [0], {"parameters": "wavelets"}, UsageError, "parameters: found 'wavelets'; allowed: pixels, fourier"),
        ("conv3", [0], {"regularisers": Regularizers(blur=1)}, UsageError, "act on pixels; found parameters 'fourier'"),
        ("conv3", [0], {"shape": (13, 12)}, UsageError, "shape: found \\(13, 12\\); \\(C, H, W\\) is needed"),
        ("conv3", [0], {"module": Cut(nn.Conv2d(2, 3, 3)), "layer": "0"}, ModelError, "dream needs a way back to the input"),
    ],
)
def test_mistakes(net: nn.Module, layer: str | None, units: Any, options: Any, error: type[Exception], match: str) -> None:
    dream = Dream(**{"module": net, "layer": layer, "shape": SHAPE, **options})
    with pytest.raises(error, match=match):
        next(dream.ascend(units, 3))
    assert untouched(net)


@pytest.mark.parametrize(
    "rectify",
    [
        F.relu, torch.relu, torch.Tensor.relu, nn.ReLU(), nn.ReLU(inplace=True), lambda x: F.relu(x, True),
        lambda x: F.relu(input=x, inplace=True), torch.relu_, torch.Tensor.relu_,
    ],
)  # fmt: skip
def test_a_relu_that_is_off_lets_back_what_would_switch_it_on(rectify: object) -> None:
    assert callable(rectify)
    x = torch.tensor([[-1.0, -2.0], [-1.0, 3.0], [1.0, 2.0]], requires_grad=True)
    weights = torch.tensor([[2.0, -1.0], [5.0, 1.0], [1.0, 1.0]])
    with RedirectedReLU():
        output = rectify(x * 1)
    assert output.tolist() == [[0, 0], [0, 3], [1, 2]]
    (slope,) = torch.autograd.grad((output * weights).sum(), x)
    assert slope.tolist() == [[2, 0], [0, 1], [1, 1]]  # only the first picture's whole gradient would be lost

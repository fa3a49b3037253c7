"""ReLUs, poolings and windows on the way back: what goes through, what is refused, what is left behind."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.testing import assert_close

from livecnn.errors import ModelError
from livecnn.explain import backprop
from livecnn.explain.backprop import Backprop, BackwardRule
from livecnn.explain.methods.deconvnet import Deconvnet
from livecnn.explain.methods.deconvnet_unpooled import DeconvnetUnpooled
from livecnn.explain.methods.gradient import Gradient
from livecnn.explain.methods.guided_backprop import GuidedBackprop
from tests.helpers.relu_networks import Doubled, Functional, Reused, picture, seeded, untouched

RULED: list[type[Backprop]] = [GuidedBackprop, Deconvnet, DeconvnetUnpooled]
RECTIFIERS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "relu": F.relu,
    "relu_": lambda x: F.relu(x + 0, inplace=True),
    "method": lambda x: x.relu(),
    "clamp_min": lambda x: x.clamp_min(0),
    "clamp": lambda x: x.clamp(min=0),
    "threshold": lambda x: F.threshold(x, 0, 0),
    "relu6": F.relu6,
}


@pytest.mark.parametrize("method", RULED)
@pytest.mark.parametrize("rectify", RECTIFIERS)
def test_a_relu_that_is_a_function_is_treated_as_a_module_is(method: type[Backprop], rectify: str) -> None:
    net, x = seeded(lambda: Functional(RECTIFIERS[rectify])), picture(2, 12, 12)
    same = seeded(lambda: Functional(nn.ReLU6() if rectify == "relu6" else nn.ReLU()))
    assert_close(method(net, "conv3").explain(x, [0, 3]), method(same, "conv3").explain(x, [0, 3]))
    assert_close(method(net).explain(x, target=0), method(same).explain(x, target=0))
    assert not torch.equal(method(net, "conv3").explain(x, [0]), Gradient(net, "conv3").explain(x, [0]))
    assert untouched(net)


def test_a_relu_with_an_upper_end_by_hand() -> None:
    """Back goes what is positive, and only from between the ends."""
    last = nn.Conv2d(1, 1, (1, 4), bias=False)
    last.weight.data[:] = torch.tensor([2.0, 3.0, 5.0, -7.0])
    net, x = nn.Sequential(identity(), nn.ReLU6(), last), torch.tensor([[[[-1.0, 3.0, 8.0, 2.0]]]])
    assert GuidedBackprop(net, "2").explain(x, [0]).flatten().tolist() == [0, 3, 0, 0]
    assert Deconvnet(net, "2").explain(x, [0]).flatten().tolist() == [2, 3, 5, 0]


def test_the_function_that_cannot_be_changed_is_named_as_a_probe_names_it() -> None:
    """One below torch's functions, which are the ones that are replaced."""
    net = seeded(lambda: Functional(torch.ops.aten.relu))
    with pytest.raises(ModelError, match="cannot change the way back through a ReLU: 'relu' in the forward pass"):
        GuidedBackprop(net, "conv3").explain(picture(2, 12, 12), [0])
    assert untouched(net)


def test_a_function_that_cannot_be_traced_is_told_by_its_kind() -> None:
    class Depending(Functional):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x) if x.sum() < 1e9 else x

    with pytest.raises(ModelError, match="cannot change the way back through a ReLU: found ReluBackward0 on the way back"):
        GuidedBackprop(seeded(lambda: Depending(torch.ops.aten.relu)), "conv3").explain(picture(2, 12, 12), [0])


def test_a_function_after_the_layer_does_not_matter() -> None:
    net, x = seeded(Functional), picture(2, 12, 12)
    assert GuidedBackprop(net, "conv2").explain(x, [0]).any()
    assert DeconvnetUnpooled(net, "conv2").explain(x, [0]).any()  # its pooling comes later


def test_clamps_with_other_bounds_are_no_relus() -> None:
    assert GuidedBackprop(seeded(lambda: Functional(lambda x: x.clamp(-1, 1))), "conv3").explain(picture(2, 12, 12), [0]).any()


@pytest.mark.filterwarnings("ignore:There is a performance drop:UserWarning")  # torch has no batched way back for one of them
@pytest.mark.parametrize(
    "pool",
    [lambda: nn.MaxPool2d(2, dilation=2), lambda: nn.FractionalMaxPool2d(2, output_size=4), nn.Identity],
    ids=["dilated", "fractional", "none"],
)
def test_only_poolings_that_can_be_spread_are(pool: Callable[[], nn.Module]) -> None:
    net, x = nn.Sequential(pool(), nn.Conv2d(1, 1, 3)), picture(1, 9, 9)
    if isinstance(net[0], nn.MaxPool2d):
        with pytest.raises(ModelError, match=r"cannot change the way back through a maximum pooling: found MaxPool2DWith"):
            DeconvnetUnpooled(net, "1").explain(x, [0])
        assert Deconvnet(net, "1").explain(x, [0]).any()
    else:
        assert DeconvnetUnpooled(net, "1").explain(x, [0]).any()


def test_a_pooling_that_is_a_function_is_spread_like_a_module() -> None:
    net, x = seeded(Functional), picture(2, 12, 12)
    pooled = nn.Sequential(net.conv1, net.act, net.conv2, nn.ReLU(), net.conv3, nn.MaxPool2d(2), nn.Flatten())
    assert_close(DeconvnetUnpooled(net).explain(x, target=0), DeconvnetUnpooled(pooled).explain(x, target=0))


def identity(channels: int = 1) -> nn.Conv2d:
    """A convolution that gives what it gets."""
    conv = nn.Conv2d(channels, channels, 1, bias=False)
    nn.init.eye_(conv.weight.data[:, :, 0, 0])
    return conv


X = torch.tensor([[1.0, 2, 0, 0], [3, 4, 0, 9], [0, -1, 7, 0], [-5, -2, 0, 6]])[None, None]


def test_switches_by_hand() -> None:
    """Two poolings: 4 9 / 0 7, then 9. What comes back lies where the maxima were."""
    net = nn.Sequential(identity(), nn.MaxPool2d(2), identity())
    found = Deconvnet(net, "2", at="sum").explain(X, [0])
    assert found[0, 0].tolist() == [[0, 0, 0, 0], [0, 1, 0, 1], [1, 0, 1, 0], [0, 0, 0, 0]]
    pooled, switches = F.max_pool2d(X, 2, return_indices=True)
    assert_close(found, F.max_unpool2d(torch.ones_like(pooled), switches, 2))
    assert Deconvnet(net, "2").explain(X, [0])[0, 0].tolist() == [[0, 0, 0, 0], [0, 0, 0, 1], [0, 0, 0, 0], [0, 0, 0, 0]]


def test_without_switches_by_hand() -> None:
    net = nn.Sequential(identity(), nn.MaxPool2d(2), identity())
    expected = torch.zeros(4, 4)
    expected[:2, 2:] = 1 / 4  # the window of the 9
    assert_close(DeconvnetUnpooled(net, "2").explain(X, [0])[0, 0], expected)
    whole = nn.Sequential(nn.AdaptiveMaxPool2d(1), identity())
    assert_close(DeconvnetUnpooled(whole, "1").explain(X, [0])[0, 0], torch.full((4, 4), 1 / 16))
    border = nn.Sequential(nn.MaxPool2d(3, 3, padding=1), identity())
    expected = torch.zeros(4, 4)
    expected[:2, 2:] = 1 / 4  # of nine pixels five are padding
    assert_close(DeconvnetUnpooled(border, "1", at=(0, 1)).explain(X, [0])[0, 0], expected)


def rectified(weights: tuple[float, float]) -> nn.Sequential:
    """relu of each channel, then their weighted sum."""
    last = nn.Conv2d(2, 1, 1, bias=False)
    last.weight.data[0, :, 0, 0] = torch.tensor(weights)
    return nn.Sequential(identity(2), nn.ReLU(), last)


def test_relus_by_hand() -> None:
    """Channel 0: +, channel 1: -, at one pixel; what each rule lets back."""
    x = torch.tensor([1.0, -1.0])[None, :, None, None]
    for weights, gradient, guided, deconvolved in (
        ((2.0, 3.0), [2, 0], [2, 0], [2, 3]),
        ((-2.0, 3.0), [-2, 0], [0, 0], [0, 3]),
        ((-2.0, -3.0), [-2, 0], [0, 0], [0, 0]),
    ):
        net = rectified(weights)
        for method, expected in ((Gradient, gradient), (GuidedBackprop, guided), (Deconvnet, deconvolved)):
            assert method(net, "2").explain(x, [0]).flatten().tolist() == expected


@pytest.mark.parametrize("method", RULED)
def test_the_way_forward_stays_the_same(method: type[Backprop]) -> None:
    """Also where others read what a ReLU in place has written."""

    class Shortcut(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(1, 3, 3)
            self.relu = nn.ReLU(inplace=True)
            self.pool = nn.MaxPool2d(2)
            self.seen: list[torch.Tensor] = []

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.conv(x)
            x = self.pool(self.relu(x) + x)
            self.seen.append(x.detach().clone())
            return x

    net, x = Shortcut(), picture(1, 8, 8)
    net(x)
    method(net, "pool").explain(x, [0, 1])
    assert torch.equal(net.seen[0], net.seen[1])


@pytest.mark.parametrize("method", RULED)
def test_nothing_is_left_behind(method: type[Backprop]) -> None:
    net = seeded(Reused)
    net.relu.forward = before = net.relu.forward  # type: ignore[method-assign, operator]  # somebody else's patch
    method(net, "conv3").explain(picture(2, 12, 12), [0])
    assert vars(net.relu)["forward"] is before
    del net.relu.forward
    assert untouched(net)


def test_other_activations_keep_their_gradient() -> None:
    net, x = nn.Sequential(nn.Conv2d(1, 3, 3), nn.LeakyReLU(0.2), nn.Conv2d(3, 2, 3)), picture(1, 8, 8)
    assert torch.equal(GuidedBackprop(net, "2").explain(x, [1]), Gradient(net, "2").explain(x, [1]))


# The way back through windows gives what the way back through whole maps gives, at every border.

METHODS = (Gradient, GuidedBackprop, Deconvnet)
CONVOLUTIONS: dict[str, dict[str, Any]] = {
    "plain": {"kernel_size": 3},
    "padded": {"kernel_size": 3, "padding": 2},
    "strided": {"kernel_size": 5, "stride": 2, "padding": 1},
    "uneven": {"kernel_size": (3, 5), "stride": (3, 2), "padding": (0, 2)},
    "rest": {"kernel_size": 2, "stride": 4},  # pixels that nothing sees
    "dilated": {"kernel_size": 3, "dilation": 2, "padding": 2},
    "both": {"kernel_size": 3, "dilation": 2, "stride": 2},
    "groups": {"kernel_size": 4, "stride": 3, "groups": 2},
    "same": {"kernel_size": 3, "padding": "same"},
    "reflecting": {"kernel_size": 3, "padding": 1, "padding_mode": "reflect"},
}


class Net(nn.Sequential):
    def __init__(self, **options: Any) -> None:
        super().__init__(
            nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2, padding=1), nn.Conv2d(4, 6, **options), nn.ReLU(),
            nn.Conv2d(6, 3, 2, padding=1),
        )  # fmt: skip


def dense(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backprop, "WINDOWED", BackwardRule("none", {}, {}, {}))


@pytest.mark.parametrize("options", CONVOLUTIONS.values(), ids=CONVOLUTIONS)
@pytest.mark.parametrize("method", METHODS)
def test_every_position(method: type[Gradient], options: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    net, x = seeded(lambda: Net(**options)), picture(2, 21, 18)
    height, width = net(x).shape[2:]
    places: Any = [(row, column) for row in (0, height // 2, height - 1) for column in (0, width // 2, width - 1)]
    found = [method(net, "5", at=at).explain(x, [0, 2]) for at in ("max", "sum", *places)]
    assert untouched(net)
    dense(monkeypatch)
    for at, one in zip(("max", "sum", *places), found, strict=True):
        assert_close(one, method(net, "5", at=at).explain(x, [0, 2]), rtol=1e-5, atol=1e-6)


def test_only_windows_are_calculated(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of one position: as much of the maps as it sees."""
    net, x = seeded(lambda: Net(kernel_size=3)), picture(2, 21, 18)
    seen = []
    spread = backprop._transposed
    monkeypatch.setattr(backprop, "_transposed", lambda part, conv: seen.append(tuple(part.shape)) or spread(part, conv))
    found = Gradient(net, "5", at=(4, 4)).explain(x, [1, 2])
    assert [shape[0] for shape in seen] == [2, 2, 2]
    assert seen[0][2:] == (1, 1)
    assert max(seen[1][2:]) <= 2
    assert max(seen[2][2:]) <= 9  # of a window of four, through a pooling of three in steps of two
    assert found.any()


def test_units_whose_gradient_is_zero_everywhere() -> None:
    net, x = seeded(lambda: Net(kernel_size=3)), picture(2, 21, 18)
    with torch.no_grad():
        net[0].weight.zero_()
        net[0].bias.fill_(-1)
    assert not GuidedBackprop(net, "5").explain(x, [0, 1]).any()


def test_values_that_are_no_numbers_come_through(monkeypatch: pytest.MonkeyPatch) -> None:
    net, x = nn.Sequential(nn.Conv2d(1, 1, 3), nn.Conv2d(1, 1, 1)), picture(1, 6, 6)
    with torch.no_grad():
        net[1].weight.fill_(float("nan"))
    assert int(Gradient(net, "1", at=(1, 1)).explain(x, [0]).isnan().sum()) == 9


def test_a_convolution_of_another_kind_keeps_its_own_way_back(monkeypatch: pytest.MonkeyPatch) -> None:
    class Doubled(nn.Conv2d):
        def _conv_forward(self, *given: Any) -> torch.Tensor:
            return 2 * super()._conv_forward(*given)

    net, x = seeded(lambda: nn.Sequential(Doubled(2, 3, 3))), picture(2, 6, 6)
    found = Gradient(net, "0").explain(x, [0, 1])
    dense(monkeypatch)
    assert_close(found, Gradient(net, "0").explain(x, [0, 1]))


def test_one_unit_after_the_other() -> None:
    """Where a step has no batched way back."""

    class Twice(nn.Module):
        def forward(self, x: torch.Tensor) -> Any:
            return Doubled.apply(x)  # type: ignore[no-untyped-call]

    plain, x = seeded(lambda: Net(kernel_size=3, padding=1)), picture(2, 21, 18)
    found = Gradient(nn.Sequential(*list(plain)[:4], Twice(), *list(plain)[4:]), "6", at=(0, 3)).explain(x, [0, 2])
    doubled = seeded(lambda: Net(kernel_size=3, padding=1))
    with torch.no_grad():
        for parameter in doubled.get_submodule("3").parameters():
            parameter.mul_(2)
    assert_close(found, Gradient(doubled, "5", at=(0, 3)).explain(x, [0, 2]))


def test_pictures_without_a_batch() -> None:
    class Unbatched(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(2, 3, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            output: torch.Tensor = self.conv(x[0])[None]
            return output

    net, x = seeded(lambda: nn.Sequential(Unbatched())), picture(2, 6, 6)
    assert_close(Gradient(net, "0", at=(0, 1)).explain(x, [2])[0, :, :3, 1:4], net[0].conv.weight[2].detach())

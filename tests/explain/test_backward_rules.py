"""ReLUs and poolings on the way back: what goes through, what is refused, what is left behind."""

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.testing import assert_close

from livecnn.errors import ModelError
from livecnn.explain.backprop import Backprop
from livecnn.explain.methods.deconvnet import Deconvnet
from livecnn.explain.methods.deconvnet_unpooled import DeconvnetUnpooled
from livecnn.explain.methods.gradient import Gradient
from livecnn.explain.methods.guided_backprop import GuidedBackprop
from tests.helpers.relu_networks import Functional, Reused, picture, seeded, untouched

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
def test_a_relu_that_is_a_function_is_refused(method: type[Backprop], rectify: str) -> None:
    net = seeded(lambda: Functional(RECTIFIERS[rectify]))
    for explain in (
        lambda: method(net, "conv3").explain(picture(2, 12, 12), [0]),
        lambda: method(net).explain(picture(2, 12, 12), target=0),
    ):
        with pytest.raises(ModelError, match=rf"^{method(net).kind} needs ReLU modules; '\w+' in the forward pass is a function"):
            explain()
    assert untouched(net)


def test_the_function_is_named_as_a_probe_names_it() -> None:
    class Two(Functional):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.conv3(F.relu(self.conv2(self.act(self.conv1(x))))).relu()  # type: ignore[no-any-return]

    with pytest.raises(ModelError, match="ReLU modules; 'relu' in the forward pass is a function"):
        GuidedBackprop(seeded(Two), "conv3").explain(picture(2, 12, 12), [0])


def test_a_function_that_cannot_be_traced_is_told_by_its_kind() -> None:
    class Depending(Functional):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x) if x.sum() < 1e9 else x

    with pytest.raises(ModelError, match="guided_backprop needs ReLU modules; found ReluBackward0 on the way back"):
        GuidedBackprop(seeded(Depending), "conv3").explain(picture(2, 12, 12), [0])


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
        with pytest.raises(ModelError, match=r"deconvnet_unpooled needs undilated MaxPool2d modules; found MaxPool2DWithIndices"):
            DeconvnetUnpooled(net, "1").explain(x, [0])
        assert Deconvnet(net, "1").explain(x, [0]).any()
    else:
        assert DeconvnetUnpooled(net, "1").explain(x, [0]).any()


def test_a_pooling_that_is_a_function_is_refused() -> None:
    class Pooled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(1, 1, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.conv(F.max_pool2d(x, 2))  # type: ignore[no-any-return]

    with pytest.raises(ModelError, match="undilated MaxPool2d modules; 'max_pool2d' in the forward pass"):
        DeconvnetUnpooled(Pooled(), "conv").explain(picture(1, 8, 8), [0])


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
    with pytest.raises(RuntimeError, match="channels"):
        method(net, "conv3").explain(picture(5, 12, 12), [0])
    assert untouched(net)


def test_other_activations_keep_their_gradient() -> None:
    net, x = nn.Sequential(nn.Conv2d(1, 3, 3), nn.LeakyReLU(0.2), nn.Conv2d(3, 2, 3)), picture(1, 8, 8)
    assert torch.equal(GuidedBackprop(net, "2").explain(x, [1]), Gradient(net, "2").explain(x, [1]))

"""The way back through windows gives what the way back through whole maps gives, at every border."""

from typing import Any

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from livecnn.explain import backprop as _backprop
from livecnn.explain import sparse_backward as _windows
from livecnn.explain.backward_rules import BackwardRule
from livecnn.explain.methods.deconvnet import Deconvnet
from livecnn.explain.methods.gradient import Gradient
from livecnn.explain.methods.guided_backprop import GuidedBackprop
from livecnn.explain.methods.integrated_gradients import IntegratedGradients
from tests.helpers.relu_networks import Doubled, picture, seeded, untouched

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
    monkeypatch.setattr(_backprop, "WINDOWED", BackwardRule("none", {}, {}))


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
    spread = _windows._spread
    monkeypatch.setattr(_windows, "_spread", lambda part, conv: seen.append(tuple(part.shape)) or spread(part, conv))
    place: Any = (4, 4)
    found = Gradient(net, "5", at=place).explain(x, [1, 2])
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
    place: Any = (1, 1)
    assert int(Gradient(net, "1", at=place).explain(x, [0]).isnan().sum()) == 9


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
    place: Any = (0, 3)
    found = Gradient(nn.Sequential(*list(plain)[:4], Twice(), *list(plain)[4:]), "6", at=place).explain(x, [0, 2])
    doubled = seeded(lambda: Net(kernel_size=3, padding=1))
    with torch.no_grad():
        for parameter in doubled.get_submodule("3").parameters():
            parameter.mul_(2)
    assert_close(found, Gradient(doubled, "5", at=place).explain(x, [0, 2]))


def test_pictures_without_a_batch() -> None:
    class Unbatched(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(2, 3, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            output: torch.Tensor = self.conv(x[0])[None]
            return output

    net, x = seeded(lambda: nn.Sequential(Unbatched())), picture(2, 6, 6)
    place: Any = (0, 1)
    assert_close(Gradient(net, "0", at=place).explain(x, [2])[0, :, :3, 1:4], net[0].conv.weight[2].detach())


def test_double_precision_and_integrated_gradients() -> None:
    net, x = seeded(lambda: Net(kernel_size=5, stride=2)).double(), picture(2, 21, 18).double()
    ours = IntegratedGradients(net, "5", steps=200).explain(x, [1])
    maps = net(x)[0, 1]
    at = divmod(int(maps.argmax()), maps.shape[1])
    assert_close(ours.sum(), maps.max().detach() - net(0 * x)[0, 1][at].detach(), rtol=0.01, atol=0.001)

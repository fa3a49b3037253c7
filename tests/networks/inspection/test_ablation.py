from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.testing import assert_close

from livecnn.errors import ModelError
from livecnn.explain.methods.gradient import Gradient
from livecnn.explain.methods.guided_backprop import GuidedBackprop
from livecnn.networks.architectures.caffe import Caffe
from livecnn.networks.architectures.lenet import Lenet
from livecnn.networks.architectures.resnet import Block
from livecnn.networks.inspection.ablation import Ablation
from livecnn.networks.inspection.probe import Probe, layers_of
from tests.helpers.failures import Trouble, after
from tests.helpers.relu_networks import hooks

DIGIT = torch.rand(2, 1, 28, 28, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def lenet() -> Lenet:
    torch.manual_seed(0)
    return Lenet().eval()


def by_hand(net: Lenet, x: torch.Tensor, **muted: list[int]) -> torch.Tensor:
    """LeNet, function by function; by layer the units that are 0."""

    def without(layer: str, y: torch.Tensor) -> torch.Tensor:
        kept = torch.tensor([unit not in muted.get(layer, ()) for unit in range(y.shape[1])])
        return y * kept.view(-1, *[1] * (y.ndim - 2))

    y = F.max_pool2d(without("conv1", F.conv2d(x, net.conv1.weight, net.conv1.bias)), 2)
    y = F.max_pool2d(without("conv2", F.conv2d(y, net.conv2.weight, net.conv2.bias)), 2)
    y = without("ip1", F.relu(F.linear(y.flatten(1), net.ip1.weight, net.ip1.bias)))
    return without("prob", F.linear(y, net.ip2.weight, net.ip2.bias).softmax(1))


@pytest.mark.parametrize(
    "muted",
    [
        {},
        {"conv1": [3]},
        {"conv2": [0, 49]},
        {"ip1": list(range(500))},
        {"conv1": [0, 1, 19], "ip1": [7]},
        {"prob": [4]},
    ],
    ids=str,
)
@pytest.mark.parametrize("mode", [torch.enable_grad, torch.no_grad, torch.inference_mode])
def test_what_is_muted_is_0_for_all_that_comes_after(
    muted: dict[str, list[int]], mode: Callable[[], torch.no_grad], lenet: Lenet
) -> None:
    with Ablation(lenet) as muting, mode():
        muting.set([(layer, unit) for layer, units in muted.items() for unit in units])
        for _ in range(2):
            assert_close(lenet(DIGIT), by_hand(lenet, DIGIT, **muted))


def test_what_is_set_replaces_what_was_muted_before(lenet: Lenet) -> None:
    muting = Ablation(lenet)
    muting.set({("conv1", 3)})
    assert_close(lenet(DIGIT), by_hand(lenet, DIGIT))
    with muting:
        assert_close(lenet(DIGIT), by_hand(lenet, DIGIT, conv1=[3]))
        muting.set({("conv1", 5), ("conv2", 1)})
        assert_close(lenet(DIGIT), by_hand(lenet, DIGIT, conv1=[5], conv2=[1]))
        muting.set(())
        assert_close(lenet(DIGIT), by_hand(lenet, DIGIT))
        assert hooks(lenet) == 0
        muting.set({("ip1", 2)})
    assert_close(lenet(DIGIT), by_hand(lenet, DIGIT))
    with muting:
        assert_close(lenet(DIGIT), by_hand(lenet, DIGIT, ip1=[2]))


@pytest.mark.parametrize("probe_first", [True, False])
def test_whoever_looks_sees_the_muted_value(probe_first: bool, lenet: Lenet) -> None:
    muting, probe = Ablation(lenet), Probe(lenet, ["conv1", "ip1", "relu1"])
    first, second = (probe, muting) if probe_first else (muting, probe)
    with first, second:
        muting.set({("conv1", 3), ("ip1", 7)})
        for _ in range(2):
            _, seen = probe(DIGIT)
            assert not seen["conv1"][:, 3].any()
            assert_close(seen["conv1"][:, 4:], lenet.conv1(DIGIT).detach()[:, 4:])
            assert not seen["ip1"][:, 7].any()
            assert torch.equal(seen["ip1"], seen["relu1"])


def test_hooks_live_as_long_as_the_with(lenet: Lenet) -> None:
    muting = Ablation(lenet)
    muting.set({("conv1", 3), ("conv1", 4), ("ip1", 0)})
    assert hooks(lenet) == 0
    with muting, muting:
        assert hooks(lenet) == 3  # one tells that a pass begins
    assert hooks(lenet) == 0


def test_hooks_are_gone_after_an_exception_in_the_forward_pass(lenet: Lenet) -> None:
    with pytest.raises(RuntimeError, match="Kernel size"), Ablation(lenet) as muting:
        muting.set({("conv1", 3)})
        lenet(torch.zeros(1, 1, 9, 9))
    assert hooks(lenet) == 0


def test_hooks_are_gone_after_an_exception_while_they_are_made(lenet: Lenet, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse = after(0, Trouble("no more hooks"), lambda: None)
    muting = Ablation(lenet)
    muting.set([("conv1", 3), ("ip1", 3)])
    monkeypatch.setattr(lenet.relu1, "register_forward_hook", refuse)
    with pytest.raises(Trouble, match="no more hooks"), muting:
        pytest.fail("entered")
    assert hooks(lenet) == 0


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ("conv3", r"^unknown layer 'conv3'; only whole modules can be muted; did you mean 'conv\d'\? allowed: conv1, pool1"),
        ("conv1.0", r"^unknown layer 'conv1\.0'; only whole modules can be muted; did you mean 'conv1'\?"),
        ("", "^unknown layer ''"),
        ("flatten", r"^layer 'flatten' is a function in the forward pass; only modules can be muted$"),
    ],
)
def test_an_unknown_layer_is_refused_and_changes_nothing(layer: str, message: str, lenet: Lenet) -> None:
    with Ablation(lenet) as muting:
        muting.set({("conv1", 3)})
        with pytest.raises(ModelError, match=message):
            muting.set([("ip1", 0), (layer, 0)])
        assert_close(lenet(DIGIT), by_hand(lenet, DIGIT, conv1=[3]))
    assert hooks(lenet) == 0


@pytest.mark.parametrize("unit", [-1, 20])
def test_a_unit_that_is_not_there_is_told_by_the_pass(unit: int, lenet: Lenet) -> None:
    with Ablation(lenet) as muting:
        muting.set({("conv1", 0), ("conv1", unit)})
        with pytest.raises(ModelError, match=rf"^unit {unit}: layer 'conv1' has 20 \(0-19\)$"):
            lenet(DIGIT)
    assert hooks(lenet) == 0


class Decides(nn.Module):
    """Where the data decide, no graph can be made."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(4, 3)
        self.flat = nn.Flatten(0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.flat(self.lstm(x)[0])
        return y if y.sum() > 0 else -y


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ("lstm", r"^layer 'lstm' gave a tuple; a tensor \(N, units, …\) can be muted$"),
        ("flat", r"^layer 'flat' gave a shape \(6,\); a tensor \(N, units, …\) can be muted$"),
        ("add", "^unknown layer 'add'; only whole modules can be muted; allowed: lstm, flat$"),
    ],
)
def test_what_cannot_be_muted_is_told(layer: str, message: str) -> None:
    net = Decides()
    with pytest.raises(ModelError, match=message), Ablation(net) as muting:
        muting.set({(layer, 0)})
        net(torch.zeros(2, 4))
    assert hooks(net) == 0


class Reused(nn.Module):
    """One ReLU for everything, under two names."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 6), nn.Linear(6, 5)
        self.relu = self.same = nn.ReLU(inplace=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.relu(self.second(self.relu(self.first(x))))
        return y


@pytest.mark.parametrize("name", ["relu", "same"])
def test_every_call_of_a_module_is_muted_by_itself(name: str) -> None:
    net, x = Reused(), torch.randn(3, 4)
    ones = torch.ones(6)
    with torch.no_grad():
        net.first.bias.copy_(ones)
        net.second.bias.copy_(ones[:5])
    once = F.relu(net.first(x))
    with Ablation(net) as muting:
        for _ in range(2):
            muting.set({(f"{name}:2", 1)})
            found = net(x)
            assert_close(found, F.relu(net.second(once)) * torch.tensor([1, 0, 1, 1, 1]))
            muting.set({(name, 1), ("relu:2", 2), ("same:2", 3)})
            for _ in range(2):
                wanted = net.second(once * torch.tensor([1, 0, 1, 1, 1, 1]))
                assert_close(net(x), F.relu(wanted) * torch.tensor([1, 1, 0, 0, 1]))


def test_a_pass_that_fails_leaves_the_count_of_calls_right() -> None:
    net, x = Reused(), torch.randn(3, 4)
    with Ablation(net) as muting:
        muting.set({("relu", 1)})
        wanted = net(x)
        net.second.register_forward_pre_hook(lambda *_: (torch.zeros(1, 1),))
        with pytest.raises(RuntimeError, match="shapes"):
            net(x)
        net.second._forward_pre_hooks.clear()
        assert torch.equal(net(x), wanted)


def test_a_caffe_blob_is_0_after_the_last_layer_that_writes_it() -> None:
    torch.manual_seed(0)
    layers = [
        {"name": "conv", "type": "Convolution", "bottom": ["data"], "top": ["conv"], "num_output": 3, "kernel_size": [3]},
        {"name": "shift", "type": "Bias", "bottom": ["conv"], "top": ["conv"]},
        {"name": "relu", "type": "ReLU", "bottom": ["conv"], "top": ["conv"]},
        {"name": "ip", "type": "InnerProduct", "bottom": ["conv"], "top": ["ip"], "num_output": 2},
    ]
    net = Caffe(layers, {"data": [1, 1, 5, 5]})
    for parameter in net.parameters():
        nn.init.constant_(parameter, 0.5)
    x = torch.rand(1, 1, 5, 5)
    with Ablation(net) as muting, Probe(net, ["conv", "shift", "relu"]) as probe:
        muting.set({("conv", 1)})
        scores, seen = probe(x)
        assert seen["shift"][:, 1].all()
        assert (seen["conv"].flatten(2).sum(2) == 0).tolist() == [[False, True, False]]
        assert torch.equal(seen["conv"], seen["relu"])
        assert_close(scores, seen["conv"].flatten(1) @ torch.full((27, 2), 0.5) + 0.5)


def test_a_way_around_a_layer_carries_what_it_always_did() -> None:
    torch.manual_seed(0)
    net, x = Block(2, 2, 1).eval(), torch.randn(1, 2, 4, 4)
    with Ablation(net) as muting:
        muting.set({("bn2", 0), ("bn2", 1)})
        assert_close(net(x), F.relu(x))
    kept = x.clone()
    around = nn.Sequential(nn.Identity(), nn.Dropout()).eval()  # give what they were given
    with Ablation(around) as muting:
        muting.set({("0", 0), ("1", 1)})
        assert not around(x).any()
    assert torch.equal(x, kept)


class Steps(nn.Module):
    """Functions, and blocks that are gone through step by step; one of them twice."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 2, 3, padding=1)
        self.block = nn.Sequential(nn.Conv2d(2, 2, 3, padding=1), nn.Tanh())
        self.relu = nn.ReLU(inplace=True)
        self.head = nn.Conv2d(2, 3, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.relu(self.conv(x))
        y = self.block(torch.sin(self.block(y))) + y
        return self.head(self.relu(torch.cos(y))).flatten(1)


@pytest.mark.parametrize("muted", [("conv", 0), ("relu", 1), ("relu:2", 0), ("block", 0), ("block:2", 1), ("block.0:2", 1)])
def test_a_network_that_goes_step_by_step_is_muted_too(muted: tuple[str, int]) -> None:
    torch.manual_seed(0)
    net, x = Steps().eval(), torch.randn(1, 2, 4, 4)
    names = [name for name in layers_of(net, x) if name not in ("conv", "head")]
    before = net(x)
    with Ablation(net) as muting, Probe(net, names) as probe:
        for units in ({muted}, set(), {muted}):
            muting.set(units)
            wanted = net(x)
            assert torch.equal(wanted, before) is not bool(units)
            for _ in range(2):
                scores, seen = probe(x)
                assert_close(scores, wanted.detach())
        assert muted[0] == "conv" or not seen[muted[0]][:, muted[1]].any()
        assert layers_of(net, x).keys() == {*names, "conv", "head"}
    assert_close(Probe(net, []).__enter__()(x)[0], before.detach())


def test_no_gradient_comes_back_through_a_muted_unit(lenet: Lenet) -> None:
    with Ablation(lenet) as muting:
        muting.set({("conv1", 3), ("ip1", 7)})
        with torch.inference_mode():
            lenet(DIGIT)  # what is kept of this pass may be of use to one with gradients
        lenet.logits(DIGIT[:1])
        lenet(DIGIT)[:, 2].sum().backward()
    for layer, unit in ((lenet.conv1, 3), (lenet.ip1, 7)):
        assert layer.weight.grad is not None
        assert not layer.weight.grad[unit].any()
        assert layer.weight.grad[unit + 1].any()


@pytest.mark.parametrize("method", [Gradient, GuidedBackprop])
def test_an_explanation_is_that_of_the_muted_network(method: type[Gradient | GuidedBackprop], lenet: Lenet) -> None:
    units = list(range(0, 20, 2))
    x = DIGIT[:1]
    before = method(lenet).explain(x, target=3)
    with Ablation(lenet) as muting:
        muting.set([("conv1", unit) for unit in units])
        found = method(lenet).explain(x, target=3)
        of_units = method(lenet, "conv1").explain(x, units=[0, 1])
    with torch.no_grad():
        lenet.conv1.weight[units] = 0
        lenet.conv1.bias[units] = 0
    assert_close(found, method(lenet).explain(x, target=3))
    assert not torch.allclose(found, before)
    assert not of_units[0].any()
    assert of_units[1].any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_the_output_stays_what_it_was_but_for_the_unit(dtype: torch.dtype, device: str) -> None:
    net = nn.Sequential(nn.Identity())
    seen: list[torch.Tensor] = []
    net[0].register_forward_hook(lambda _m, _i, output: seen.append(output))
    x = torch.rand(1, 2, 4, 4).to(memory_format=torch.channels_last)
    with Ablation(net) as muting:
        muting.set({("0", 1)})
        net(x)
        net(x.to(device, dtype))
    assert seen[1].dtype == dtype
    assert seen[1].device.type == device
    assert seen[1].is_contiguous(memory_format=torch.channels_last)


def test_what_is_not_a_number_is_0_too() -> None:
    net = nn.Sequential(nn.Identity())
    with Ablation(net) as muting:
        muting.set({("0", 0), ("0", 1)})
        assert net(torch.tensor([[torch.nan, -torch.inf, 3.0]])).tolist() == [[0, 0, 3]]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no CUDA device")
def test_a_muted_pass_can_be_recorded_as_a_cuda_graph(lenet: Lenet) -> None:
    x = DIGIT.cuda()
    lenet.cuda()
    with Ablation(lenet) as muting, torch.no_grad():
        muting.set({("conv1", 3), ("ip1", 7)})
        wanted = lenet(x)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            found = lenet(x)
        graph.replay()
        assert_close(found, wanted)

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.testing import assert_close

from livecnn.errors import ModelError
from livecnn.networks.architectures.lenet import Lenet
from livecnn.networks.inspection.probe import Probe, class_weights, layers_of
from tests.helpers.relu_networks import hooks


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
        Probe(net, [""])


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


class GivesNumbers(nn.Module):
    def forward(self, x: torch.Tensor) -> tuple[int, ...]:
        return tuple(x.shape)


class Odd(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.numbers = GivesNumbers()
        self.unused = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.reshape(self.numbers(x)[0], -1)


@pytest.mark.parametrize(
    ("layer", "message"),
    [("numbers", "layer 'numbers' gave a tuple; a tensor is needed"), ("unused", "layer 'unused' did not run")],
)
def test_a_layer_that_gives_no_tensor_is_told(layer: str, message: str, x: torch.Tensor) -> None:
    net = Odd()
    with pytest.raises(ModelError, match=message), Probe(net, [layer]) as probe:
        probe(x)
    assert hooks(net) == 0


def test_a_probe_outside_its_with_says_so(net: nn.Module, x: torch.Tensor) -> None:
    with pytest.raises(ModelError, match="the probe inside its `with`"):
        Probe(net, ["0"])(x)


class Reused(nn.Module):
    """One ReLU for everything, and an LSTM, whose output is nested."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 6), nn.Linear(6, 5)
        self.relu = self.same = nn.ReLU(inplace=True)
        self.lstm = nn.LSTM(5, 3, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.relu(self.second(self.relu(self.first(x))))
        scores: torch.Tensor = self.lstm(y[:, None])[0][:, 0]
        return scores


def test_every_call_of_a_module_has_its_own_name() -> None:
    net, x = Reused(), torch.randn(2, 4)
    with Probe(net, ["relu", "relu:1", "relu:2", "same:2", "second"]) as probe:
        for _ in range(2):
            _, activations = probe(x)
    once = F.relu(net.first(x))
    assert_close(activations["relu"], once)
    assert_close(activations["relu:1"], once)
    assert_close(activations["second"], net.second(once))
    assert_close(activations["relu:2"], F.relu(net.second(once)))
    assert torch.equal(activations["same:2"], activations["relu:2"])


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ("relu:3", r"^layer 'relu:3' did not run: 'relu' runs 2 times in a pass$"),
        ("lstm.7", r"^unknown layer 'lstm\.7'; did you mean .*allowed: lstm, lstm\.0, lstm\.1\.0, lstm\.1\.1$"),
        ("relu:x", r"^unknown layer 'relu:x'; did you mean 'relu:2'\? allowed: first, second, relu, same, lstm, relu:2, getitem"),
    ],
)
def test_a_call_or_a_part_that_is_not_there(layer: str, message: str) -> None:
    net = Reused()
    with pytest.raises(ModelError, match=message), Probe(net, [layer]) as probe:
        probe(torch.zeros(1, 4))
    assert hooks(net) == 0


def test_several_tensors_have_names_by_their_place() -> None:
    net, x = Reused(), torch.randn(2, 4)
    with Probe(net, ["lstm", "lstm.0", "lstm.1.0", "lstm:1.1.1"]) as probe:
        _, activations = probe(x)
    everything, (hidden, cell) = net.lstm(F.relu(net.second(F.relu(net.first(x))))[:, None])
    for layer, wanted in zip(activations, (everything, everything, hidden, cell), strict=True):
        assert_close(activations[layer], wanted.detach())


@dataclass
class Output:
    maps: torch.Tensor
    logits: torch.Tensor


class Returns(nn.Module):
    """Gives its maps and its scores in one of many wrappings."""

    def __init__(self, wrap: Callable[[torch.Tensor, torch.Tensor], object]) -> None:
        super().__init__()
        self.conv, self.wrap = nn.Conv2d(1, 3, 8), wrap

    def forward(self, x: torch.Tensor) -> object:
        return self.wrap(x, self.conv(x).flatten(1))


@pytest.mark.parametrize(
    "wrap",
    [lambda maps, s: (maps, s), lambda maps, s: [[maps], s], lambda maps, s: {"aux": maps, "out": s, "loss": None}, Output],
    ids=["tuple", "nested list", "dict", "dataclass"],
)
@pytest.mark.parametrize("layer", ["conv", "flatten"])
def test_the_scores_of_a_network_that_returns_several_tensors(
    wrap: Callable[[torch.Tensor, torch.Tensor], object], layer: str, x: torch.Tensor
) -> None:
    net = Returns(wrap)
    with Probe(net, [layer]) as probe:
        scores, activations = probe(x)
    assert_close(scores, net.conv(x).flatten(1).detach())
    assert_close(activations[layer].flatten(1), scores)


def test_a_network_without_scores_gives_its_first_tensor(x: torch.Tensor) -> None:
    with Probe(Returns(lambda maps, s: {"out": maps, "aux": maps}), ["conv"]) as probe:
        assert probe(x)[0].shape == (1, 1, 8, 8)


def test_a_network_without_tensors(x: torch.Tensor) -> None:
    net = Returns(lambda maps, s: None)
    message = r"^the network returns a NoneType without a tensor \(N, …\); one is needed"
    with pytest.raises(ModelError, match=message), Probe(net, ["conv"]) as probe:
        probe(x)
    assert hooks(net) == 0


class Residual(nn.Module):
    """Functions between modules, a block of its own, a constant, arguments with defaults, and a mode that matters."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3, padding=1)
        self.block = nn.Sequential(nn.Conv2d(2, 2, 3, padding=1), nn.BatchNorm2d(2))
        self.pair = Pair()
        self.head = nn.Linear(128, 4)

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None = None, *, scale: float = 2.0) -> torch.Tensor:
        y = F.relu(self.conv(x))
        if mask is not None:
            y = y * mask
        y += self.block(y)
        a, b = self.pair(torch.relu(y))
        z = F.dropout(torch.flatten(a + b, 1), 0.5, self.training) * scale
        scores: torch.Tensor = self.head(z) + torch.arange(4.0)
        return scores


class Pair(nn.Module):
    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return x, x + 1


@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad, torch.enable_grad])
def test_functions_are_layers_too(mode: Callable[[], torch.no_grad], x: torch.Tensor) -> None:
    torch.manual_seed(0)
    net = Residual().eval()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    layers = ["conv", "relu", "block", "block.1", "relu_1", "pair", "pair.1", "add", "flatten"]
    with Probe(net, layers) as probe, mode():
        for _ in range(3):
            scores, activations = probe(x)
    assert set(activations) == set(layers)
    with torch.no_grad():
        relu = F.relu(net.conv(x))
        block = net.block(relu)
        wanted = {"conv": net.conv(x), "relu": relu, "block": block, "block.1": block, "relu_1": F.relu(relu + block)}
        wanted |= {"pair": wanted["relu_1"], "pair.1": wanted["relu_1"] + 1}
        for layer, value in wanted.items():
            assert_close(activations[layer], value, msg=layer)
        assert torch.equal(scores, net(x))
    assert vars(net).keys() == vars(Residual()).keys()  # the constant is not left in it
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert all(parameter.requires_grad for parameter in net.parameters())


def test_a_change_of_mode_changes_the_functions_as_well(x: torch.Tensor) -> None:
    net = Residual()
    with Probe(net, ["relu"]) as probe:
        for training in (True, False, True):
            net.train(training)
            torch.manual_seed(3)
            scores, _ = probe(x)
            torch.manual_seed(3)
            assert torch.equal(scores, net(x).detach())


def test_a_probe_of_functions_outside_its_with_says_so(x: torch.Tensor) -> None:
    with pytest.raises(ModelError, match=r"'relu' did not run; .* the probe inside its `with`"):
        Probe(Residual(), ["relu"])(x)


def test_an_error_of_the_network_keeps_its_words_among_functions() -> None:
    net = Residual()
    with pytest.raises(RuntimeError, match=r"^Given groups=1[^\n]*$"), Probe(net, ["relu"]) as probe:
        probe(torch.zeros(1, 5, 8, 8))


class Decides(nn.Module):
    """Where the data decide, no graph can be made."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = F.relu(self.conv(x))
        return y.flatten(1) if y.sum() > 0 else y.flatten(1) * 0


def test_where_functions_cannot_be_traced_only_modules_are_offered(x: torch.Tensor) -> None:
    with pytest.raises(
        ModelError,
        match=r"^unknown layer 'relu'; allowed: conv; torch\.fx cannot trace the functions in it: TraceError: symbolic",
    ):
        Probe(Decides(), ["relu"])
    with Probe(Decides(), ["conv"]) as probe:
        assert list(probe(x)[1]) == ["conv"]
    assert layers_of(Decides(), x) == {"conv": (1, 2, 6, 6)}


@pytest.mark.parametrize(("layer", "message"), [("adds", "did you mean 'add'"), ("relu:2", "unknown layer 'relu:2'")])
def test_unknown_functions_are_refused_with_the_nearest_name(layer: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        Probe(Residual(), [layer])


def test_modules_alone_are_never_traced(net: nn.Module, x: torch.Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("livecnn.networks.inspection.probe.FunctionTrace", lambda _: pytest.fail("traced"))
    with Probe(net, ["0", "2"]) as probe:
        probe(x)


def test_layers_of_lists_every_name_with_its_shape(x: torch.Tensor) -> None:
    net = Reused().train()
    shapes = layers_of(net, torch.zeros(2, 4))
    assert net.training
    assert hooks(net) == 0
    assert {name: shapes[name] for name in list(shapes)[:9]} == {
        "first": (2, 6), "relu": (2, 6), "second": (2, 5), "relu:2": (2, 5), "lstm": (2, 1, 3), "lstm.0": (2, 1, 3),
        "lstm.1.0": (1, 2, 3), "lstm.1.1": (1, 2, 3), "getitem": (2, 1, 5),
    }  # fmt: skip
    with Probe(net, shapes) as probe:
        _, activations = probe(torch.zeros(2, 4))
    assert {name: tuple(tensor.shape) for name, tensor in activations.items()} == shapes
    assert {"relu", "block", "pair.1", "flatten", "add_2"} <= layers_of(Residual(), x).keys()


def test_layers_of_leaves_no_hooks_when_the_network_fails(net: nn.Module) -> None:
    with pytest.raises(RuntimeError, match="channels"):
        layers_of(net, torch.zeros(1, 5, 8, 8))
    assert hooks(net) == 0


def test_probes_inside_probes(net: nn.Module, x: torch.Tensor) -> None:
    with Probe(net, ["0"]) as outer:
        with Probe(net, ["0", "2"]) as inner:
            assert torch.equal(inner(x)[1]["0"], outer(x)[1]["0"])
        assert hooks(net) == 1
        outer(x)
    assert hooks(net) == 0


def test_class_weights() -> None:
    net = Lenet()
    weights = class_weights(net, 500, 10)
    assert weights is not None
    assert torch.equal(weights, net.ip2.weight)
    assert not weights.requires_grad
    assert class_weights(net, 501, 10) is None

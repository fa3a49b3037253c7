"""Nodes, edges and receptive fields; the fields against what gradients say."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

import livecnn
from livecnn.networks.architectures.alexnet import Alexnet
from livecnn.networks.architectures.caffe import Caffe
from livecnn.networks.architectures.lenet import Lenet
from livecnn.networks.architectures.resnet import Resnet
from livecnn.networks.architectures.squeezenet import Squeezenet
from livecnn.networks.architectures.tiny_xception import TinyXception
from livecnn.networks.architectures.vgg import Vgg
from livecnn.networks.inspection.architecture import (
    Architecture,
    Node,
    ReceptiveField,
    WindowSpec,
    pair_text,
    size_text,
    window_facts,
    window_texts,
)
from livecnn.networks.inspection.probe import Probe
from tests.helpers import caffe_files

NETS: list[tuple[Callable[[], nn.Module], tuple[int, int, int]]] = [
    (Lenet, (1, 28, 28)),
    (lambda: Vgg(11), (3, 224, 224)),
    (Resnet, (3, 224, 224)),
    (Squeezenet, (3, 224, 224)),
    (TinyXception, (3, 112, 112)),
    (Alexnet, (3, 224, 224)),
]


def without_numbers(make: Callable[[], nn.Module], shape: tuple[int, ...]) -> tuple[nn.Module, torch.Tensor]:
    """A network and an input of shapes alone, which take neither time nor memory."""
    with torch.device("meta"):
        return make().eval(), torch.empty(1, *shape)


def nodes_of(module: nn.Module, x: torch.Tensor) -> dict[str, Node]:
    return {node.name: node for node in Architecture.of(module, x).nodes}


def small(*layers: nn.Module, shape: tuple[int, ...] = (1, 12, 12)) -> list[Node]:
    return list(Architecture.of(nn.Sequential(*layers).eval(), torch.zeros(1, *shape)).nodes)


def seen(module: nn.Module, layer: str, x: torch.Tensor, at: tuple[int, int]) -> tuple[tuple[int, int], ...]:
    """First and last row, first and last column on which the values of a layer at a position depend, by their gradient."""
    module = copy.deepcopy(module).double().eval()
    for name, inner in list(module.named_modules()):
        if isinstance(inner, nn.MaxPool2d):  # which hands the gradient to one alone
            mean = nn.AvgPool2d(inner.kernel_size, inner.stride, inner.padding, ceil_mode=inner.ceil_mode)
            module.set_submodule(name, mean)
    for name, parameter in module.named_parameters():
        nn.init.constant_(parameter, 0.0 if name.endswith("bias") else 1.0)
    return reached(module, layer, torch.ones_like(x, dtype=torch.float64), at)


def reached(module: nn.Module, layer: str, x: torch.Tensor, at: tuple[int, int]) -> tuple[tuple[int, int], ...]:
    """The same of a network without maxima and with weights above 0."""
    found: list[torch.Tensor] = []
    module.get_submodule(layer).register_forward_hook(lambda _module, _inputs, output: found.append(output))
    module(x.requires_grad_())
    found[0][0, :, at[0], at[1]].sum().backward()
    assert x.grad is not None
    touched = x.grad[0].abs().sum(0).nonzero()
    return tuple((int(touched[:, axis].min()), int(touched[:, axis].max())) for axis in (0, 1))


def told(field: ReceptiveField | None, at: tuple[int, int]) -> tuple[tuple[float, float], ...]:
    """The same by the field."""
    assert field is not None
    assert field.stride is not None
    assert field.centre is not None
    middle = [centre + step * place for centre, step, place in zip(field.centre, field.stride, at, strict=True)]
    return tuple((m - (size - 1) / 2, m + (size - 1) / 2) for m, size in zip(middle, field.size, strict=True))


def agree(module: nn.Module, layer: str, x: torch.Tensor) -> bool:
    """Whether there are fields inside the picture; then gradients have to say the same."""
    node = nodes_of(module, x)[layer]
    rows, columns = node.output[-2:]
    inside = False
    for at in ((rows // 2, columns // 2), (rows // 2 - 1, max(columns // 2 - 1, 0))):
        box = told(node.field, at)
        if at[0] >= 0 and all(first >= 0 and last < side for (first, last), side in zip(box, x.shape[-2:], strict=True)):
            inside = True
            assert seen(module, layer, x, at) == box, at
    return inside


# The picture


def test_lenet() -> None:
    found = Architecture.of(Lenet().eval(), torch.zeros(1, 1, 28, 28), "lenet")
    assert [(node.name, node.type, node.output, node.parameters, node.inputs) for node in found.nodes] == [
        ("conv1", "Conv2d", (20, 24, 24), 520, ("",)), ("pool1", "MaxPool2d", (20, 12, 12), 0, ("conv1",)),
        ("conv2", "Conv2d", (50, 8, 8), 25050, ("pool1",)), ("pool2", "MaxPool2d", (50, 4, 4), 0, ("conv2",)),
        ("flatten", "flatten", (800,), 0, ("pool2",)), ("ip1", "Linear", (500,), 400500, ("flatten",)),
        ("relu1", "ReLU", (500,), 0, ("ip1",)), ("ip2", "Linear", (10,), 5010, ("relu1",)),
        ("prob", "Softmax", (10,), 0, ("ip2",)),
    ]  # fmt: skip
    assert (found.name, found.input, found.layers, found.parameters) == ("lenet", (1, 28, 28), 8, 431080)
    fields = [node.field for node in found.nodes]
    assert fields[:4] == [
        ReceptiveField((5, 5), (1, 1), (2, 2)), ReceptiveField((6, 6), (2, 2), (2.5, 2.5)),
        ReceptiveField((14, 14), (2, 2), (6.5, 6.5)), ReceptiveField((16, 16), (4, 4), (7.5, 7.5)),
    ]  # fmt: skip
    assert fields[4:] == [ReceptiveField((16, 16)), *[ReceptiveField((28, 28))] * 4]


@pytest.mark.parametrize(("make", "shape"), NETS)
def test_every_node_is_one_that_a_probe_takes(make: Callable[[], nn.Module], shape: tuple[int, ...]) -> None:
    module, x = without_numbers(make, shape)
    nodes = nodes_of(module, x)
    with Probe(module, nodes) as probe:
        _, activations = probe(x)
    assert {name: tuple(tensor.shape[1:]) for name, tensor in activations.items()} == {
        name: node.output for name, node in nodes.items()
    }
    ran: list[str] = []
    leaves = {name for name, inner in module.named_modules() if not any(inner.children())}
    for name in leaves:
        module.get_submodule(name).register_forward_hook(lambda _m, _i, _o, name=name: ran.append(name))
    module(x)
    assert [name for name in nodes if name in leaves] == ran
    assert all(node.field is not None for node in nodes.values())
    assert sum(node.parameters for node in nodes.values()) == sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize(
    ("make", "layer", "size", "stride"),
    [
        (Alexnet, "features.12", 195, 32),  # these two are in the paper's table
        (lambda: Vgg(16), "features.30", 212, 32),
        (Resnet, "layer4.1.relu2", 435, 32),
    ],
)
def test_published_fields(make: Callable[[], nn.Module], layer: str, size: int, stride: int) -> None:
    field = nodes_of(*without_numbers(make, (3, 224, 224)))[layer].field
    assert field is not None
    assert (field.size, field.stride) == ((size, size), (stride, stride))


# Fields against gradients


@pytest.mark.parametrize(
    ("make", "shape", "layers"),
    [
        (Lenet, (1, 28, 28), ["conv1", "pool1", "conv2", "pool2"]),
        (lambda: Alexnet().features, (3, 231, 263), ["0", "2", "5", "12"]),
        (Resnet, (3, 129, 160), ["maxpool", "layer1.0.conv1", "layer1.0.relu2", "layer1.1.relu2", "layer2.0.relu2"]),
        (TinyXception, (3, 160, 160),
         ["entry_flow.conv_in", "entry_flow.reduction_block_1.relu0", "middle_flow.main_block_0.relu0"]),
    ],
)  # fmt: skip
def test_fields_are_what_gradients_reach(make: Callable[[], nn.Module], shape: tuple[int, ...], layers: list[str]) -> None:
    module, x = make().eval(), torch.zeros(1, *shape)
    for layer in layers:
        assert agree(module, layer, x), layer


def _windows(kinds: st.SearchStrategy[int]) -> st.SearchStrategy[nn.Module]:
    pair = st.tuples(kinds, kinds)

    def make(kernel: tuple[int, int], stride: tuple[int, int], dilation: tuple[int, int], pad: bool, pooled: int) -> nn.Module:
        padding = (kernel[0] // 2, kernel[1] // 2) if pad else (0, 0)
        if pooled == 1:
            return nn.MaxPool2d(kernel, stride, padding, ceil_mode=True)
        if pooled == 2:
            return nn.AvgPool2d(kernel, stride, padding)
        return nn.Conv2d(1, 1, kernel, stride, padding, dilation)

    return st.builds(make, pair, pair, pair, st.booleans(), st.integers(0, 4))


@settings(max_examples=60)
@given(st.lists(_windows(st.integers(1, 3)), min_size=1, max_size=4))
def test_fields_of_any_windows(layers: list[nn.Module]) -> None:
    module = nn.Sequential(*layers).eval()
    x = torch.zeros(1, 1, 90, 110)
    try:
        module(x)
    except RuntimeError:
        assume(False)
    assume(agree(module, str(len(layers) - 1), x))


class Branches(nn.Module):
    """Ways of different width and phase that meet."""

    def __init__(self) -> None:
        super().__init__()
        self.narrow = nn.Conv2d(2, 2, 1, stride=2)
        self.wide = nn.Conv2d(2, 2, (3, 4), stride=2, padding=(0, 1))
        self.pad = nn.ZeroPad2d((1, 0, 2, 0))
        self.after = nn.Conv2d(4, 1, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        wide = self.wide(self.pad(x))
        narrow = self.narrow(x)
        wide = wide[:, :, :, :]
        both = torch.cat([wide, narrow[:, :]], 1)
        out: torch.Tensor = self.after(both.relu())
        return out


def test_the_field_behind_branches_is_their_union() -> None:
    module, x = Branches().eval(), torch.zeros(1, 2, 32, 31)
    assert agree(module, "after", x)
    nodes = nodes_of(module, x)
    assert nodes["cat"].inputs == ("getitem", "getitem_1")
    assert nodes["getitem"].inputs == ("wide",)
    assert nodes["getitem_1"].inputs == ("narrow",)
    assert nodes["after"].inputs == ("relu",)


class Functions(nn.Module):
    """The same windows, as functions."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3, padding=1)
        self.last = nn.Conv2d(2, 2, 1)
        self.fc = nn.Linear(2, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.pad(x, (2, 0, 1, 0))
        x = functional.conv2d(x, self.conv.weight, stride=2, dilation=2)
        x = functional.avg_pool2d(functional.max_pool2d(functional.relu(x), 3, stride=1, padding=1), 2)
        x = torch.softmax(self.last(x), 1)
        x = functional.adaptive_avg_pool2d(x, 1).flatten(1)
        out: torch.Tensor = functional.log_softmax(self.fc(x), dim=1)
        return out


def test_functions_have_windows_and_fields() -> None:
    nodes = nodes_of(Functions().eval(), torch.zeros(1, 1, 40, 40))
    windows = {name: (node.window.kernel, node.window.stride, node.window.padding) for name, node in nodes.items() if node.window}
    assert windows == {
        "conv2d": ((3, 3), (2, 2), (0, 0)), "max_pool2d": ((3, 3), (1, 1), (1, 1)), "avg_pool2d": ((2, 2), (2, 2), (0, 0)),
        "last": ((1, 1), (1, 1), (0, 0)),
    }  # fmt: skip
    assert nodes["pad"].field == ReceptiveField((1, 1), (1, 1), (-1, -2))
    assert nodes["conv2d"].field == ReceptiveField((5, 5), (2, 2), (1, 0))
    assert nodes["avg_pool2d"].field == ReceptiveField((11, 11), (4, 4), (2, 1))
    assert nodes["softmax"].field == nodes["avg_pool2d"].field
    assert nodes["fc"].field == nodes["log_softmax"].field == ReceptiveField((40, 40))


class Gated(nn.Module):
    """Maps weighted by what the whole picture says (squeeze and excitation), and maps of one size that move at two paces."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.fc, self.head = nn.Conv2d(1, 2, 5), nn.Linear(2, 2), nn.Conv2d(2, 2, 3)
        self.slow, self.meet = nn.Conv2d(1, 2, 2, stride=2), nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        near = self.conv(x)
        gate = self.fc(near.mean((2, 3))).view(x.shape[0], -1, 1, 1)
        meet = self.meet(near + self.slow(x))
        rows = near.flatten(1).clone().view(near.size(0), 2, 4, 4)
        return self.head(near * gate).sum((2, 3)) + meet.sum((2, 3)) + self.head(rows).mT.sum((2, 3))


def test_what_sees_everything_stays_so_and_fields_of_two_paces_are_not_one() -> None:
    nodes = nodes_of(Gated().eval(), torch.zeros(1, 1, 8, 8))
    whole = ReceptiveField((8, 8))
    assert [nodes[name].field for name in ("conv", "mean", "fc", "view", "mul", "head")] == [
        ReceptiveField((5, 5), (1, 1), (2, 2)),
        *[whole] * 5,
    ]
    assert nodes["slow"].field == ReceptiveField((2, 2), (2, 2), (0.5, 0.5))
    assert nodes["add"].field is nodes["meet"].field is None
    assert nodes["flatten"].field == nodes["clone"].field == nodes["view_1"].field == ReceptiveField((5, 5))
    assert nodes["head:2"].field is None
    assert nodes["head:2"].inputs == ("view_1",)
    assert nodes["slow"].inputs == ("",)
    assert nodes["sum_1"].type == "sum"


class Rows(nn.Module):
    """Maps of two widths taken apart and joined, made a map again, and a map cut."""

    def __init__(self) -> None:
        super().__init__()
        self.tall, self.broad, self.head = nn.Conv2d(1, 1, (5, 1)), nn.Conv2d(1, 1, (1, 3)), nn.Linear(112, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        tall, broad = self.tall(x), self.broad(x)
        rows = torch.cat([tall.flatten(1), broad.flatten(1)], 1)
        maps = rows.reshape(-1, 8, 11, 2).mean(1, keepdim=True)
        return self.head(rows[:, :112] + maps.sum() + broad[:, :, 1:].sum() + tall.mean(1, keepdim=True).sum())


def test_the_field_of_rows_and_cuts() -> None:
    nodes = nodes_of(Rows().eval(), torch.zeros(1, 1, 12, 10))
    fields = {name: node.field for name, node in nodes.items()}
    assert fields["tall"] == fields["mean_1"] == ReceptiveField((5, 1), (1, 1), (2, 0))
    assert fields["broad"] == ReceptiveField((1, 3), (1, 1), (0, 1))
    assert fields["cat"] == fields["reshape"] == fields["getitem"] == ReceptiveField((5, 3))
    assert fields["mean"] is fields["getitem_1"] is None
    assert fields["head"] == ReceptiveField((12, 10))


@pytest.mark.parametrize(
    ("layer", "field"),
    [
        (nn.AdaptiveAvgPool2d(1), ReceptiveField((12, 12))),
        (nn.AdaptiveAvgPool2d(12), ReceptiveField((1, 1), (1, 1), (0, 0))),
        (nn.AdaptiveMaxPool2d((4, 6)), ReceptiveField((3, 2), (3, 2), (1, 0.5))),
        (nn.AdaptiveAvgPool2d(5), None),
        (nn.Conv2d(1, 1, 3, padding="same", dilation=2), ReceptiveField((5, 5), (1, 1), (0, 0))),
        (nn.Conv2d(1, 1, 4, padding="valid"), ReceptiveField((4, 4), (1, 1), (1.5, 1.5))),
        (nn.ConvTranspose2d(1, 1, 2), None),
        (nn.Upsample(scale_factor=2), None),
        (nn.GroupNorm(1, 1), ReceptiveField((12, 12))),
        (nn.BatchNorm2d(1), ReceptiveField((1, 1), (1, 1), (0, 0))),
        (nn.Softmax(dim=1), ReceptiveField((1, 1), (1, 1), (0, 0))),
        (nn.Softmax(dim=3), None),
        (nn.Linear(12, 12), None),
        (nn.Flatten(1, 2), ReceptiveField((1, 1), (1, 1), (0, 0))),
        (nn.Flatten(2), None),
    ],
)
def test_single_layers(layer: nn.Module, field: ReceptiveField | None) -> None:
    (node,) = small(layer)
    assert node.field == field


def test_a_row_of_a_map_is_not_a_map_of_the_same_size() -> None:
    class Row(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x[:, :, 0]

    (node,) = Architecture.of(Row(), torch.zeros(1, 4, 4, 4)).nodes
    assert (node.name, node.output, node.field) == ("getitem", (4, 4), None)


def test_what_is_not_known_stays_so_until_a_layer_sees_everything() -> None:
    class Own(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.flip(3)

    nodes = small(Own(), nn.Conv2d(1, 1, 3), nn.Flatten(), nn.Linear(100, 2))
    assert [node.field for node in nodes] == [None, None, None, ReceptiveField((12, 12))]
    assert [node.type for node in nodes] == ["Own", "Conv2d", "Flatten", "Linear"]


# The way through the network


def test_a_reused_layer_is_a_node_a_call_and_counts_once() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.relu = nn.Conv2d(1, 1, 3, padding=1), nn.ReLU(inplace=True)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.relu(self.conv(self.relu(self.conv(x))))

    found = Architecture.of(Twice(), torch.zeros(1, 1, 8, 8))
    assert [(node.name, node.inputs, node.parameters) for node in found.nodes] == [
        ("conv", ("",), 10), ("relu", ("conv",), 0), ("conv:2", ("relu",), 0), ("relu:2", ("conv:2",), 0),
    ]  # fmt: skip
    assert (found.name, found.layers, found.parameters) == ("Twice", 2, 10)


class Ways(nn.Module):
    """What hands its input on beside a way around it, and what writes over it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 1, 1)
        self.drop = nn.Dropout()
        self.relu = nn.ReLU(inplace=True)
        self.fc = nn.Conv2d(1, 1, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        kept = self.conv(x)
        out = self.drop(kept) + kept
        self.relu(out)
        out += x
        return self.fc(out)


def test_ways_around_and_in_place() -> None:
    x = torch.ones(1, 1, 4, 4)
    nodes = nodes_of(Ways().eval(), x)
    assert {name: node.inputs for name, node in nodes.items()} == {
        "conv": ("",), "drop": ("conv",), "add": ("drop", "conv"), "relu": ("add",), "add_1": ("relu", ""), "fc": ("add_1",),
    }  # fmt: skip
    assert nodes["add"].type == nodes["add_1"].type == "add"
    assert nodes["add_1"].field == ReceptiveField((1, 1), (1, 1), (0, 0))


def test_the_input_is_not_written_to() -> None:
    x = -torch.ones(1, 1, 4, 4)
    Architecture.of(nn.Sequential(nn.ReLU(inplace=True)), x)
    assert x.eq(-1).all()


def test_a_constant_is_not_taken_for_what_was_thrown_away() -> None:
    class Wasteful(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.wasted = nn.Conv2d(1, 1, 1), nn.Conv2d(1, 1, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.used(x)
            wasted = [self.wasted(x) for _ in range(50)]
            del wasted
            return 1 - (x + torch.cat([torch.ones(1) for _ in range(50)]).sum())

    nodes = nodes_of(Wasteful(), torch.zeros(1, 1, 4, 4))
    assert nodes["add"].inputs == ("used",)
    assert (nodes["sub"].inputs, nodes["sub"].type) == (("add",), "sub")


def test_an_empty_sequential_is_a_layer() -> None:
    """The usual shortcut of a residual block that changes nothing; it has no length, so it counts as false."""

    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.shortcut = nn.Conv2d(1, 1, 1), nn.Sequential()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return functional.relu(self.conv(functional.relu(x)) + self.shortcut(x)).flatten(1)

    net, x = Residual(), torch.randn(1, 1, 4, 4)
    nodes = Architecture.of(net, x).nodes
    assert [(node.name, node.type, node.inputs, node.parameters) for node in nodes] == [
        ("relu", "relu", ("",), 0), ("conv", "Conv2d", ("relu",), 2), ("shortcut", "Sequential", ("",), 0),
        ("add", "add", ("conv", "shortcut"), 0), ("relu_1", "relu", ("add",), 0), ("flatten", "flatten", ("relu_1",), 0),
    ]  # fmt: skip
    assert {node.field for node in nodes[:-1]} == {ReceptiveField((1, 1), (1, 1), (0, 0))}
    with Probe(net, ["relu", "shortcut", "add"]) as probe:
        found = probe(x)[1]
    assert torch.equal(found["relu"], x.relu())
    assert torch.equal(found["shortcut"], x)
    torch.testing.assert_close(found["add"], net.conv(x.relu()).detach() + x)


def test_a_layer_of_torch_is_one_node_whatever_is_in_it() -> None:
    nodes = small(nn.Flatten(1, 2), nn.TransformerEncoderLayer(12, 2, batch_first=True))
    assert [(node.name, node.type, node.inputs, node.field is None) for node in nodes] == [
        ("0", "Flatten", ("",), False),
        ("1", "TransformerEncoderLayer", ("0",), True),
    ]
    assert nodes[1].parameters == sum(p.numel() for p in nn.TransformerEncoderLayer(12, 2).parameters())


def test_where_functions_have_no_names_their_inputs_feed_the_next_layer() -> None:
    class Untraceable(Ways):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x if x.sum() > 0 else x * 2)

    nodes = nodes_of(Untraceable().eval(), torch.ones(1, 1, 4, 4))
    assert {name: node.inputs for name, node in nodes.items()} == {
        "conv": ("",), "drop": ("conv",), "relu": ("drop", "conv"), "fc": ("relu", ""),
    }  # fmt: skip
    assert nodes["fc"].field == ReceptiveField((1, 1), (1, 1), (0, 0))


def test_functions_have_no_names_where_the_trace_goes_another_way() -> None:
    class Other(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(1, 1, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = x.relu() if isinstance(x, torch.Tensor) else x.flatten(1)
            return self.conv(x)

    (node,) = Architecture.of(Other(), torch.zeros(1, 1, 4, 4)).nodes
    assert (node.name, node.inputs) == ("conv", ("",))


def test_what_a_layer_does_inside_is_its_own_business() -> None:
    class Swish(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * torch.sigmoid(x)

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.swish = Swish()
            self.look = nn.MultiheadAttention(4, 2, batch_first=True)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            rows = (self.swish(x) * 2).flatten(2)
            scores, _ = self.look(rows, rows, rows)
            first, _ = torch.split(scores, 1, 1)
            return first.flatten(1)

    nodes = nodes_of(Net().eval(), torch.zeros(1, 2, 2, 2))
    assert {name: node.inputs for name, node in nodes.items()} == {
        "swish": ("",), "mul_1": ("swish",), "flatten": ("mul_1",), "look": ("flatten",), "split": ("look",),
        "flatten_1": ("split",),
    }  # fmt: skip


def test_the_network_stays_as_it_is() -> None:
    module = Resnet().train()
    x = torch.zeros(2, 3, 32, 32)
    Architecture.of(module, x)
    assert module.training
    assert not any(inner._forward_hooks or inner._forward_pre_hooks for inner in module.modules())


def test_what_the_network_raises_comes_through_and_leaves_no_hooks() -> None:
    module = nn.Sequential(nn.Conv2d(1, 1, 3), nn.Linear(5, 2))
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        Architecture.of(module, torch.zeros(1, 1, 8, 8))
    assert not any(inner._forward_hooks or inner._forward_pre_hooks for inner in module.modules())


def test_as_data() -> None:
    found = livecnn.Architecture.of(nn.Sequential(nn.Conv2d(2, 4, 3, dilation=2, groups=2), nn.Upsample(scale_factor=2)),
                                    torch.zeros(1, 2, 8, 8), "two")  # fmt: skip
    data: Any = json.loads(json.dumps(found.data()))
    nodes = data.pop("nodes")
    assert data == {"model": "two", "input": [2, 8, 8], "layers": 2, "parameters": 40}
    assert nodes[0] == {
        "name": "0",
        "type": "Conv2d",
        "inputs": [""],
        "output": [4, 4, 4],
        "parameters": 40,
        "kernel": [3, 3],
        "stride": [1, 1],
        "padding": [0, 0],
        "dilation": [2, 2],
        "groups": 2,
        "receptive_field": {"size": [5, 5], "stride": [1, 1], "centre": [2.0, 2.0]},
    }
    assert (nodes[1]["kernel"], nodes[1]["receptive_field"], nodes[1]["inputs"]) == (None, None, ["0"])


# Networks of other programs


@pytest.mark.parametrize(("region", "size"), [("ACROSS_CHANNELS", 1), ("WITHIN_CHANNEL", 3)])
def test_caffe_normalisation(region: str, size: int) -> None:
    norm = {"name": "norm", "type": "LRN", "bottom": "data", "top": "norm", "local_size": 3, "norm_region": region}
    (node,) = Architecture.of(Caffe([norm], {"data": [1, 2, 8, 8]}), torch.zeros(1, 2, 8, 8)).nodes
    assert (node.type, node.field) == ("LRN", ReceptiveField((size, size), (1, 1), (0, 0)))


def test_caffe_googlenet(shared: Path, tmp_path: Path) -> None:
    prototxt = (shared / "caffe" / "googlenet.prototxt").read_text()
    module = caffe_files.imported(tmp_path, prototxt).module.eval().to("meta")
    nodes = nodes_of(module, torch.zeros(1, 3, 224, 224, device="meta"))
    assert [name for name, _ in module.named_children() if name not in nodes] == []
    assert nodes["conv1/7x7_s2"].type == "Convolution"
    assert nodes["conv1/relu_7x7"].type == "ReLU"
    assert nodes["pool1/norm1"].type == "LRN"
    assert nodes["loss3/classifier"].type == "InnerProduct"
    joint = nodes["inception_3a/output"]
    assert joint.type == "Concat"
    assert joint.inputs == tuple(f"inception_3a/relu_{end}" for end in ("1x1", "3x3", "5x5", "pool_proj"))
    assert joint.field is not None
    assert (joint.field.size, joint.field.stride) == ((59, 59), (8, 8))
    assert nodes["prob"].field == ReceptiveField((224, 224))


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras' own, of NumPy
def test_keras(tmp_path: Path) -> None:
    keras_models = pytest.importorskip("tests.helpers.keras_models")
    from livecnn.networks.importers.keras import KerasImporter

    keras, layers = keras_models.keras, keras_models.layers
    first = keras.Input((13, 12, 1))
    same = layers.Conv2D(4, 3, strides=2, padding="same", activation="relu", name="conv")(first)
    pooled = layers.MaxPooling2D(2, name="pool")(layers.ZeroPadding2D(((1, 0), (2, 1)), name="pad")(first))
    pooled = layers.Conv2D(4, 1, name="fit")(layers.Cropping2D(((0, 0), (0, 1)), name="crop")(pooled))
    out = layers.Dense(3, activation="softmax", name="fc")(layers.GlobalAveragePooling2D(name="mean")(
        layers.Add(name="add")([same, pooled])))  # fmt: skip
    module = KerasImporter()([keras_models.saved(keras.Model(first, out), tmp_path / "net.keras")]).module
    nodes = nodes_of(module, torch.zeros(1, 1, 13, 12))
    assert {name: (node.type, node.inputs) for name, node in nodes.items()} == {
        "conv.linear": ("Conv2D", ("",)), "conv.relu": ("ReLU", ("conv.linear",)), "pad": ("ZeroPadding2D", ("",)),
        "pool": ("MaxPooling2D", ("pad",)), "crop": ("Cropping2D", ("pool",)), "fit": ("Conv2D", ("crop",)),
        "add": ("Add", ("conv.relu", "fit")), "mean": ("GlobalAveragePooling2D", ("add",)), "fc.linear": ("Dense", ("mean",)),
        "fc.softmax": ("Softmax", ("fc.linear",)),
    }  # fmt: skip
    window = nodes["conv.linear"].window
    assert window is not None
    assert (window.kernel, window.stride, window.padding) == ((3, 3), (2, 2), (1, 0))
    assert nodes["conv.relu"].field == ReceptiveField((3, 3), (2, 2), (0, 1))
    assert reached(module, "conv.relu", torch.ones(1, 1, 13, 12), (2, 3)) == told(nodes["conv.relu"].field, (2, 3))
    assert nodes["pad"].field == ReceptiveField((1, 1), (1, 1), (-1, -2))
    assert nodes["pool"].field == ReceptiveField((2, 2), (2, 2), (-0.5, -1.5))
    assert nodes["crop"].field is None
    assert nodes["fc.softmax"].field == ReceptiveField((13, 12))


def test_sizes_are_height_by_width() -> None:
    assert (size_text((3, 5)), size_text((20, 24, 12), "x"), pair_text((2, 2)), pair_text((1, 2))) == (
        "3×5", "20x24x12", "2", "1×2",
    )  # fmt: skip


def test_a_window_in_words() -> None:
    assert window_facts(WindowSpec((3, 5), (1, 2))) == ["kernel 3×5", "stride 1×2", "padding 0"]
    assert window_facts(WindowSpec((3, 3), (1, 1), (1, 0), (2, 2), 4))[2:] == ["padding 1×0", "dilation 2", "4 groups"]
    assert window_facts(None) == []


def test_the_fields_of_a_window_for_a_table() -> None:
    texts = window_texts(WindowSpec((3, 5), (1, 2), dilation=(1, 2)), "x")
    assert texts == {"kernel": "3x5", "stride": "1x2", "padding": "0", "dilation": "1x2", "groups": ""}
    assert set(window_texts(None).values()) == {""}

"""Where boxes stand and links run."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from livecnn.networks.inspection.architecture import Architecture, Node, WindowSpec
from livecnn.panels.strip.flowchart import (
    FITTING,
    INPUT,
    LONGEST,
    MOST,
    OUTPUT,
    TRACKS,
    Chart,
    Item,
    LayerGroup,
    facts,
    flowchart,
    group_layers,
    initially_unfolded,
    is_function_node,
    nodes_of,
    short_type,
    size,
)
from tests.helpers import caffe_files
from tests.helpers.architectures import NETS, chain, drawn, node, real


def every(items: tuple[Item, ...]) -> list[LayerGroup]:
    groups = [item for item in items if isinstance(item, LayerGroup)]
    return [*groups, *(inner for item in groups for inner in every(item.items))]


def everything(architecture: Architecture) -> frozenset[str]:
    return initially_unfolded(architecture, fitting=10_000) | {item.name for item in every(group_layers(architecture.nodes))}


def places(chart: Chart) -> dict[str, tuple[int, int]]:
    return {box.name: (box.column, box.lane) for box in chart.boxes}


def lanes_between(chart: Chart) -> dict[tuple[str, str], int]:
    """By link that passes other columns, the lane in which it does."""
    at = places(chart)
    return {(link.start, link.end): link.lane for link in chart.links if at[link.end][0] - at[link.start][0] > 1}


def assert_tidy(architecture: Architecture, chart: Chart) -> None:
    at = places(chart)
    assert len(set(at.values())) == len(at)
    assert all(at[link.start][0] < at[link.end][0] for link in chart.links)
    for (start, end), lane in lanes_between(chart).items():
        passed = {(column, lane) for column in range(at[start][0] + 1, at[end][0])}
        assert lane >= TRACKS or passed.isdisjoint(at.values())
    held = sorted(name for box in chart.boxes for name in box.members)
    assert held == sorted((INPUT, OUTPUT, *(node.name for node in architecture.nodes)))
    assert all(at[box.name][0] or box.kind == "input" for box in chart.boxes)
    assert (chart.columns, chart.lanes) == (
        1 + max(column for column, _ in at.values()),
        1 + max(*(lane for _, lane in at.values()), *(link.lane for link in chart.links)),
    )


def test_lenet_is_one_row() -> None:
    chart = flowchart(real("lenet"))
    assert [(box.label, box.words, box.column, box.lane) for box in chart.boxes] == [
        ("input", "", 0, 0),
        ("conv1", "conv 5×5", 1, 0),
        ("pool1", "max 2×2", 2, 0),
        ("conv2", "conv 5×5", 3, 0),
        ("pool2", "max 2×2", 4, 0),
        ("ip1", "dense", 5, 0),
        ("relu1", "ReLU", 6, 0),
        ("ip2", "dense", 7, 0),
        ("prob", "softmax", 8, 0),
        ("output", "", 9, 0),
    ]
    sizes = [link.size for link in chart.links]
    assert sizes == ["28×28×1", "24×24×20", "12×12×20", "8×8×50", "800", "500", "500", "10", "10"]
    assert initially_unfolded(real("lenet")) == frozenset()
    assert flowchart(real("lenet"), frozenset(("conv1", "nothing"))) == chart  # these are no groups


def test_what_only_reshapes_is_in_the_box_of_what_feeds_it() -> None:
    chart = flowchart(real("lenet"))
    box = chart.holding("flatten")
    assert box is not None
    assert (box.name, box.members) == ("pool2", ("pool2", "flatten"))
    flat = drawn([node("flatten", "", kind="flatten"), node("fc", "flatten", kind="Linear")])
    assert [box.members for box in flowchart(flat).boxes] == [("", "flatten"), ("fc",), (OUTPUT,)]


def test_branches_lie_one_under_another_and_merge() -> None:
    names = ["a", "b1", "b2", "c1", "c2", "c3"]
    feeders = ["", "", "b1", "", "c1", "c2"]
    nodes = [node(name, feeder) for name, feeder in zip(names, feeders, strict=True)]
    chart = flowchart(drawn([*nodes, node("cat", "a", "b2", "c3", kind="cat")]))
    assert places(chart) == {
        INPUT: (0, 0), "a": (1, 0),
        "b1": (1, 1), "b2": (2, 1),
        "c1": (1, 2), "c2": (2, 2), "c3": (3, 2),
        "cat": (4, 0), OUTPUT: (5, 0),
    }  # fmt: skip
    assert lanes_between(chart) == {("a", "cat"): 0, ("b2", "cat"): 1}


def test_a_skip_connection_runs_in_a_free_lane() -> None:
    architecture = real("resnet18")
    chart = flowchart(architecture, frozenset(("layer1", "layer1.0", "layer1.1")))
    assert {box.lane for box in chart.boxes} == {0}
    assert lanes_between(chart) == {("maxpool", "add"): 1, ("layer1.0.relu2", "add_1"): 1}
    folded = flowchart(architecture, frozenset(("layer1",)))
    assert lanes_between(folded) == {}


def test_skip_connections_within_each_other_run_in_lanes_of_their_own_and_links_of_one_box_share_a_lane() -> None:
    nodes = [node(f"n{i}", f"n{i - 1}" if i else "") for i in range(4)]
    nodes += [node("m1", "n3", "n1", kind="Concat"), node("m0", "m1", "n0", kind="Concat")]
    assert lanes_between(flowchart(drawn(nodes))) == {("n1", "m1"): 1, ("n0", "m0"): 2}
    nodes = [node(f"n{i}", *(("n0",) if i > 1 else ()), f"n{i - 1}" if i else "") for i in range(6)]
    assert set(lanes_between(flowchart(drawn(nodes))).values()) == {1}


def test_two_outputs() -> None:
    chart = flowchart(real("xception"))
    at = places(chart)
    assert (at["age"], at["gender"], at["prob"], at[OUTPUT]) == ((5, 0), (5, 1), (6, 1), (7, 0))
    assert [(link.start, link.size) for link in chart.links if link.end == OUTPUT] == [("age", "1"), ("prob", "2")]


def test_a_network_of_nothing() -> None:
    chart = flowchart(drawn([]))
    assert [(link.start, link.end, link.size) for link in chart.links] == [(INPUT, OUTPUT, "8×8×1")]


@pytest.mark.parametrize("name", NETS)
def test_at_first_the_whole_fits_and_all_of_it_can_be_unfolded(name: str) -> None:
    architecture = real(name)
    first = flowchart(architecture, initially_unfolded(architecture))
    assert_tidy(architecture, first)
    assert FITTING - 4 < len(first.boxes) <= FITTING
    whole = flowchart(architecture, everything(architecture))
    assert_tidy(architecture, whole)
    assert {box.kind for box in whole.boxes} == {"input", "layer", "output"}
    assert initially_unfolded(architecture, fitting=1000) <= everything(architecture)


def test_a_folded_group_tells_how_many_layers_and_holds_them() -> None:
    architecture = real("resnet18")
    box = flowchart(architecture).holding("layer1.1.conv2")
    assert box is not None
    assert (box.name, box.kind, box.label, box.words, len(box.members)) == ("layer1", "group", "layer1", "12 layers", 14)
    inner = flowchart(architecture, frozenset(("layer1",))).holding("layer1.1.conv2")
    assert inner is not None
    assert (inner.name, inner.group, inner.words) == ("layer1.1", "layer1", "6 layers")
    assert flowchart(architecture).holding("nothing") is None


def test_a_group_of_functions_alone() -> None:
    nodes = [node(f"add_{i}" if i else "add", f"add_{i - 1}" if i > 1 else "add" if i else "", kind="add") for i in range(21)]
    assert [box.words for box in flowchart(drawn(nodes)).boxes] == ["", *["7 functions"] * 3, ""]


def test_the_inception_modules_of_googlenet(shared: Path, tmp_path: Path) -> None:
    module = caffe_files.imported(tmp_path, (shared / "caffe" / "googlenet.prototxt").read_text()).module.eval().to("meta")
    architecture = Architecture.of(module, torch.empty(1, 3, 224, 224, device="meta"), "googlenet")
    first = flowchart(architecture, initially_unfolded(architecture))
    assert_tidy(architecture, first)
    assert len(first.boxes) == 11
    chart = flowchart(architecture, frozenset(("block 3", "inception_3a")))
    at = places(chart)
    start = at["inception_3a/1x1"][0]
    heads = [f"inception_3a/{name}" for name in ("1x1", "3x3_reduce", "5x5_reduce", "pool")]
    assert [at[name] for name in heads] == [(start, lane) for lane in range(4)]
    assert at["inception_3a/output"] == (start + 4, 0)
    assert lanes_between(chart) == {
        ("inception_3a/relu_1x1", "inception_3a/output"): 0,
        ("inception_3a/relu_pool_proj", "inception_3a/output"): 3,
    }


class Functional(nn.Module):
    """Without a module for its activation and its sum."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.fc = nn.Linear(4 * 64, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.relu(self.first(x))
        x = x + self.second(x)
        out: torch.Tensor = self.fc(x.flatten(1))
        return out


def test_functions_are_boxes() -> None:
    chart = flowchart(Architecture.of(Functional().eval(), torch.zeros(1, 1, 8, 8)))
    assert [(box.name, box.words) for box in chart.boxes[1:-1]] == [
        ("first", "conv 3×3"), ("relu", "ReLU"), ("second", "conv 3×3"), ("add", "add"), ("fc", "dense"),
    ]  # fmt: skip
    assert lanes_between(chart) == {("relu", "add"): 1}


@st.composite
def networks(draw: st.DrawFn) -> Architecture:
    count = draw(st.integers(1, 40))
    names = [f"{draw(st.sampled_from(('', 'a.', 'b.', 'a.c.')))}n{i}" for i in range(count)]
    nodes = []
    for i, name in enumerate(names):
        inputs = draw(st.lists(st.sampled_from(("", *names[max(0, i - 6) : i])), min_size=1, max_size=3, unique=True))
        nodes.append(node(name, *inputs, kind=draw(st.sampled_from(("Conv2d", "MaxPool2d", "add")))))
    return drawn(nodes)


@given(networks(), st.data())
def test_any_network_is_tidy_however_it_is_folded(architecture: Architecture, data: st.DataObject) -> None:
    groups = sorted(everything(architecture))
    unfolded = frozenset(data.draw(st.lists(st.sampled_from(groups), unique=True))) if groups else frozenset()
    assert_tidy(architecture, flowchart(architecture, unfolded))


def test_long_chains_are_cut_into_blocks() -> None:
    architecture = chain(700)
    assert len(flowchart(architecture, initially_unfolded(architecture)).boxes) == FITTING
    unfolded = flowchart(architecture, frozenset(("block 2",)))
    assert [box.label for box in unfolded.boxes[1:4]] == ["block 1", "block 2.1", "block 2.2"]


def outline(items: tuple[Item, ...]) -> list[object]:
    return [item.name if isinstance(item, Node) else (item.name, len(list(nodes_of(item)))) for item in items]


def group(items: tuple[Item, ...], name: str) -> LayerGroup:
    return next(item for item in items if isinstance(item, LayerGroup) and item.name == name)


def test_names_make_groups() -> None:
    items = group_layers(real("resnet18").nodes)
    assert outline(items)[:7] == ["conv1", "bn1", "relu", "maxpool", ("layer1", 14), ("layer2", 16), ("layer3", 16)]
    assert outline(group(items, "layer1").items) == [("layer1.0", 7), ("layer1.1", 7)]
    block = group(group(items, "layer2").items, "layer2.0")
    assert outline(block.items)[-4:] == ["layer2.0.bn2", ("layer2.0.downsample", 2), "add_2", "layer2.0.relu2"]


def test_the_sum_of_a_skip_connection_is_in_its_block() -> None:
    middle = group(group_layers(real("xception").nodes), "middle_flow")
    assert outline(middle.items) == [("middle_flow.main_block_0", 10), ("middle_flow.main_block_1", 10)]
    block = group(middle.items, "middle_flow.main_block_0")
    assert outline(block.items)[-2:] == [("middle_flow.main_block_0.separable_conv2", 2), "add_2"]


@pytest.mark.parametrize(
    ("names", "wanted"),
    [
        (["conv1", "fire2/squeeze", "fire2/expand"], ["conv1", ("fire2", 2)]),
        (["a.inner.conv", "b.conv", "b.relu"], ["a.inner.conv", ("b", 2)]),
        (
            ["shared.conv", "shared.relu", "between", "shared.conv:2", "shared.relu:2"],
            [("shared", 2), "between", ("shared (2)", 2)],
        ),
    ],
    ids=["slashes", "a group of one", "a module that works twice"],
)
def test_names_in_a_chain_make_groups(names: list[str], wanted: list[object]) -> None:
    assert outline(group_layers([node(name, before) for name, before in zip(names, ["", *names], strict=False)])) == wanted


def test_a_long_row_is_cut_behind_its_poolings() -> None:
    features = group(group_layers(real("vgg16").nodes), "features")
    assert [(item.label, list(nodes_of(item))[-1].type) for item in every((features,))[1:]] == [
        (f"block {i}", "MaxPool2d") for i in range(1, 6)
    ]
    assert [len(list(nodes_of(item))) for item in features.items] == [5, 5, 7, 7, 7]


def test_no_cut_goes_through_a_way_around_a_pooling() -> None:
    nodes = [node("n0", ""), node("pool", "n0", kind="MaxPool2d"), node("way", "n0"), node("sum", "pool", "way", kind="Add")]
    nodes += [node(f"m{i}", f"m{i - 1}" if i else "sum", kind="MaxPool2d" if i == 1 else "Conv2d") for i in range(MOST)]
    assert outline(group_layers(nodes)) == [("block 1", 4), ("block 2", 2), ("block 3", MOST - 2)]


def test_without_poolings_a_row_is_cut_evenly_if_it_is_very_long() -> None:
    assert outline(group_layers(chain(LONGEST).nodes)) == [f"n{i}" for i in range(LONGEST)]
    assert outline(group_layers(chain(LONGEST + 1).nodes)) == [("block 1", 7), ("block 2", 7), ("block 3", 7)]
    items = group_layers(chain(700).nodes)
    assert outline(items) == [(f"block {i}", 70) for i in range(1, 11)]
    assert [item.label for item in group(items, "block 3").items] == [f"block 3.{i}" for i in range(1, 8)]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "architecture", [*map(real, NETS), chain(21), chain(333), chain(333, 4), chain(45, 9)], ids=lambda a: a.name
)
def test_all_nodes_stay_in_order_in_groups_of_few_with_names_of_their_own(architecture: Architecture) -> None:
    items = group_layers(architecture.nodes)
    assert tuple(inner for item in items for inner in nodes_of(item)) == architecture.nodes
    groups = every(items)
    assert all(1 < len(inner.items) <= LONGEST for inner in groups)
    assert len(items) <= LONGEST
    names = [inner.name for inner in groups] + [inner.name for inner in architecture.nodes]
    assert len(set(names)) == len(names)


def test_functions_are_told_from_layers() -> None:
    functions = [inner.name for inner in real("squeezenet").nodes if is_function_node(inner)]
    assert functions == ["cat", *(f"cat_{i}" for i in range(1, 8)), "flatten"]
    assert not is_function_node(node("add_1", "", kind="Add"))
    assert not is_function_node(node("relu.conv", "", kind="relu"))


SHORT = {
    "Conv2d": "conv", "Convolution": "conv", "DepthwiseConv2D": "depthwise", "MaxPool2d": "max", "avg_pool2d": "avg",
    "Pooling": "pool", "GlobalAveragePooling2D": "avg pool", "InnerProduct": "dense", "BatchNormalization": "batch norm",
    "relu": "ReLU", "ReLU": "ReLU", "LeakyReLU": "LeakyReLU", "Softmax": "softmax", "Add": "add", "cat": "concat",
    "Dropout2d": "dropout", "MyOwnLayer": "MyOwnLayer",
}  # fmt: skip


@pytest.mark.parametrize(("kind", "words"), SHORT.items())
def test_words(kind: str, words: str) -> None:
    plain = replace(node("n", kind=kind), window=None)
    assert short_type(plain) == words
    assert short_type(replace(plain, window=WindowSpec((3, 5), (1, 1)))) == f"{words} 3×5"


@pytest.mark.parametrize(
    ("kind", "window", "words"),
    [
        ("Conv2d", WindowSpec((3, 3), (1, 1), groups=4), "depthwise 3×3"),
        ("Conv2d", WindowSpec((3, 3), (1, 1), groups=2), "conv 3×3"),
        ("LRN", WindowSpec((5, 5), (1, 1)), "local norm"),  # its region is not told
    ],
)
def test_words_that_depend_on_the_window(kind: str, window: WindowSpec, words: str) -> None:
    assert short_type(replace(node("n", kind=kind), window=window)) == words


def test_sizes() -> None:
    assert [size(shape) for shape in ((20, 24, 12), (500,), ())] == ["24×12×20", "500", ""]


def test_what_there_is_to_tell_of_a_layer() -> None:
    nodes = {each.name: each for each in real("lenet").nodes}
    assert facts(nodes["conv2"]) == [
        "conv2",
        "conv 5×5 (Conv2d)",
        "output 8×8×50",
        "25,050 parameters",
        "kernel 5×5, stride 1, padding 0",
        "sees 14×14 pixels",
    ]
    assert facts(nodes["relu1"]) == ["relu1", "ReLU", "output 500", "sees 28×28 pixels"]
    odd = replace(node("n"), window=WindowSpec((3, 3), (1, 2), dilation=(2, 2), groups=2))
    assert facts(odd)[2:] == [
        "output 8×8×4", "kernel 3×3, stride 1×2, padding 0", "dilation 2, 2 groups", "how much it sees cannot be told",
    ]  # fmt: skip

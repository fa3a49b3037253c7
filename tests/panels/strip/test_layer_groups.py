"""Groups: by names, by poolings, of the same length."""

import pytest

from livecnn.networks.inspection.architecture import Architecture, Node
from livecnn.panels.strip.layer_groups import LONGEST, MOST, Item, LayerGroup, group_layers, is_function_node, nodes_of
from tests.helpers.architectures import NETS, chain, node, real


def outline(items: tuple[Item, ...]) -> list[object]:
    return [item.name if isinstance(item, Node) else (item.name, len(list(item.nodes()))) for item in items]


def group(items: tuple[Item, ...], name: str) -> LayerGroup:
    return next(item for item in items if isinstance(item, LayerGroup) and item.name == name)


def every(items: tuple[Item, ...]) -> list[LayerGroup]:
    groups = [item for item in items if isinstance(item, LayerGroup)]
    return [*groups, *(inner for item in groups for inner in every(item.items))]


def test_names_make_groups() -> None:
    items = group_layers(real("resnet18").nodes)
    assert outline(items)[:7] == ["conv1", "bn1", "relu", "maxpool", ("layer1", 14), ("layer2", 16), ("layer3", 16)]
    assert outline(group(items, "layer1").items) == [("layer1.0", 7), ("layer1.1", 7)]
    block = group(group(items, "layer2").items, "layer2.0")
    assert outline(block.items)[-4:] == ["layer2.0.bn2", ("layer2.0.downsample", 2), "add_2", "layer2.0.relu2"]


def test_slashes_make_groups_too() -> None:
    items = group_layers([node("conv1", ""), node("fire2/squeeze", "conv1"), node("fire2/expand", "fire2/squeeze")])
    assert outline(items) == ["conv1", ("fire2", 2)]


def test_the_sum_of_a_skip_connection_is_in_its_block() -> None:
    middle = group(group_layers(real("xception").nodes), "middle_flow")
    assert outline(middle.items) == [("middle_flow.main_block_0", 10), ("middle_flow.main_block_1", 10)]
    block = group(middle.items, "middle_flow.main_block_0")
    assert outline(block.items)[-2:] == [("middle_flow.main_block_0.separable_conv2", 2), "add_2"]


def test_a_group_of_one_is_what_it_holds() -> None:
    items = group_layers([node("a.inner.conv", ""), node("b.conv", "a.inner.conv"), node("b.relu", "b.conv", kind="ReLU")])
    assert outline(items) == ["a.inner.conv", ("b", 2)]


def test_a_module_that_works_twice_makes_two_groups() -> None:
    names = ["shared.conv", "shared.relu", "between", "shared.conv:2", "shared.relu:2"]
    items = group_layers([node(name, before) for name, before in zip(names, ["", *names], strict=False)])
    assert outline(items) == [("shared", 2), "between", ("shared (2)", 2)]


def test_a_long_row_is_cut_behind_its_poolings() -> None:
    features = group(group_layers(real("vgg16").nodes), "features")
    assert [(item.label, list(item.nodes())[-1].type) for item in every((features,))[1:]] == [
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

"""Layers in groups that fold: by the modules that hold them, and where these are too many, block by block."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from math import ceil

from livecnn.networks.inspection.architecture import Node

MOST = 10  # items side by side; of more, blocks are made
LONGEST = 2 * MOST  # but of no more than these only where a pooling tells where a block ends
Scopes = tuple[str, ...]  # of the modules that hold a layer, the outermost first


@dataclass(frozen=True)
class LayerGroup:
    """Successive layers that can be shown as one.

    name: no other group and no layer has it.  label: what it is called.  items: layers and groups, in order.
    """

    name: str
    label: str
    items: tuple[Node | LayerGroup, ...]

    def nodes(self) -> Iterator[Node]:
        for item in self.items:
            yield from nodes_of(item)


Item = Node | LayerGroup


def group_layers(nodes: Sequence[Node]) -> tuple[Item, ...]:
    """The same nodes in the same order, in groups within groups; neither these nor the whole have more than LONGEST items.

    Groups are what the names say ("layer1.0.conv1", "inception_3a/1x1"). More than MOST items in a row are made blocks that end
    with a pooling; where these are too many, or there is none, blocks of the same length.
    """
    return _Grouping(nodes).items("", list(zip(nodes, _scopes(nodes), strict=True)), 0)


def is_function_node(node: Node) -> bool:
    """Whether no module does it: then its name is made of the function's, "add_1"."""
    return re.fullmatch(rf"{re.escape(node.type)}(_\d+)?", node.name) is not None and node.type.islower()


class _Grouping:
    def __init__(self, nodes: Sequence[Node]) -> None:
        self._taken = Counter(node.name for node in nodes)
        self._narrow = _narrow(nodes)

    def items(self, scope: str, nodes: list[tuple[Node, Scopes]], depth: int) -> tuple[Item, ...]:
        """What of the nodes, all in this scope, a reader sees side by side."""
        found: list[Item] = []
        for inner, run in groupby(nodes, lambda entry: "".join(entry[1][depth : depth + 1])):
            entries = list(run)
            within = self.items(inner, entries, depth + 1) if inner else tuple(node for node, _ in entries)
            found += [self._group(inner, inner, within)] if inner and len(within) > 1 else within
        return self._blocks(scope, "block ", found)

    def _blocks(self, scope: str, label: str, items: Sequence[Item]) -> tuple[Item, ...]:
        blocks: list[Sequence[Item]] = self._by_pooling(items) if len(items) > MOST else []
        if not 2 < len(blocks) <= MOST:  # two would hide much and leave little
            if len(items) <= LONGEST:
                return tuple(items)
            blocks = _evenly(items, min(MOST, ceil(len(items) / MOST)))
        return tuple(self._block(scope, f"{label}{i}", block) for i, block in enumerate(blocks, 1))

    def _block(self, scope: str, label: str, items: Sequence[Item]) -> Item:
        if len(items) == 1:
            return items[0]
        return self._group(f"{scope} {label}".lstrip(), label, self._blocks(scope, f"{label}.", items))

    def _group(self, name: str, label: str, items: tuple[Item, ...]) -> LayerGroup:
        self._taken[name] += 1
        count = self._taken[name]
        return LayerGroup(name if count == 1 else f"{name} ({count})", label, items)

    def _by_pooling(self, items: Sequence[Item]) -> list[Sequence[Item]]:
        """Runs that end where all that a pooling gave, and what went around it, has come together."""
        blocks: list[Sequence[Item]] = []
        start, pooled = 0, False
        for end, item in enumerate(items, 1):
            nodes = tuple(nodes_of(item))
            pooled = pooled or any(_pools(node) for node in nodes)
            if end == len(items) or (pooled and nodes[-1].name in self._narrow):
                blocks.append(items[start:end])
                start, pooled = end, False
        return blocks


def nodes_of(item: Item) -> Iterator[Node]:
    return iter((item,)) if isinstance(item, Node) else item.nodes()


def _narrow(nodes: Sequence[Node]) -> set[str]:
    """Nodes behind which nothing but the output of one flows on."""
    last = {name: number for number, node in enumerate(nodes) for name in node.inputs}
    narrow, flowing = set(), {""}
    for number, node in enumerate(nodes):
        flowing = {name for name in (*flowing, node.name) if last.get(name, -1) > number}
        if len(flowing) <= 1:
            narrow.add(node.name)
    return narrow


def _evenly(items: Sequence[Item], count: int) -> list[Sequence[Item]]:
    bounds = [i * len(items) // count for i in range(count + 1)]
    return [items[start:end] for start, end in pairwise(bounds)]


def _pools(node: Node) -> bool:
    """Whether the map gets smaller in a pooling."""
    return "pool" in node.type.lower() and node.window is not None and max(node.window.stride) > 1


def _scopes(nodes: Sequence[Node]) -> list[Scopes]:
    found: list[Scopes] = []
    feeding: dict[str, set[str]] = {}  # by scope, what its layers are and what feeds them
    for node in nodes:
        own = tuple(node.name[: match.start()] for match in re.finditer("[./]", node.name))
        if is_function_node(node) and found:
            # It belongs to the block before it if it works on that block's own input besides, as the sum of a skip connection.
            own = found[-1]
            while own and not feeding[own[-1]].issuperset(node.inputs):
                own = own[:-1]
        for scope in own:
            feeding.setdefault(scope, set()).update((node.name, *node.inputs))
        found.append(own)
    return found

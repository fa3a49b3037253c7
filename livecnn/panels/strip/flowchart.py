"""A network as a chart: where the box of each layer stands, what it is called and leads to, and which layers share a box."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, count, groupby, pairwise
from math import ceil
from typing import Literal

from livecnn.networks.inspection.architecture import DROPOUTS, RESHAPING, Architecture, Node, size_text, window_facts
from livecnn.selection import INPUT, OUTPUT

FITTING = 12  # boxes that a reader takes in at once
TRACKS = 6  # the last lane that links past boxes may take; those that find none free share it

Kind = Literal["layer", "group", "input", "output"]
MOST = 10  # items side by side; of more, blocks are made
LONGEST = 2 * MOST  # but of no more than these only where a pooling tells where a block ends
Scopes = tuple[str, ...]  # of the modules that hold a layer, the outermost first
# By type, in small letters; what is not here keeps its own name.
WORDS = {
    **dict.fromkeys(("conv1d", "conv2d", "conv3d", "convolution"), "conv"),
    **dict.fromkeys(("convtranspose2d", "conv2dtranspose", "conv_transpose2d", "deconvolution"), "up-conv"),
    **dict.fromkeys(("depthwiseconv2d", "separableconv2d"), "conv"),
    **dict.fromkeys(("maxpool2d", "maxpooling2d", "max_pool2d"), "max"),
    **dict.fromkeys(("avgpool2d", "averagepooling2d", "avg_pool2d"), "avg"),
    **dict.fromkeys(("adaptiveavgpool2d", "adaptive_avg_pool2d", "globalaveragepooling2d"), "avg pool"),
    **dict.fromkeys(("adaptivemaxpool2d", "adaptive_max_pool2d", "globalmaxpooling2d"), "max pool"),
    "pooling": "pool",
    **dict.fromkeys(("linear", "dense", "innerproduct"), "dense"),
    **dict.fromkeys(("batchnorm1d", "batchnorm2d", "batch_norm", "batchnorm", "batchnormalization"), "batch norm"),
    **dict.fromkeys(("layernorm", "layer_norm", "layernormalization"), "layer norm"),
    **dict.fromkeys(("groupnorm", "group_norm", "groupnormalization"), "group norm"),
    **dict.fromkeys(("lrn", "localresponsenorm", "local_response_norm"), "local norm"),
    **dict.fromkeys(DROPOUTS.split(), "dropout"),
    **dict.fromkeys(("softmax", "softmax2d"), "softmax"),
    **dict.fromkeys(("logsoftmax", "log_softmax"), "log softmax"),
    **dict.fromkeys(("cat", "concat", "concatenate"), "concat"),
    **dict.fromkeys(("zeropad2d", "zeropadding2d", "constantpad2d", "pad"), "pad"),
    **{word.lower(): word for word in ("ReLU", "ReLU6", "PReLU", "ELU", "GELU", "SiLU")},
    **dict.fromkeys(("add", "flatten", "reshape", "identity", "sigmoid", "tanh"), ""),
}


@dataclass(frozen=True)
class ChartBox:
    """A layer, or a group of layers that is folded."""

    name: str
    kind: Kind
    label: str  # what it is called
    words: str  # what it is, "conv 5×5" or "14 layers"
    members: tuple[str, ...]  # names of its layers
    group: str = ""  # the innermost one around it that is unfolded
    column: int = 0
    lane: int = 0


@dataclass(frozen=True)
class Link:
    """From box to box."""

    start: str
    end: str
    size: str  # of what flows, "24×24×20"
    lane: int  # where it runs past the columns between the two


@dataclass(frozen=True)
class Chart:
    """Boxes in the order in which they work, and the links between them."""

    boxes: tuple[ChartBox, ...]
    links: tuple[Link, ...]

    @property
    def columns(self) -> int:
        """Return how many columns there are."""
        return 1 + max(box.column for box in self.boxes)

    @property
    def lanes(self) -> int:
        """Return how many lanes there are."""
        return 1 + max(*(box.lane for box in self.boxes), *(link.lane for link in self.links))

    def holding(self, layer: str) -> ChartBox | None:
        """Return the box of a layer, or of its group if that is folded."""
        return next((box for box in self.boxes if layer in box.members), None)


def flowchart(architecture: Architecture, unfolded: frozenset[str] = frozenset()) -> Chart:
    """Return the chart in which these groups, by name, are unfolded; other names change nothing.

    A function that only reshapes has no box of its own; it is a member of what feeds it.
    """
    standing = _standing(architecture.nodes)
    members: dict[str, list[str]] = {}
    for name, box in standing.items():
        members.setdefault(box, []).append(name)
    items = _items(architecture, standing)
    outer = [ChartBox(INPUT, "input", "input", "", tuple(members[INPUT])), ChartBox(OUTPUT, "output", "output", "", (OUTPUT,))]
    boxes = [outer[0], *_boxes(items, unfolded, members), outer[1]]
    return _placed(boxes, _links(architecture, boxes))


def initially_unfolded(architecture: Architecture, fitting: int = FITTING) -> frozenset[str]:
    """Return the groups to unfold at first: small ones first, as long as there are at most `fitting` boxes."""
    items = _items(architecture, _standing(architecture.nodes))
    shown = len(items) + 2
    folded = [item for item in items if isinstance(item, LayerGroup)]
    unfolded: set[str] = set()
    while folded:
        smallest = min(folded, key=lambda group: len(group.items))
        shown += len(smallest.items) - 1
        if shown > fitting:
            break
        unfolded.add(smallest.name)
        folded.remove(smallest)
        folded += [item for item in smallest.items if isinstance(item, LayerGroup)]
    return frozenset(unfolded)


def _standing(nodes: Iterable[Node]) -> dict[str, str]:
    """By node, the one whose box it is in."""
    standing = {INPUT: INPUT}
    for node in nodes:
        reshapes = node.type in RESHAPING and is_function_node(node) and len(node.inputs) == 1
        standing[node.name] = standing[node.inputs[0]] if reshapes else node.name
    return standing


def _items(architecture: Architecture, standing: Mapping[str, str]) -> tuple[Item, ...]:
    nodes = (node for node in architecture.nodes if standing[node.name] == node.name)
    return group_layers([replace(node, inputs=tuple(standing[name] for name in node.inputs)) for node in nodes])


def _boxes(items: Iterable[Item], unfolded: frozenset[str], members: Mapping[str, list[str]], group: str = "") -> list[ChartBox]:
    boxes: list[ChartBox] = []
    for item in items:
        if isinstance(item, Node):
            boxes.append(ChartBox(item.name, "layer", item.name, short_type(item), tuple(members[item.name]), group))
        elif item.name in unfolded:
            boxes += _boxes(item.items, unfolded, members, item.name)
        else:
            nodes = tuple(nodes_of(item))
            layers = sum(not is_function_node(node) for node in nodes)
            words = f"{layers} layer{'s' if layers > 1 else ''}" if layers else f"{len(nodes)} functions"
            boxes.append(
                ChartBox(item.name, "group", item.label, words, tuple(chain(*(members[node.name] for node in nodes))), group)
            )
    return boxes


def _links(architecture: Architecture, boxes: Iterable[ChartBox]) -> dict[tuple[str, str], str]:
    """(start, end) -> size; what feeds nothing gives the output."""
    holding = {name: box.name for box in boxes for name in box.members}
    sizes = {INPUT: size(architecture.input)}
    feeding: set[str] = set()
    links: dict[tuple[str, str], str] = {}

    def link(start: str, end: str) -> None:
        if holding[start] != end:
            links.setdefault((holding[start], end), sizes[start])

    for node in architecture.nodes:
        sizes[node.name] = size(node.output)
        feeding.update(node.inputs)
        for name in node.inputs:
            link(name, holding[node.name])
    for name in [name for name in sizes if name not in feeding]:
        link(name, OUTPUT)
    return links


def _placed(boxes: Sequence[ChartBox], sizes: Mapping[tuple[str, str], str]) -> Chart:
    """Columns by the longest way from the input; lanes so that neither boxes nor, as far as lanes go, links meet."""
    feeders: dict[str, list[str]] = {box.name: [] for box in boxes}
    for start, end in sizes:
        feeders[end].append(start)
    grid = _Grid()
    placed: dict[str, ChartBox] = {}
    links: list[Link] = []
    for box in boxes:
        before = [placed[name] for name in feeders[box.name]]
        column = 1 + max((other.column for other in before), default=-1)
        lane = grid.box(min((other.lane for other in before), default=0), column)
        placed[box.name] = replace(box, column=column, lane=lane)
        links += [Link(other.name, box.name, sizes[other.name, box.name], grid.track(other, lane, column)) for other in before]
    return Chart(tuple(placed.values()), tuple(links))


class _Grid:
    """Which columns of each lane are taken: a bit each."""

    def __init__(self) -> None:
        self._taken: defaultdict[int, int] = defaultdict(int)
        self._tracks: dict[str, tuple[int, int]] = {}  # by box, the lane of its links past others, and where they end

    def box(self, wanted: int, column: int) -> int:
        """Take the first lane from the wanted one on in which a box has room."""
        columns = 1 << column
        lane = next(lane for lane in count(wanted) if not self._taken[lane] & columns)
        self._taken[lane] |= columns
        return lane

    def track(self, start: ChartBox, lane: int, column: int) -> int:
        """Return the lane of the link from a box to a lane of a column; links of a box share a lane while they can."""
        first = start.column + 1
        if first == column:
            return lane
        shared, reached = self._tracks.get(start.name, (start.lane, first))
        columns = (1 << max(column, reached)) - (1 << reached)
        if self._taken[shared] & columns:
            columns = (1 << column) - (1 << first)
            lanes = range(min(start.lane, lane), TRACKS)
            shared = next((lane for lane in lanes if not self._taken[lane] & columns), TRACKS)
        self._taken[shared] |= columns
        self._tracks[start.name] = shared, max(column, reached)
        return shared


@dataclass(frozen=True)
class LayerGroup:
    """Successive layers that can be shown as one."""

    name: str  # no other group and no layer has it
    label: str  # what it is called
    items: tuple[Node | LayerGroup, ...]


Item = Node | LayerGroup


def group_layers(nodes: Sequence[Node]) -> tuple[Item, ...]:
    """Return the same nodes in the same order, in nested groups of at most LONGEST items each.

    Groups are what the names say ("layer1.0.conv1", "inception_3a/1x1"). More than MOST items in a row are made blocks that end
    with a pooling; where these are too many, or there is none, blocks of the same length.
    """
    return _Grouping(nodes).items("", list(zip(nodes, _scopes(nodes), strict=True)), 0)


def is_function_node(node: Node) -> bool:
    """Return whether no module does it: then its name is made of the function's, "add_1"."""
    return re.fullmatch(rf"{re.escape(node.type)}(_\d+)?", node.name) is not None and node.type.islower()


class _Grouping:
    def __init__(self, nodes: Sequence[Node]) -> None:
        self._taken = Counter(node.name for node in nodes)
        self._narrow = _narrow(nodes)

    def items(self, scope: str, nodes: list[tuple[Node, Scopes]], depth: int) -> tuple[Item, ...]:
        """Return the items of a scope that a reader sees side by side."""
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
            count = min(MOST, ceil(len(items) / MOST))
            blocks = [items[start:end] for start, end in pairwise(i * len(items) // count for i in range(count + 1))]
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
        """Return runs that end where the outputs of a pooling, and what bypassed it, have come together."""
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
    """Iterate over the layers of an item, in order."""
    return iter((item,)) if isinstance(item, Node) else chain.from_iterable(map(nodes_of, item.items))


def _narrow(nodes: Sequence[Node]) -> set[str]:
    """Nodes behind which nothing but the output of one flows on."""
    last = {name: number for number, node in enumerate(nodes) for name in node.inputs}
    narrow, flowing = set(), {""}
    for number, node in enumerate(nodes):
        flowing = {name for name in (*flowing, node.name) if last.get(name, -1) > number}
        if len(flowing) <= 1:
            narrow.add(node.name)
    return narrow


def _pools(node: Node) -> bool:
    """Return whether the map gets smaller in a pooling."""
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


def short_type(node: Node) -> str:
    """Return a layer's type in a word or two, e.g. "conv 5×5", "max 2×2", "dense", "batch norm"."""
    kind = node.type.lower()
    word = WORDS.get(kind, node.type) or kind
    groups = node.window.groups if node.window else 1
    if word == "conv" and (kind.startswith("depthwise") or 1 < groups == node.output[0]):
        word = "depthwise"
    return f"{word} {size_text(node.window.kernel)}" if node.window and word != "local norm" else word


def facts(node: Node) -> list[str]:
    """Return the facts about a layer, a line each."""
    lines = [node.name, f"{short_type(node)} ({node.type})" if short_type(node) != node.type else node.type]
    lines.append(f"output {size(node.output)}")
    if node.parameters:
        lines.append(f"{node.parameters:,} parameters")
    told = window_facts(node.window)
    lines += [", ".join(line) for line in (told[:3], told[3:]) if line]
    return [*lines, f"sees {size_text(node.field.size)} pixels" if node.field else "how much it sees cannot be told"]


def size(shape: Sequence[int]) -> str:
    """(C, H, W) as "H×W×C", as networks are drawn; (units,) as it is."""
    return size_text((*shape[1:], shape[0])) if shape else ""

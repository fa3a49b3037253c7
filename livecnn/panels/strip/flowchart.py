"""A network as a chart: where the box of each layer stands, what leads to it, and which layers share a box."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, count
from typing import Literal

from livecnn.networks.inspection.architecture import Architecture, Node
from livecnn.networks.inspection.receptive_field import RESHAPING
from livecnn.panels.strip.layer_groups import Item, LayerGroup, group_layers, is_function_node
from livecnn.panels.strip.layer_labels import short_type, size

INPUT, OUTPUT = "", "(output)"  # names of these boxes
FITTING = 12  # boxes that a reader takes in at once
TRACKS = 6  # the last lane that links past boxes may take; those that find none free share it

Kind = Literal["layer", "group", "input", "output"]


@dataclass(frozen=True)
class ChartBox:
    """A layer, or a group of layers that is folded.

    label, words: what it is called and what it is, "conv 5×5" or "14 layers".  members: names of its layers.
    group: the innermost group around it that is unfolded; "" if there is none.  column, lane: its place, from the top left.
    """

    name: str
    kind: Kind
    label: str
    words: str
    members: tuple[str, ...]
    group: str = ""
    column: int = 0
    lane: int = 0


@dataclass(frozen=True)
class Link:
    """From box to box. size: of what flows, "24×24×20".  lane: where it runs past the columns between the two."""

    start: str
    end: str
    size: str
    lane: int


@dataclass(frozen=True)
class Chart:
    """Boxes in the order in which they work, and the links between them."""

    boxes: tuple[ChartBox, ...]
    links: tuple[Link, ...]

    @property
    def columns(self) -> int:
        return 1 + max(box.column for box in self.boxes)

    @property
    def lanes(self) -> int:
        return 1 + max(*(box.lane for box in self.boxes), *(link.lane for link in self.links))

    def holding(self, layer: str) -> ChartBox | None:
        """The box of a layer, that of its group if it is folded."""
        return next((box for box in self.boxes if layer in box.members), None)


def flowchart(architecture: Architecture, unfolded: frozenset[str] = frozenset()) -> Chart:
    """The chart in which these groups, by name, are unfolded; names that are no groups change nothing.

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
    """Groups to be unfolded at first: as many as leave no more boxes than these, small ones first; all if that will do."""
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
            nodes = tuple(item.nodes())
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
        self._tracks: dict[
            str, tuple[int, int]
        ] = {}  # by box, the lane of its links past others, and the column before which they end

    def box(self, wanted: int, column: int) -> int:
        """The first lane from the wanted one on in which a box has room."""
        columns = 1 << column
        lane = next(lane for lane in count(wanted) if not self._taken[lane] & columns)
        self._taken[lane] |= columns
        return lane

    def track(self, start: ChartBox, lane: int, column: int) -> int:
        """Where the link from a box to a lane of a column runs on its way; links of a box share a lane while they can."""
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

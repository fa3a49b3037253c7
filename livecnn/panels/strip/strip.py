"""A strip as a user meets it: folded and unfolded, scrolled, with a current layer; drawn again only when something changes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from livecnn.drawing.theme import Metrics, Theme
from livecnn.geometry import Rect
from livecnn.networks.inspection.architecture import Architecture
from livecnn.panels.strip.flowchart import ChartBox, flowchart, initially_unfolded
from livecnn.panels.strip.layer_labels import facts
from livecnn.panels.strip.strip_layout import lay_out
from livecnn.panels.strip.strip_painter import Counts, StripState, draw_strip
from livecnn.types import Image

STEP = 0.25  # share of the window that a step of the wheel scrolls


class StripView:
    """The strip of a network in a window of a figure. Layers are named as nodes of the architecture are."""

    def __init__(self, architecture: Architecture, theme: Theme) -> None:
        self._architecture, self._theme = architecture, theme
        self._nodes = {node.name: node for node in architecture.nodes}
        self._unfolded = initially_unfolded(architecture)
        self._layer = ""
        self._muted: Collection[str] = ()
        self._hovered: str | None = None
        self._counts: Mapping[str, Counts] = {}
        self._x = self._y = 0
        self._room, self._metrics = Rect(0, 0, 1, 1), Metrics(1.0)
        self._drawn: tuple[StripState, Image] | None = None
        self._make()

    @property
    def groups(self) -> frozenset[str]:
        """Names of all groups that are folded, or hold a layer that shows."""
        boxes = self._strip.chart.boxes
        return frozenset(name for box in boxes for name in (box.group, box.name if box.kind == "group" else "") if name)

    @property
    def unfolded(self) -> frozenset[str]:
        """Names of the groups that show what is in them."""
        return self._unfolded

    def lay_out(self, room: Rect, metrics: Metrics) -> None:
        """Fill this part of the figure."""
        self._room, self._metrics = room, metrics
        self._make()

    def attend(self, layer: str, muted: Collection[str] = ()) -> None:
        """The current layer, which comes into view if it is another one, and the layers with units that are switched off."""
        self._muted = muted
        if layer != self._layer:
            self._layer = layer
            self._reveal(layer)

    def hover(self, name: str | None) -> None:
        """The layer or group under the mouse; None: there is none."""
        self._hovered = name

    def fold(self, group: str) -> None:
        """Fold a group that is unfolded, unfold one that is folded; it comes into view."""
        first = next((box.members[0] for box in self._strip.chart.boxes if group in (box.name, box.group)), self._layer)
        self._unfolded ^= {group}
        self._make()
        self._reveal(first)

    def fold_at(self, layer: str) -> None:
        """Unfold the group that holds a layer; if the layer shows, fold the innermost group around it."""
        box = self._strip.chart.holding(layer)
        group = "" if box is None else box.name if box.kind == "group" else box.group
        if group:
            self.fold(group)

    def scroll(self, steps: float) -> bool:
        """Towards the output by so many steps of a wheel; whether there was more to see."""
        before, self._x = self._x, self._strip.within(round(self._x + steps * STEP * self._room.w), self._room.w)
        return self._x != before

    def box_at(self, x: float, y: float) -> ChartBox | None:
        """The box at a pixel of the figure."""
        return self._strip.box_at(*self._inside(x, y)) if self._room.contains(x, y) else None

    def group_at(self, x: float, y: float) -> str:
        """The unfolded group whose bracket lies there; "" if none does."""
        return self._strip.group_at(*self._inside(x, y)) if self._room.contains(x, y) else ""

    def place_of(self, name: str) -> Rect | None:
        """Where the box of a layer or group stands in the figure; it may reach out of the window. None: there is no such box."""
        if name not in self._boxes:
            return None
        x, y, w, h = self._strip.rects[self._boxes[name]]
        return Rect(x - self._x + self._room.x, y - self._y + self._room.y, w, h)

    def tooltip_lines(self, name: str) -> list[str]:
        """Lines about a layer, the group that holds it if that is folded, or a group; none if there is no such thing."""
        box = next((box for box in self._strip.chart.boxes if box.name == self._boxes.get(name)), None)
        if box is None:
            return [f"{name}: unfolded"] if name in self._unfolded else []
        counts = self._counts.get(box.name)
        marked = ["{} good, {} bad, {} unmarked".format(*counts)] if counts else []
        if box.kind == "layer":
            return [*facts(self._nodes[box.name]), *marked]
        links = self._strip.chart.links
        sizes = dict.fromkeys(link.size for link in links if box.name == (link.end if box.kind == "output" else link.start))
        if box.kind != "group":
            return [box.label, ", ".join(sizes)]
        parameters = sum(self._nodes[member].parameters for member in box.members)
        return [box.label, box.words, f"output {', '.join(sizes)}", f"{parameters:,} parameters", *marked]

    def count(self, counts: Callable[[str, int], Counts]) -> None:
        """Take how many units of each convolution are marked: counts(layer, units) are the good, bad and unmarked ones."""
        self._counts = {box: _sum([counts(*layer) for layer in layers]) for box, layers in self._convolutions.items()}

    def image(self) -> Image:
        """What is on show, uint8 (height, width, 3) of the window; the same array while nothing changes."""
        muted = frozenset(self._boxes[name] for name in self._muted if name in self._boxes)
        current = self._boxes.get(self._layer)
        hovered = None if self._hovered is None else self._boxes.get(self._hovered)
        state = StripState(self._x, self._y, current, hovered, self._counts, muted)
        if self._drawn is None or self._drawn[0] != state:
            self._drawn = state, draw_strip(self._strip, state, self._room.w, self._room.h, self._theme, self._metrics)
        return self._drawn[1]

    def _make(self) -> None:
        chart = flowchart(self._architecture, self._unfolded)
        self._strip = lay_out(chart, self._room.w, self._room.h, self._metrics)
        self._boxes = {name: box.name for box in chart.boxes for name in (box.name, *box.members)}
        self._convolutions = {
            box.name: layers
            for box in chart.boxes
            if (layers := [(name, self._nodes[name].output[0]) for name in box.members if self._convolves(name)])
        }
        self._counts, self._drawn = {}, None
        self._reveal(self._layer)

    def _reveal(self, layer: str) -> None:
        box = self._boxes.get(layer)
        if box is not None:
            self._x = self._strip.towards(box, self._x, self._room.w)
            rect, hidden = self._strip.rects[box], self._strip.height - self._room.h
            self._y = max(0, min(hidden, rect.y + (rect.h - self._room.h) // 2))

    def _convolves(self, name: str) -> bool:
        return name in self._nodes and "conv" in self._nodes[name].type.lower()

    def _inside(self, x: float, y: float) -> tuple[float, float]:
        return x - self._room.x + self._x, y - self._room.y + self._y


def _sum(counts: Collection[Counts]) -> Counts:
    good, bad, unmarked = (sum(column) for column in zip(*counts, strict=True))
    return good, bad, unmarked

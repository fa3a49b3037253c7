"""The selected layer in detail, by its type."""

import math
from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import Field

from livecnn.drawing.artists import text_width
from livecnn.drawing.theme import Metrics
from livecnn.engine.reducers import Maps
from livecnn.geometry import Rect
from livecnn.networks.inspection.architecture import Node
from livecnn.panels.base.drawer import Context, Drawer
from livecnn.panels.base.spec import Colormap, PanelSpec, Scale
from livecnn.panels.base.targets import Target, Tooltip
from livecnn.panels.details.base import Detail, HeadingPart, LabelPool, ReplaceableGroup
from livecnn.panels.details.classes import ContributionsDetail, OutputDetail, SoftmaxDetail, feeds_classes
from livecnn.panels.details.grid import MapGrid, UnitGrid
from livecnn.panels.details.text import FactsDetail, InputDetail, TextDetail, WindowStrip
from livecnn.selection import INPUT, OUTPUT, Selection
from livecnn.types import Scene


class LayerPanel(PanelSpec):
    """The layer that is selected in the explorer: maps or neurons in a grid, a softmax as bars, the output with examples."""

    explores: ClassVar[bool] = True

    kind: Literal["layer"] = Field("layer", description="Details of the selected layer, by its type.")
    colormap: Colormap | None = Field(
        None, description="Colours from low to high values; by default gray for maps, viridis for neurons."
    )
    scale: Scale = Field(
        "map", description="Range of values that the colours span: each map's own, the layer's, a slow-moving one, or given."
    )
    threshold: float = Field(0.1, ge=0, le=1, description="Share from which on a softmax shows a class.")


class LayerDrawer(Drawer):
    """The selected layer, drawn by one or more details."""

    has_maps = True

    def __init__(self, spec: LayerPanel, name: str, context: Context) -> None:
        super().__init__(name, context)
        self._spec = spec
        self.colormap = spec.colormap
        self._layer: str | None = None
        self._parts: list[Detail] = []
        self._shown: list[Detail] = []  # those that there is room for
        self._metrics: Metrics | None = None
        self._stage, self._bar = ReplaceableGroup(), LabelPool()
        self._said: tuple[Sequence[HeadingPart], int] = (), 0
        self._buttons: list[tuple[Rect, HeadingPart]] = []
        self.still = []
        self.live = [self._stage, self.heading, self._bar]

    @property
    def _main(self) -> Detail:
        return self._parts[0]

    def set_selection(self, focus: Selection) -> None:
        if focus.layer != self._layer:
            self._open(focus)
        for part in self._parts:
            part.attend(focus)
        self.asks = {ask for part in self._parts for ask in part.asks}
        self.units_asked = tuple(self._main.wanted)

    def _open(self, focus: Selection) -> None:
        self._layer = focus.layer
        node = node_of(focus.layer, self.context)
        self._parts = details_of(node, self._spec, self.context)
        self.reducer = self._main.reducer
        title = {INPUT: "input", OUTPUT: "output"}.get(node.name, node.name)
        kind = f"{title} · {node.type}" if node.type not in ("", node.name) else title
        self.titles = (self._spec.title,) if self._spec.title else (kind, title)
        if self._metrics is not None:
            self.lay_out(self.card, self._metrics)

    def arrange(self, body: Rect, metrics: Metrics) -> None:
        self._metrics = metrics
        self._shown, rest = [self._main], body
        for part in reversed(self._parts[1:]):
            height = part.height(body, metrics)
            if height:
                part.arrange(Rect(body.x, rest.y + rest.h - height, body.w, height), metrics)
                rest = rest._replace(h=max(1, rest.h - height - metrics.px(8)))
                self._shown.append(part)
        self._main.arrange(rest, metrics)
        self._stage.replace([artist for part in self._shown for artist in part.live])
        self._said = (), 0

    def show(self, scene: Scene) -> None:
        view = scene.tick.views.get(self.name)
        maps = view if isinstance(view, Maps) and view.layer == self._layer else None
        for part in self._shown:
            part.colormap = self.colormap or part.colormap
            part.show(scene, maps)
        self.units_asked = tuple(self._main.wanted)
        self._say(self._main.words())

    def _say(self, words: Sequence[HeadingPart]) -> None:
        """At the right of the heading, from the right; what does not fit is left out, plain words first."""
        metrics = self._metrics
        assert metrics is not None
        room = self.card.w - 3 * metrics.pad - self.heading.advance()
        if (words, room) == self._said:
            return
        self._said = words, room
        gap, size = metrics.px(10), metrics.small
        fitting = list(words)
        while fitting and sum(text_width(word.text, size) + gap for word in fitting) - gap > room:
            fitting.remove(next((word for word in fitting if word.button is None), fitting[0]))
        self._bar.clear()
        self._buttons = []
        right = self.card.x + self.card.w - metrics.pad
        for word in reversed(fitting):
            width = text_width(word.text, size)
            color = self.theme.muted if word.button is None else self.theme.text
            self._bar.write(word.text, (right, self.heading.y), size, color, align="right")
            if word.button is not None:
                reach = Rect(right - width - gap // 2, self.heading.y - 2 * size, width + gap, 3 * size)
                self._buttons.append((reach, word))
            right -= width + gap

    def target_at(self, x: float, y: float) -> Target | None:
        button = next((word.button for place, word in self._buttons if place.contains(x, y)), None)
        found = (part.target_at(x, y) for part in self._shown)
        return button or next((target for target in found if target is not None), None)

    def tip(self, target: Target) -> Tooltip | None:
        return next((tip for part in self._shown if (tip := part.tip(target)) is not None), None)

    def step(self, unit: int, across: int, down: int) -> int | None:
        return self._main.step(unit, across, down)

    def turn_page(self, pages: int) -> int | None:
        return self._main.turn_page(pages)


def node_of(layer: str, context: Context) -> Node:
    """Return the node of that name; the two ends of the network as if they were layers."""
    architecture = context.architecture()
    if layer == INPUT:
        return Node(INPUT, "", (), architecture.input, 0, None, None)
    if layer == OUTPUT:
        return Node(OUTPUT, "", (), (len(context.classes),), 0, None, None)
    return next((node for node in architecture.nodes if node.name == layer), Node(layer, "", (), (), 0, None, None))


def details_of(node: Node, spec: LayerPanel, context: Context) -> list[Detail]:
    """Return the details that show a layer: first the main one, then those that are placed below it."""
    single = len(node.output) == 1 or (len(node.output) == 3 and math.prod(node.output[1:]) == 1)
    strip = FactsDetail(node, context) if node.window is None else WindowStrip(node, context)
    if node.name == INPUT:
        return [InputDetail(node, context)]
    if node.name == OUTPUT:
        return [OutputDetail(node, context)]
    if single and "softmax" in node.type.lower():
        return [SoftmaxDetail(node, context, spec.threshold), strip]
    if single:
        below: list[Detail] = [ContributionsDetail(node, context)] if feeds_classes(node, context) else []
        return [UnitGrid(node, context, spec.scale), *below, strip]
    if len(node.output) == 3:
        return [MapGrid(node, context, spec.scale), strip]
    return [TextDetail(node, context)]

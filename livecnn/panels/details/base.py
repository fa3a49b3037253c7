"""Details: the parts that the panel of the selected layer is put together of, one file for each way to show a layer.

All that a detail draws is live, since the layer changes without a full draw.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, NamedTuple

from matplotlib.artist import Artist

from livecnn.drawing.artists import Align, BufferArtist, Group, Label, Weight
from livecnn.drawing.theme import Color, Metrics
from livecnn.engine.maps_reducer import Maps, MapsReducer
from livecnn.geometry import Rect
from livecnn.networks.inspection.architecture import Node
from livecnn.panels.base.drawer import Context
from livecnn.panels.base.targets import ButtonTarget, Target, Tooltip
from livecnn.selection import Ask, Selection
from livecnn.types import Image, Scene

if TYPE_CHECKING:
    from matplotlib.backends.backend_agg import RendererAgg


class HeadingPart(NamedTuple):
    """A piece of the line beside the heading; one with a button can be clicked."""

    text: str
    button: ButtonTarget | None = None


class Detail:
    """A way to show a layer, made anew for every layer."""

    colormap = "gray"
    reducer: MapsReducer | None = None
    asks: Collection[Ask] = ()
    wanted: Sequence[int] = ()  # units that are to be seen, in order

    def __init__(self, node: Node, context: Context) -> None:
        self.node, self.context, self.theme = node, context, context.theme
        self.body, self.metrics = Rect(0, 0, 1, 1), Metrics(1.0)
        self.live: list[Artist] = []

    def height(self, room: Rect, metrics: Metrics) -> int:  # noqa: ARG002
        """Of the strip that it wants below another detail in that room; 0: none."""
        return 0

    def arrange(self, body: Rect, metrics: Metrics) -> None:
        self.body, self.metrics = body, metrics

    def attend(self, focus: Selection) -> None:
        """As Drawer.attend, while the layer stays."""

    def show(self, scene: Scene, maps: Maps | None) -> None:
        """maps: what the reducer made of the layer, if that is there already."""

    def words(self) -> Sequence[HeadingPart]:
        """What stands beside the heading after `show`."""
        return ()

    def target_at(self, x: float, y: float) -> Target | None:
        """As Drawer.target_at."""

    def tip(self, target: Target) -> Tooltip | None:
        """As Drawer.tip."""

    def step(self, unit: int, across: int, down: int) -> int | None:
        """As Drawer.step."""

    def turn_page(self, pages: int) -> int | None:
        """As Drawer.turn_page."""


class ReplaceableGroup(Group):
    """A group whose members may be replaced between two draws; those that go are wiped away."""

    def __init__(self) -> None:
        super().__init__()
        self._drawn: list[Artist] = []

    def replace(self, members: Sequence[Artist]) -> None:
        for member in self.members:
            member.set_visible(False)
        for member in members:
            member.set_visible(True)
        self.members = list(members)

    def wipe(self, buffer: Image, still: Image) -> None:
        for member in self._drawn:
            if isinstance(member, BufferArtist):
                member.wipe(buffer, still)

    def draw(self, renderer: RendererAgg) -> None:  # type: ignore[override]
        super().draw(renderer)
        self._drawn = self.members


class LabelPool(Group):
    """As many texts as there are to be written at a tick; labels are kept, so that the same text again is a copy."""

    def __init__(self) -> None:
        super().__init__()
        self._pool: list[Label] = []
        self._used = 0

    def clear(self) -> None:
        self._used = 0
        for label in self._pool:
            label.text = ""

    def write(
        self,
        text: str,
        place: tuple[int, int],
        size: int,
        color: Color,
        *,
        width: int | None = None,
        weight: Weight = "normal",
        align: Align = "left",
        ground: Color | None = None,
    ) -> None:
        """place: as Label.place."""
        if self._used == len(self._pool):
            self._pool.append(Label(color))
            self.members = [*self._pool]
        label = self._pool[self._used]
        self._used += 1
        label.text, label.color, label.weight, label.align, label.ground = text, color, weight, align, ground
        label.place(*place, size, width)


def quoted(context: Context, index: int) -> str:
    """The name of a class in a sentence."""
    return f"“{context.classes[index]}”" if index < len(context.classes) else f"class {index}"

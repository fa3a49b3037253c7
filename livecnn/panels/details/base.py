"""Detail, the base class of the parts of the layer panel, and artists that several of them have."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, NamedTuple

from matplotlib.artist import Artist

from livecnn.drawing.artists import Align, BufferArtist, Group, Label, Weight, baseline_offset
from livecnn.drawing.theme import Color, Metrics
from livecnn.engine.reducers import Maps, MapsReducer
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
    """Show a layer, or a part of what is known about it; made anew for every layer.

    A subclass makes its artists in `__init__`, places them in `arrange` and fills them in `show`. `panels/layer.py` chooses the
    details of a layer by its type.

    Attributes:
        node: The layer.
        live: Artists that are drawn at every tick, in order; there are no others, as the layer changes without a full draw.
        labels: Texts to be written; by default the only artists.
        colormap: Colors of its maps.
        reducer: What it wants of the layer; its result is handed to `show`.
        asks: What it wants of the explanations, which come as `scene.findings`.
        wanted: Units that are to be seen, in order.

    Example:
        A detail that writes one number:

        >>> from livecnn.panels.details.base import Detail
        >>> class SizeDetail(Detail):
        ...     def show(self, scene, maps):
        ...         self.labels.clear()
        ...         place = self.body.x, self.body.y + self.metrics.small
        ...         self.labels.write(f"{self.node.parameters:,}", place, self.metrics.small, self.theme.text)
    """

    colormap = "gray"
    reducer: MapsReducer | None = None
    asks: Collection[Ask] = ()
    wanted: Sequence[int] = ()

    def __init__(self, node: Node, context: Context) -> None:
        self.node, self.context, self.theme = node, context, context.theme
        self.body, self.metrics = Rect(0, 0, 1, 1), Metrics(1.0)
        self.labels = LabelPool()
        self.live: list[Artist] = [self.labels]

    def height(self, room: Rect, metrics: Metrics) -> int:  # noqa: ARG002
        """Return the height that it wants below another detail in that room; 0: it is not shown there."""
        return 0

    def arrange(self, body: Rect, metrics: Metrics) -> None:
        """Place its artists in a part of the panel."""
        self.body, self.metrics = body, metrics

    def attend(self, focus: Selection) -> None:
        """Follow what the user looks at, while the layer stays."""

    def show(self, scene: Scene, maps: Maps | None) -> None:
        """Take the newest data, and what the reducer made of the layer if that is there already."""

    def words(self) -> Sequence[HeadingPart]:
        """Return the parts of the line beside the heading, after `show`."""
        return ()

    def target_at(self, x: float, y: float) -> Target | None:
        """Return what lies at a device pixel, see `Drawer.target_at`."""

    def tip(self, target: Target) -> Tooltip | None:
        """Return the words about a target, see `Drawer.tip`."""

    def step(self, unit: int, across: int, down: int) -> int | None:
        """Return the unit so many places away, see `Drawer.step`."""

    def turn_page(self, pages: int) -> int | None:
        """Return the number of another page, see `Drawer.turn_page`."""


class ReplaceableGroup(Group):
    """A group whose members may be replaced between two draws; those that go are wiped away."""

    def __init__(self) -> None:
        super().__init__()
        self._drawn: list[Artist] = []

    def replace(self, members: Sequence[Artist]) -> None:
        """Draw these from now on, and nothing else."""
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
        """Write nothing of what was written."""
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
        """Write one more text; `place` and the sizes as of `Label.place`."""
        if self._used == len(self._pool):
            self._pool.append(Label(color))
            self.members = [*self._pool]
        label = self._pool[self._used]
        self._used += 1
        label.text, label.color, label.weight, label.align, label.ground = text, color, weight, align, ground
        label.place(*place, size, width)

    def say(self, text: str, room: Rect, size: int, color: Color) -> None:
        """Write a text in the middle of a room."""
        middle = room.x + room.w // 2, room.y + room.h // 2 + baseline_offset(size)
        self.write(text, middle, size, color, width=room.w, align="center")


def quoted(context: Context, index: int) -> str:
    """Return the name of a class for a sentence, in quotation marks."""
    return f"“{context.classes[index]}”" if index < len(context.classes) else f"class {index}"

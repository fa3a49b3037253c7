"""The whole network as a chain of boxes over the figure."""

from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import Field

from livecnn.drawing.artists import Pixels
from livecnn.drawing.theme import Metrics
from livecnn.geometry import Rect
from livecnn.panels.base.drawer import Context, Drawer
from livecnn.panels.base.spec import PanelSpec
from livecnn.panels.base.targets import GroupTarget, LayerTarget, Target, Tooltip
from livecnn.panels.strip.strip import StripView
from livecnn.selection import Selection
from livecnn.types import Image, Scene


class ArchitecturePanel(PanelSpec):
    """All layers in the order in which they work: click one to select it, a group to unfold it."""

    explores: ClassVar[bool] = True

    kind: Literal["architecture"] = Field("architecture", description="The layers of the network, as a strip.")


class ArchitectureDrawer(Drawer):
    """The strip in its card."""

    def __init__(self, spec: ArchitecturePanel, name: str, context: Context) -> None:
        super().__init__(name, context)
        found = context.architecture()
        layers = f"{found.layers} layer{'s' if found.layers != 1 else ''}"
        self.titles = (spec.title,) if spec.title else (f"{found.name} · {layers}", layers)
        self._parameters = found.parameters
        self._view = StripView(found, self.theme)
        self._picture = Pixels()
        self._shown: Image | None = None
        self.live = [self._picture]

    def captions(self) -> Sequence[str]:
        return (f"{self._parameters:,} parameters",)

    def arrange(self, body: Rect, metrics: Metrics) -> None:
        self._view.lay_out(body, metrics)
        self._shown = None

    def set_selection(self, focus: Selection) -> None:
        self._view.attend(focus.layer, frozenset(layer for layer, _ in self.context.session.muted.units))

    def hover(self, target: Target | None) -> None:
        self._view.hover(target.name if isinstance(target, (LayerTarget, GroupTarget)) else None)

    def fold(self, name: str) -> None:
        if name in self._view.groups:
            self._view.fold(name)
        else:
            self._view.fold_at(name)

    def target_at(self, x: float, y: float) -> Target | None:
        box = self._view.box_at(x, y)
        if box is not None:
            return GroupTarget(box.name) if box.kind == "group" else LayerTarget(box.name)
        group = self._view.group_at(x, y)
        return GroupTarget(group) if group else None

    def tip(self, target: Target) -> Tooltip | None:
        if not isinstance(target, (LayerTarget, GroupTarget)):
            return None
        lines = self._view.tooltip_lines(target.name)
        return Tooltip(tuple(lines), self._view.place_of(target.name) or self.body) if lines else None

    def scroll(self, x: float, y: float, steps: float) -> bool:
        return self.body.contains(x, y) and self._view.scroll(-steps)  # away from the user is towards the input

    def show(self, scene: Scene) -> None:  # noqa: ARG002
        annotations = self.context.session.annotations
        if annotations is not None:
            self._view.count(annotations.counts)
        image = self._view.image()
        if image is not self._shown:
            self._shown = image
            self._picture.put(self.body.x, self.body.y, image)

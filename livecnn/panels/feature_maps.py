"""A convolutional layer's maps, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from livecnn.drawing.artists import Label, Pixels
from livecnn.drawing.colormaps import cells, enlarge, high_color_name, subsample_index, table
from livecnn.engine.reducers import Mosaic, MosaicReducer
from livecnn.errors import nearest
from livecnn.geometry import Rect, best_grid
from livecnn.networks.inspection.windows import size_text
from livecnn.networks.unit_ranges import Units, resolve
from livecnn.panels.base.drawer import Context, Drawer
from livecnn.panels.base.options import Colormap, Scale
from livecnn.panels.base.spec import FieldError, PanelSpec
from livecnn.types import Scene

if TYPE_CHECKING:
    from livecnn.drawing.theme import Metrics


class FeatureMapsPanel(PanelSpec):
    """Feature maps of one layer in a grid."""

    kind: Literal["feature_maps"] = Field("feature_maps", description="Feature maps of one layer.")
    layer: str = Field(description="Name of a layer that gives maps: convolution, pooling, ….")
    channels: Units = Field("all", description="Which maps, in this order.")
    colormap: Colormap = Field("gray", description="Colours, from low to high values.")
    scale: Scale = Field(
        "map", description="Range of values that the colours span: each map's own, the layer's, a slow-moving one, or given."
    )

    def layers(self) -> tuple[str, ...]:
        return (self.layer,)

    def check(self, shapes: Mapping[str, tuple[int, ...]], classes: Sequence[str]) -> None:  # noqa: ARG002
        if self.layer not in shapes:
            raise FieldError("layer", f"unknown layer {self.layer!r}; {nearest(self.layer, shapes)}")
        shape = shapes[self.layer]
        if len(shape) != 4:
            raise FieldError(
                "layer", f"{self.layer!r} gives {' x '.join(map(str, shape[1:]))} values, not maps; kind neurons shows those"
            )
        try:
            resolve(self.channels, shape[1], "channel", self.layer)
        except ValueError as error:
            raise FieldError("channels", str(error)) from error

    def drawer(self, name: str, context: Context) -> Drawer:
        return FeatureMapsDrawer(self, name, context)


class FeatureMapsDrawer(Drawer):
    reducer: MosaicReducer
    colormap: str
    has_maps = True

    def __init__(self, spec: FeatureMapsPanel, name: str, context: Context) -> None:
        super().__init__(name, context)
        _, count, self._height, self._width = context.shapes[spec.layer]
        self.channels = resolve(spec.channels, count, "channel", spec.layer)
        self.titles = (spec.title or spec.layer,)
        self.colormap = spec.colormap
        self.reducer = MosaicReducer(spec.layer, self.channels, count, spec.scale)
        self._of = "" if len(self.channels) == count else f" of {count}"
        self._picture = Pixels()
        self._warning = Label(self.theme.bad, "bold", "center", self.theme.card)
        self._gap = 3
        self.live = [self._picture, self._warning]

    def captions(self) -> Sequence[str]:
        maps = f"{len(self.channels)}{self._of} feature maps"
        size, strong = size_text((self._height, self._width)), f"{high_color_name(self.colormap)} is strong"
        return (
            f"{maps}, {size} · {strong}",
            f"{len(self.channels)}{self._of} maps, {size} · {strong}",
            f"{len(self.channels)} maps, {size}",
            size,
        )

    def arrange(self, body: Rect, metrics: Metrics) -> None:
        self._gap = metrics.px(3)
        self.reducer.grid = rows, columns = best_grid(
            len(self.channels), self._width / self._height, body.w + self._gap, body.h + self._gap
        )
        self.reducer.room = self._room(rows, columns)
        self._warning.place(body.x + body.w // 2, body.y + body.h - metrics.px(6), metrics.small, body.w)

    def _room(self, rows: int, columns: int) -> tuple[int, int]:
        """Device pixels (height, width) of one map in a grid of the body."""
        w = max(1, (self.body.w + self._gap) // columns - self._gap)
        h = max(1, (self.body.h + self._gap) // rows - self._gap)
        aspect = self._width / self._height
        return max(1, min(h, round(w / aspect))), max(1, min(w, round(h * aspect)))

    def show(self, scene: Scene) -> None:
        mosaic = scene.tick.views.get(self.name)
        if not isinstance(mosaic, Mosaic):
            return
        rows, columns = mosaic.grid
        h, w = self._room(rows, columns)
        picture = enlarge(
            mosaic.codes,
            table(self.colormap, self.theme, faint=scene.tick.patch.prepared.empty),
            subsample_index(cells(rows, mosaic.cell[0], h, self._gap), self.body.h),
            subsample_index(cells(columns, mosaic.cell[1], w, self._gap), self.body.w),
        )
        top, left = (self.body.h - picture.shape[0]) // 2, (self.body.w - picture.shape[1]) // 2
        self._picture.put(self.body.x + left, self.body.y + top, picture)
        self._warning.text = f"{mosaic.broken} of {len(self.channels)} maps hold NaN or infinite values" if mosaic.broken else ""

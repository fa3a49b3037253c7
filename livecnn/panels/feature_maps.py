"""A convolutional layer's maps, side by side."""

from collections.abc import Mapping, Sequence
from typing import Literal

from pydantic import Field

from livecnn.drawing.artists import Label, Pixels
from livecnn.drawing.colormaps import enlarge, high_color_name, table
from livecnn.drawing.theme import Metrics
from livecnn.engine.reducers import Mosaic, MosaicReducer
from livecnn.geometry import Rect, best_grid
from livecnn.networks.inspection.architecture import size_text
from livecnn.networks.selectors import Units, expand_units
from livecnn.panels.base.drawer import Context, Drawer
from livecnn.panels.base.spec import Colormap, FieldError, PanelSpec, Scale, units_field
from livecnn.panels.details.grid import Cells, cell_size
from livecnn.types import Scene


class FeatureMapsPanel(PanelSpec):
    """Feature maps of one layer in a grid."""

    kind: Literal["feature_maps"] = Field("feature_maps", description="Feature maps of one layer.")
    layer: str = Field(description="Name of a layer that gives maps: convolution, pooling, ….")
    channels: Units = Field("all", description="Which maps, in this order.")
    colormap: Colormap = Field("gray", description="Colours, from low to high values.")
    scale: Scale = Field(
        "map", description="Range of values that the colours span: each map's own, the layer's, a slow-moving one, or given."
    )

    def check(self, shapes: Mapping[str, tuple[int, ...]], classes: Sequence[str]) -> None:
        super().check(shapes, classes)
        shape = shapes[self.layer]
        if len(shape) != 4:
            raise FieldError(
                "layer", f"{self.layer!r} gives {' x '.join(map(str, shape[1:]))} values, not maps; kind neurons shows those"
            )
        units_field("channels", self.channels, shape[1], "channel", self.layer)


class FeatureMapsDrawer(Drawer):
    """One mosaic of all maps."""

    reducer: MosaicReducer
    colormap: str
    has_maps = True

    def __init__(self, spec: FeatureMapsPanel, name: str, context: Context) -> None:
        super().__init__(name, context)
        _, count, self._height, self._width = context.shapes[spec.layer]
        self.channels = expand_units(spec.channels, count, "channel", spec.layer)
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
        self._gap, aspect = metrics.px(3), self._width / self._height
        self.reducer.grid = best_grid(len(self.channels), aspect, body.w + self._gap, body.h + self._gap)
        self.reducer.room = self._cells(self.reducer.grid).size
        self._warning.place(body.x + body.w // 2, body.y + body.h - metrics.px(6), metrics.small, body.w)

    def _cells(self, grid: tuple[int, int]) -> Cells:
        return Cells(self.body, grid, cell_size(self.body, *grid, self._width / self._height, self._gap), self._gap)

    def show(self, scene: Scene) -> None:
        mosaic = scene.tick.views.get(self.name)
        if not isinstance(mosaic, Mosaic):
            return
        cells = self._cells(mosaic.grid)
        colors = table(self.colormap, self.theme, faint=scene.tick.patch.prepared.empty)
        self._picture.put(*cells.origin, enlarge(mosaic.codes, colors, *cells.indices(*mosaic.cell)))
        self._warning.text = f"{mosaic.broken} of {len(self.channels)} maps hold NaN or infinite values" if mosaic.broken else ""

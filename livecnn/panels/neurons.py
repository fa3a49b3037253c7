"""A fully connected layer's units in rows, in their own order or sorted by their weight to a class."""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from pydantic import Field

from livecnn.drawing.artists import Label, Pixels, Rectangles
from livecnn.drawing.colormaps import cells, enlarge, high_color_name, table
from livecnn.drawing.theme import Metrics
from livecnn.engine.reducers import NeuronsReducer
from livecnn.engine.reducers import NeuronValues as NeuronsView
from livecnn.geometry import Rect, best_grid
from livecnn.networks.inspection.architecture import size_text
from livecnn.networks.selectors import Units, expand_units
from livecnn.panels.base.drawer import Context, Drawer
from livecnn.panels.base.spec import Colormap, FieldError, PanelSpec, Scale, class_field, units_field
from livecnn.types import Scene


class NeuronsPanel(PanelSpec):
    """Units of a fully connected layer in rows; sorted by their weight to a class if one is named."""

    kind: Literal["neurons"] = Field("neurons", description="Units of a fully connected layer.")
    layer: str = Field(description="Name of a layer that gives a vector of values.")
    units: Units = Field("all", description="Which units, in this order unless they are sorted.")
    rows: int | None = Field(None, ge=1, le=1000, description="Number of rows; by default as many as make the cells square.")
    colormap: Colormap = Field("viridis", description="Colours, from low to high values.")
    scale: Scale = Field("layer", description="Range of values that the colours span: the layer's, a slow-moving one, or given.")
    sort_by_class: int | str | None = Field(
        None, description="Sort by the weight to this class (its number or name), strongest first."
    )
    row_means: bool = Field(False, description="Draw the mean activation of each row as a bar on the right.")

    def check(self, shapes: Mapping[str, tuple[int, ...]], classes: Sequence[str]) -> None:
        super().check(shapes, classes)
        shape = shapes[self.layer]
        if any(extent != 1 for extent in shape[2:]):
            raise FieldError(
                "layer", f"{self.layer!r} gives maps of {size_text(shape[-2:])}, not single values; kind feature_maps shows those"
            )
        units = units_field("units", self.units, shape[1], "unit", self.layer)
        if self.rows is not None and self.rows > len(units):
            raise FieldError("rows", f"{self.rows} rows for {len(units)} units; allowed: 1-{len(units)}")
        if self.sort_by_class is not None:
            class_field("sort_by_class", self.sort_by_class, classes)


class NeuronsDrawer(Drawer):
    """One mosaic of all units, and the mean of each row."""

    reducer: NeuronsReducer
    colormap: str
    has_maps = True

    def __init__(self, spec: NeuronsPanel, name: str, context: Context) -> None:
        super().__init__(name, context)
        count = context.shapes[spec.layer][1]
        self._spec = spec
        self.units = expand_units(spec.units, count, "unit", spec.layer)
        self.colormap = spec.colormap
        self._weights = context.class_weights(count)
        self.reducer = NeuronsReducer(spec.layer, self.units, spec.rows or 1, spec.scale)
        self._picture = Pixels()
        self._bars = Rectangles()
        self._mean_label = Label(self.theme.muted)
        self._mean_label.text = "mean of each row" if spec.row_means else ""
        self._warning = Label(self.theme.bad, "bold", "center", self.theme.card)
        # A layer with a unit per class, in one row: the names stand under the cells.
        named = spec.rows == 1 and len(self.units) == count == len(context.classes)
        self._names = [Label(self.theme.text, align="center") for _ in self.units] if named else []
        self._grid = self._strip = self.body
        self.live = [self._picture, self._bars, self._warning]
        self.still += [self._mean_label, *self._names]
        self._order: Sequence[int] = self.units
        wanted = spec.sort_by_class
        if not self.sort_by(None if wanted is None else class_field("sort_by_class", wanted, context.classes)):
            raise FieldError(
                "sort_by_class",
                f"found {wanted!r}, but no weights lead from {spec.layer!r} to the classes; "
                "allowed: leave it out, or show the last hidden layer",
            )

    def sort_by(self, index: int | None) -> bool:
        if index is not None and (self._weights is None or index >= len(self._weights)):
            return False
        order = list(self.units)
        if index is not None and self._weights is not None:
            weights = self._weights[index].cpu().numpy()
            order = [self.units[i] for i in np.argsort(-weights[order], kind="stable")]
        self.sorted_by, self._order = index, order
        self.reducer.reorder(order)
        title = self._spec.title or self._spec.layer
        self.titles = (title,)
        if index is not None:
            by = f"by weight to “{self.context.classes[index]}”"
            self.titles = (f"{title} sorted {by}", f"{self._spec.layer} {by}", by)
        return True

    def captions(self) -> Sequence[str]:
        strong = f"{high_color_name(self.colormap)} is active"
        count = f"{len(self.units)} neurons"
        if self.sorted_by is None:
            return f"{len(self.units)} fully connected neurons · {strong}", f"{count} · {strong}", count
        return f"{count} · most important for this class at the top left", f"{count} · most important first", count

    def arrange(self, body: Rect, metrics: Metrics) -> None:
        bars = round(body.w * 0.22) if self._spec.row_means else 0
        lettered = (self._spec.row_means or bool(self._names)) and body.h > metrics.px(44)
        line = metrics.px(20) if lettered else 0
        room = Rect(body.x, body.y, body.w - bars, body.h - line)
        rows = self._spec.rows or best_grid(len(self.units), 1.0, room.w, room.h)[0]
        self.reducer.rows = rows
        columns = -(-len(self.units) // rows)
        # Whole pixels for each cell; where there are more cells than pixels, each pixel shows one of its cells.
        width, height = room.w // columns * columns or room.w, room.h // rows * rows or room.h
        self._grid = Rect(room.x + (room.w - width) // 2, room.y + (room.h - height) // 2, width, height)
        left = self._grid.x + self._grid.w + metrics.gap
        self._strip = Rect(left, self._grid.y, max(1, body.x + body.w - left), self._grid.h)
        self._mean_label.place(left, self._grid.y + self._grid.h + metrics.px(16), metrics.small, self._strip.w)
        w = width // columns
        for i, (name, unit) in enumerate(zip(self._names, self._order, strict=False)):
            name.text = self.context.classes[unit]
            name.place(self._grid.x + i * w + w // 2, self._grid.y + self._grid.h + metrics.px(16), metrics.small, w)
        for label in (self._mean_label, *self._names):
            label.set_visible(lettered)
        middle = self._grid.x + self._grid.w // 2
        self._warning.place(middle, self._grid.y + self._grid.h - metrics.px(6), metrics.small, self._grid.w)

    def show(self, scene: Scene) -> None:
        view = scene.tick.views.get(self.name)
        if not isinstance(view, NeuronsView):
            return
        rows, columns = view.codes.shape
        colors = table(self.colormap, self.theme, faint=scene.tick.patch.prepared.empty)
        picture = enlarge(view.codes, colors, cells(1, rows, self._grid.h, 0), cells(1, columns, self._grid.w, 0))
        self._picture.put(self._grid.x, self._grid.y, picture)
        if self._spec.row_means:
            self._show_means(view, colors.view(np.uint8).reshape(256, 4)[view.mean_codes])
        self._warning.text = f"{view.broken} of {len(self.units)} values are NaN or infinite" if view.broken else ""

    def _show_means(self, view: NeuronsView, colors: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> None:
        lengths = np.nan_to_num(np.abs(view.means), posinf=0.0)
        lengths = lengths / max(float(lengths.max()), np.finfo(np.float32).tiny) * self._strip.w
        height = self._strip.h / len(lengths)
        gap = int(height) // 8
        self._bars.rectangles = [
            (
                Rect(self._strip.x, self._strip.y + int(i * height) + gap, max(1, round(length)), max(1, int(height) - 2 * gap)),
                (int(r), int(g), int(b)),
            )
            for i, (length, (r, g, b, _)) in enumerate(zip(lengths, colors, strict=True))
            if not np.isnan(view.means[i])  # an empty row
        ]

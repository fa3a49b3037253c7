"""Show the position of the live picture on a map of pictures, and its nearest neighbors there."""

from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field

from livecnn.analysis.embedding.embedding import METHODS, NEAREST, LivePosition, PlacementReducer, count, load
from livecnn.analysis.embedding.embedding import Embedding as Map
from livecnn.analysis.embedding.picture import FitToSquare, draw_points, legend, legend_height
from livecnn.drawing.artists import Paragraph, Pixels, Rectangles, frame, resize_exactly
from livecnn.drawing.theme import Color, Metrics
from livecnn.drawing.tile import Tile, tile_grid
from livecnn.errors import SourceError
from livecnn.geometry import Rect
from livecnn.panels.base.drawer import NOTHING, Context, Drawer
from livecnn.panels.base.spec import FieldError, PanelSpec
from livecnn.types import Scene

MOST_NAMED = 12  # classes in a legend
SHARE = 0.36  # of the longer side, for the nearest pictures
NOT_FINITE = "NaN or infinite values: no place on the map"


class EmbeddingPanel(PanelSpec):
    """The live picture on a map that `livecnn embed` made, and the pictures nearest to it in the layer's own space."""

    kind: Literal["embedding"] = Field("embedding", description="Where the live picture lies on a map of pictures.")
    layer: str = Field(description="Name of the layer that the map was made of.")
    map: str = Field(
        "embedding.npz",
        min_length=1,
        description="The map: a file that `livecnn embed … --out FILE.npz` wrote, from the current folder.",
    )


class EmbeddingDrawer(Drawer):
    """The map as a still picture; a frame for the live picture and its nearest ones."""

    def __init__(self, spec: EmbeddingPanel, name: str, context: Context) -> None:
        super().__init__(name, context)
        self.titles = (spec.title,) if spec.title else (f"{spec.layer}: where this lies", f"{spec.layer}: map", spec.layer)
        self._map, self._hint = _map(spec, context), _how(spec, context)
        self.reducer = PlacementReducer(spec.layer, self._map)
        self._ground, self._mark = Pixels(), Rectangles()
        self._told = Paragraph(self.theme.muted)
        self._exhibits = [Tile(self.theme) for _ in range(NEAREST)]
        self._hung: list[int] = []
        self._metrics, self._room = Metrics(1.0), self.body
        self._fit = FitToSquare(1.0, np.zeros(2, np.float32))
        self.still += [self._ground]
        self.live = [self._mark, *self._exhibits, self._told]

    def captions(self) -> Sequence[str]:
        if self._map is None:
            return ()
        count, method = len(self._map.points), METHODS[self._map.method]
        return f"{method} of {count} pictures · beside it the nearest", f"{method} of {count} pictures", method

    def arrange(self, body: Rect, metrics: Metrics) -> None:
        self._metrics, self._hung = metrics, []
        self._room, side = _split(body, metrics)
        places = (
            [] if side is None or self._map is None else tile_grid(side, NEAREST, metrics.px(20), metrics.px(8), metrics.px(28))
        )
        for exhibit, place in zip_longest(self._exhibits, places):
            exhibit.place(place, metrics)
        if self._map is not None:
            self._draw(self._map, metrics)

    def _draw(self, made: Map, metrics: Metrics) -> None:
        """Draw what does not change: a mark for each picture, and a legend under them."""
        x, y, w, h = self._room
        ground = np.empty((h, w, 3), np.uint8)
        ground[:] = self.theme.card
        names, groups = made.groups
        line = legend_height(names, w, metrics)
        if len(names) <= MOST_NAMED and 4 * line < h:
            legend(ground[h - line :], names, metrics, self.theme.text)
        else:
            line = 0
        self._fit = draw_points(ground[: h - line], made.points, groups, metrics.px(6), self.theme.muted)
        self._ground.put(x, y, ground)

    def show(self, scene: Scene) -> None:
        placed = scene.tick.views.get(self.name)
        empty = scene.tick.patch.prepared.empty
        placed = placed if isinstance(placed, LivePosition) and self._map is not None and not empty else None
        told = "" if placed is not None else self._hint if self._map is None else NOTHING if empty else NOT_FINITE
        self._told.put(told, self.body if self._map is None else self._room, self._metrics.small)
        self._mark.rectangles = [] if placed is None else self._marks(placed)
        self._hang([] if placed is None else placed.nearest.tolist())

    def _marks(self, placed: LivePosition) -> list[tuple[Rect, Color]]:
        """Return a frame around each of the nearest, and a large one with a dot at the live picture's place."""
        assert self._map is not None
        pen, rim = max(1, self._metrics.px(2)), self._metrics.px(7)
        corner = np.array([self._room.x, self._room.y], np.float32)
        points = np.vstack((placed.point, self._map.points[placed.nearest]))
        here, *near = (self._fit(points) + corner).tolist()
        frames = [side for spot in near for side in _frame(spot, rim // 2 + pen, 1, self.theme.text)]
        return [*frames, *_frame(here, rim + pen, pen, self.theme.accent), *_frame(here, pen, pen, self.theme.accent)]

    def _hang(self, found: list[int]) -> None:
        """Show the nearest pictures, each with its class under it."""
        if found == self._hung:
            return
        self._hung = found
        for exhibit, which in zip_longest(self._exhibits, found):
            if exhibit.box is None or which is None or self._map is None:
                exhibit.clear()
                continue
            thumbnail, box = self._map.thumbnails[which], exhibit.box
            exhibit.show(resize_exactly(thumbnail, box.w, box.h, sharp=box.w >= 3 * len(thumbnail)))
            exhibit.call((self._map.kinds[which],))


def _map(spec: EmbeddingPanel, context: Context) -> Map | None:
    """Return the map in the file, None if there is none yet. Raises FieldError if it is damaged or does not fit."""
    path = Path(spec.map).expanduser()
    if not path.is_file():
        return None
    try:
        found = load(path)
    except SourceError as error:
        raise FieldError("map", str(error)) from error
    if found.layer != spec.layer:
        raise FieldError("map", f"{path}: a map of {found.layer!r}; one of {spec.layer!r} is needed")
    wanted = count(context.shapes[spec.layer])
    if len(found.pca.mean) != wanted or found.classes != context.classes:
        raise FieldError("map", f"{path}: a map of another network, {found.model!r}; {_how(spec, context).partition('; ')[2]}")
    return found


def _how(spec: EmbeddingPanel, context: Context) -> str:
    """One line on how to come by the map."""
    return f"{spec.map} is not there; make it: livecnn embed FOLDER {context.model} --layer {spec.layer} --out {spec.map}"


def _split(body: Rect, metrics: Metrics) -> tuple[Rect, Rect | None]:
    """Room for the map, and for the nearest pictures where there is enough for both."""
    gap = metrics.px(14)
    if min(body.w, body.h) < metrics.px(110) or max(body.w, body.h) < metrics.px(220):
        return body, None
    if body.w > body.h:
        side = round(SHARE * body.w)
        return body._replace(w=body.w - side - gap), Rect(body.x + body.w - side, body.y, side, body.h)
    side = round(SHARE * body.h)
    return body._replace(h=body.h - side - gap), Rect(body.x, body.y + body.h - side, body.w, side)


def _frame(middle: Sequence[float], reach: int, pen: int, color: Color) -> list[tuple[Rect, Color]]:
    """Return a hollow square."""
    side = 2 * reach + 1
    return frame(Rect(round(middle[0]) - reach, round(middle[1]) - reach, side, side).inset(pen, pen, pen, pen), color, pen)

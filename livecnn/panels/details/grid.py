"""A layer's units in a grid: sorted, in pages, marked; what maps and single values have in common."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from livecnn.drawing.artists import Pixels, Rectangles, frame, text_width
from livecnn.drawing.colormaps import cells, enlarge, signed, subsample_index, table
from livecnn.drawing.theme import Color, Metrics, Theme
from livecnn.engine.reducers import Maps, MapsReducer, average_down
from livecnn.geometry import Rect, best_grid
from livecnn.networks.inspection.architecture import Node, size_text
from livecnn.panels.base.drawer import Context
from livecnn.panels.base.session import Session
from livecnn.panels.base.targets import ButtonTarget, Target, Tooltip
from livecnn.panels.details.base import Detail, HeadingPart, LabelPool, quoted
from livecnn.selection import Action, Ask, Order, Selection, Unit
from livecnn.types import EMPTY, LEVELS, LOWEST, ExplanationUpdate, Floats, Image, ScaleValue, Scene

ACTIVATION = "activation"
ORDER_LABELS = {
    "number": "by number",
    "mean": "by mean",
    "max": "by maximum",
    "contribution": "by contribution",
    "weight": "by weight norm",
}
PICTURE = 44.0  # least side of a picture in pixels at 1280x720
NUMBERED = 64  # from which on it has its number below
ANY = 1 << 16  # as large as there is room for
CALM = 1.0  # seconds between two sortings: units that change places at every tick cannot be looked at
SHARE = 0.1  # of the way that a smoothed value moves to the newest one, per tick
CORNER = 0.22  # side of the corner that tells good or bad, as a share of the cell

Fill = tuple[Rect, Color]


@dataclass(frozen=True)
class Cells:
    """body: where they stand, in the middle.  size: (height, width) of one.  gap: between two.  line: for words below each."""

    body: Rect
    grid: tuple[int, int]
    size: tuple[int, int]
    gap: int = 0
    line: int = 0

    @classmethod
    def fit(cls, body: Rect, count: int, aspect: float, least: float, gap: int, most: int) -> Cells:
        """Return the largest cells up to `most` pixels high; fewer where they were smaller than a square of `least` pixels."""
        wide, high = least * math.sqrt(aspect), least / math.sqrt(aspect)
        between = gap if least >= 4 * gap else 0
        fitting = max(1, int((body.w + between) / (wide + between))) * max(1, int((body.h + between) / (high + between)))
        rows, columns = best_grid(min(count, fitting), aspect, body.w + between, body.h + between)
        gap = gap if min(body.w // columns, body.h // rows) >= 4 * gap else 0
        h, w = cell_size(body, rows, columns, aspect, gap)
        return cls(body, (rows, columns), (min(h, most), min(w, max(1, round(most * aspect)))), gap)

    def lettered(self, aspect: float, line: int) -> Cells:
        """Return the same grid, its cells no larger, with room for a line of words below each."""
        h, w = cell_size(self.body, *self.grid, aspect, self.gap, line)
        return Cells(self.body, self.grid, (min(h, self.size[0]), min(w, self.size[1])), self.gap, line)

    @property
    def count(self) -> int:
        """Return how many cells are on a page."""
        return self.grid[0] * self.grid[1]

    @property
    def origin(self) -> tuple[int, int]:
        """The top left pixel."""
        (rows, columns), (h, w) = self.grid, self.size
        height, width = rows * (h + self.gap + self.line) - self.gap, columns * (w + self.gap) - self.gap
        return self.body.x + max(0, self.body.w - width) // 2, self.body.y + max(0, self.body.h - height) // 2

    def rect(self, place: int) -> Rect:
        """Of a cell, by its place in reading order."""
        row, column = divmod(place, self.grid[1])
        (x, y), (h, w) = self.origin, self.size
        return Rect(x + column * (w + self.gap), y + row * (h + self.gap + self.line), w, h)

    def at(self, x: float, y: float) -> tuple[int, float, float] | None:
        """Return the cell at a pixel: its place, and how far down and along in it, as shares of its height and width."""
        (left, top), (h, w) = self.origin, self.size
        row, down = divmod(int(y) - top, h + self.gap + self.line)
        column, along = divmod(int(x) - left, w + self.gap)
        inside = 0 <= row < self.grid[0] and 0 <= column < self.grid[1] and down < h and along < w
        return (row * self.grid[1] + column, down / h, along / w) if inside else None

    def indices(self, rows: int, columns: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
        """As colors.enlarge takes them, for cells of so many source rows and columns."""
        down = cells(self.grid[0], rows, self.size[0], self.gap + self.line)
        along = cells(self.grid[1], columns, self.size[1], self.gap)
        return subsample_index(down, self.body.h), subsample_index(along, self.body.w)


def cell_size(body: Rect, rows: int, columns: int, aspect: float, gap: int, line: int = 0) -> tuple[int, int]:
    """Return the largest (height, width) of a cell, of so many rows and columns, with width / height = aspect."""
    w = max(1, (body.w + gap) // columns - gap)
    h = max(1, (body.h + gap) // rows - gap - line)
    return max(1, min(h, round(w / aspect))), max(1, min(w, round(h * aspect)))


class Grid(Detail, ABC):
    """wanted: units of the page, in order.  units: the same as soon as their maps are there, until then those before."""

    noun, by, aspect = "unit", ORDER_LABELS, 1.0
    least, most = PICTURE, ANY  # side of a cell of activations in pixels at 1280x720; below `least` there are pages
    reducer: MapsReducer

    def __init__(self, node: Node, context: Context, scale: ScaleValue) -> None:
        super().__init__(node, context)
        self.count = node.output[0]
        self.reducer = MapsReducer(node.name, scale)
        self._focus = Selection(node.name)
        self._ranking = Ranking(self.count)
        self._norms: Floats | None = None
        self._maps: Maps | None = None
        self._findings: ExplanationUpdate | None = None
        self._explained: tuple[ExplanationUpdate, tuple[int, int], Image] | None = None
        self._picture, self._marks = Pixels(), Marks(node.name, self.theme)
        self.live = [self._picture, self._marks.fills, self._marks.words]
        self._cells = Cells(self.body, (1, 1), (1, 1))
        self._page, self._pages = 0, 1
        self.wanted: list[int] = []
        self.units: list[int] = []

    def attend(self, focus: Selection) -> None:
        other = focus.grid != self._focus.grid
        self._focus = focus
        if focus.order == "weight" and self._norms is None:
            self._norms = self.context.weight_norms(self.node.name)
        wanted: dict[Ask, bool] = {"grid": self._explains, "contributions": focus.order == "contribution"}
        self.asks = [ask for ask, is_wanted in wanted.items() if is_wanted]
        if other:
            self.arrange(self.body, self.metrics)
        self._turn()

    @property
    def _explains(self) -> bool:
        return self._focus.grid != ACTIVATION

    def arrange(self, body: Rect, metrics: Metrics) -> None:
        super().arrange(body, metrics)
        aspect, least, most = self.aspect, self.least, self.most
        if self._explains:  # pictures of the network's input
            _, height, width = self.context.architecture().input or (1, 1, 1)
            aspect, least, most = width / height, PICTURE, ANY
        self._cells = Cells.fit(body, self.count, aspect, metrics.px(least), metrics.px(3), metrics.px(most))
        if min(self._cells.size) >= metrics.px(NUMBERED):
            self._cells = self._cells.lettered(aspect, metrics.px(13))
        self._pages = -(-self.count // self._cells.count)
        self.reducer.room = self._cells.size
        self._turn()
        self.units = self.wanted

    def _turn(self) -> None:
        """To the page and order that are wanted."""
        each = self._cells.count
        self._page = min(max(0, self._focus.page), self._pages - 1)
        page = self._ranking.order[self._page * each : (self._page + 1) * each]
        self.wanted = page.tolist()
        units = tuple(np.sort(page).tolist())
        if units != self.reducer.units:
            self.reducer.units = units

    def show(self, scene: Scene, maps: Maps | None) -> None:
        findings = scene.findings
        self._findings = findings if findings is not None and findings.focus.layer == self.node.name else None
        self._maps = maps or self._maps
        self._rank(self._focus.order, scene.tick.frame.time)
        if self.units is not self.wanted and self._maps is not None and set(self.wanted) <= set(self._maps.units):
            self.units = self.wanted
        explained = self._explanations()
        if explained is not None:
            self._put(*explained, signed(self.theme))
        elif self._maps is not None:
            faint = scene.tick.patch.prepared.empty or self._explains
            self._put(self._maps.units, self._maps.codes, table(self.colormap, self.theme, faint=faint))
        self._marks.show(self.units, self._cells, self._focus, self.context.session, self.metrics)
        self._warn()

    def _rank(self, order: Order, time: float) -> None:
        before = self._ranking.order
        self._ranking.take(order, self._values(order), time)
        if before is not self._ranking.order:
            self._turn()

    def _values(self, order: Order) -> Floats | None:
        if order == "weight":
            return self._norms
        if order == "contribution":
            return self.contributions
        if self._maps is None:
            return None
        return self._maps.high if order == "max" else self._maps.mean

    @property
    def contributions(self) -> Floats | None:
        """Return what the units contribute to the class that is explained."""
        found = None if self._findings is None else self._findings.contributions
        return found if found is not None and len(found) == self.count else None

    def _explanations(self) -> tuple[Sequence[int], Image] | None:
        """Of the method that is wanted: for these units, codes (units, h, w)."""
        found = self._findings
        if not self._explains or found is None or found.grid is None or found.focus.grid != self._focus.grid:
            return None
        if self._explained is None or self._explained[:2] != (found, self._cells.size):
            self._explained = found, self._cells.size, signed_codes(found.grid, self._cells.size)
        return found.units, self._explained[2]

    def _put(self, units: Sequence[int], codes: Image, colors: npt.NDArray[np.uint32]) -> None:
        """Draw codes (len(units), h, w), those of the units on the page in its order."""
        at = np.full(self.count, -1)
        at[list(units)] = np.arange(len(units))
        at = at[self.units]
        (rows, columns), (_, h, w) = self._cells.grid, codes.shape
        tiles = np.full((rows * columns, h, w), EMPTY, np.uint8)
        places = np.flatnonzero(at >= 0)
        tiles[places] = codes[at[places]]
        mosaic = tiles.reshape(rows, columns, h, w).transpose(0, 2, 1, 3).reshape(rows * h, columns * w)
        self._picture.put(*self._cells.origin, enlarge(mosaic, colors, *self._cells.indices(h, w)))

    def _warn(self) -> None:
        text = self._warning()
        if text:
            x, y = self.body.x + self.body.w // 2, self.body.y + self.body.h - self.metrics.px(6)
            self._marks.words.write(
                text, (x, y), self.metrics.small, self.theme.bad, width=self.body.w, align="center", ground=self.theme.card
            )

    def _warning(self) -> str:
        refused = {} if self._findings is None else self._findings.refused
        if self._focus.grid in refused:
            return refused[self._focus.grid]
        broken = 0 if self._maps is None else int(np.count_nonzero(~np.isfinite(self._maps.mean)))
        return f"{broken} of {self.count} {self.noun}s hold NaN or infinite values" if broken else ""

    def words(self) -> Sequence[HeadingPart]:
        focus = self._focus
        order = self.by[focus.order]
        if focus.order == "weight" and self._norms is None:
            order = "by number (it has no weights)"
        if focus.order == "contribution" and self._findings is not None:
            order = f"by contribution to {quoted(self.context, self._findings.target)}"
        paging = [
            HeadingPart("‹", ButtonTarget(Action.PREVIOUS_PAGE)),
            HeadingPart(f"page {self._page + 1} of {self._pages}"),
            HeadingPart("›", ButtonTarget(Action.NEXT_PAGE)),
        ]
        return (
            HeadingPart(self.told),
            HeadingPart(focus.grid.replace("_", " "), ButtonTarget(Action.GRID_METHOD)),
            HeadingPart(order, ButtonTarget(Action.NEXT_ORDER)),
            *(paging if self._pages > 1 else []),
        )

    @property
    def told(self) -> str:
        """Return the number of maps and their size, as text."""
        return f"{self.count:,} {self.noun}s"

    def target_at(self, x: float, y: float) -> Target | None:
        found = self._cells.at(x, y)
        if found is None or found[0] >= len(self.units):
            return None
        place, down, along = found
        return Unit(self.node.name, self.units[place], self._position(down, along))

    def _position(self, down: float, along: float) -> tuple[int, int] | None:  # noqa: ARG002
        """On the unit's map, from shares of its height and width."""
        return None

    def tip(self, target: Target) -> Tooltip | None:
        if not isinstance(target, Unit) or target.layer != self.node.name or target.index not in self.units:
            return None
        return Tooltip(tuple(self._tell(target.index)), self._cells.rect(self.units.index(target.index)))

    def _tell(self, unit: int) -> Iterator[str]:
        yield f"{self.noun} {unit} of {self.node.name}"
        if self._maps is not None:
            yield self.figures(self._maps, unit)
        if self.contributions is not None and self._findings is not None:
            yield f"adds {self.contributions[unit]:+.2f} to {quoted(self.context, self._findings.target)}"
        if (self.node.name, unit) in self.context.session.muted.units:
            yield "muted"
        annotations = self.context.session.annotations
        mark = None if annotations is None else annotations.of(self.node.name, unit)
        if mark is not None and (mark.verdict or mark.note):
            yield ": ".join(part for part in (mark.verdict, mark.note) if part)

    @abstractmethod
    def figures(self, maps: Maps, unit: int) -> str:
        """Describe a unit's numbers in words."""

    def step(self, unit: int, across: int, down: int) -> int | None:
        """Inside the page; from elsewhere to its first unit."""
        if unit not in self.units:
            return self.units[0]
        place = self.units.index(unit) + across + down * self._cells.grid[1]
        return self.units[place] if 0 <= place < len(self.units) else unit

    def turn_page(self, pages: int) -> int | None:
        return min(max(0, self._page + pages), self._pages - 1)


def signed_codes(pictures: Floats, room: tuple[int, int]) -> Image:
    """Signed values (U, C, H, W) -> codes (U, h, w) around the middle one, channels summed, each unit by its own largest size."""
    maps: Floats = average_down(torch.from_numpy(np.nan_to_num(pictures.sum(1))), room).numpy()
    peaks = np.maximum(np.abs(maps).max((1, 2), keepdims=True), np.finfo(np.float32).tiny)
    return np.asarray(LOWEST + 0.5 + LEVELS * (0.5 + 0.5 * maps / peaks), np.uint8)


class MapGrid(Grid):
    """Feature maps of a layer with an output (C, H, W); a method's pictures are as large as the network's input."""

    noun = "map"

    def __init__(self, node: Node, context: Context, scale: ScaleValue) -> None:
        super().__init__(node, context, scale)
        _, self._height, self._width = node.output
        self.aspect = self._width / self._height

    @property
    def told(self) -> str:
        return f"{super().told}, {size_text((self._height, self._width))}"

    def figures(self, maps: Maps, unit: int) -> str:
        return f"min {maps.low[unit]:.2f}   max {maps.high[unit]:.2f}   mean {maps.mean[unit]:.2f}"

    def _position(self, down: float, along: float) -> tuple[int, int] | None:
        return (int(down * self._height), int(along * self._width)) if not self._explains else None


class UnitGrid(Grid):
    """Single values of a layer with an output (K,) or (K, 1, 1), as cells."""

    noun, by = "neuron", {**ORDER_LABELS, "mean": "by value", "max": "by value"}
    least, most, colormap = 3.0, 90, "viridis"

    def figures(self, maps: Maps, unit: int) -> str:
        return f"value {maps.mean[unit]:.3g}"


class Ranking:
    """The units of a layer in an order, the important ones first."""

    def __init__(self, count: int) -> None:
        self.order: npt.NDArray[np.intp] = np.arange(count)
        self._by: Order = "number"
        self._smooth: Floats | None = None
        self._sorted = -math.inf

    def take(self, by: Order, values: Floats | None, time: float) -> None:
        """Sort by values (count,) of this tick, by number without any; equal ones by number, what is not finite last."""
        if by != self._by or by == "number":
            self._by, self._smooth, self._sorted = by, None, -math.inf
            self.order = np.arange(len(self.order))
        if by == "number" or values is None:
            return
        values = np.where(np.isfinite(values), values, np.nan)
        moved = values if self._smooth is None else self._smooth + SHARE * (values - self._smooth)
        self._smooth = np.where(np.isnan(moved), values, moved)
        if not 0 <= time - self._sorted < CALM:
            self.order, self._sorted = np.argsort(-self._smooth, kind="stable"), time


class Marks:
    """Marks on the cells of a grid: which unit of the layer is selected, muted, good or bad, and their numbers."""

    def __init__(self, layer: str, theme: Theme) -> None:
        self.layer, self.theme = layer, theme
        self.fills, self.words = Rectangles(), LabelPool()
        self._units: Sequence[int] = ()
        self._places: dict[int, int] = {}
        self._verdicts: tuple[Any, list[Fill]] = None, []

    def show(self, units: Sequence[int], cells: Cells, focus: Selection, session: Session, metrics: Metrics) -> None:
        """units: those in the cells, in order."""
        if units is not self._units:  # thousands, seldom others
            self._units, self._places = units, {unit: place for place, unit in enumerate(units)}
        places = self._places
        self.words.clear()
        self.fills.rectangles = []
        for layer, unit in session.muted.units:
            if layer == self.layer and unit in places:
                self._mute(cells.rect(places[unit]), cells.gap, metrics)
        if session.annotations is not None:
            self.fills.rectangles += self._corners(units, cells, session.annotations, metrics.px(12))
        thick = max(1, min(metrics.px(2.5), cells.gap))
        hover = focus.hover
        if hover is not None and hover.layer == self.layer and hover.index in places:
            self.fills.rectangles += frame(cells.rect(places[hover.index]), self.theme.text, max(1, thick // 2))
        if focus.layer == self.layer and focus.unit in places:
            self.fills.rectangles += frame(cells.rect(places[focus.unit]), self.theme.accent, thick)
        if cells.line:
            self._number(units, cells, focus, metrics.px(11))

    def _mute(self, cell: Rect, gap: int, metrics: Metrics) -> None:
        bad, small = self.theme.bad, metrics.px(11)
        self.fills.rectangles += [(cell, self.theme.background), *frame(cell, bad, max(1, min(metrics.px(2), gap)))]
        if text_width("muted", small) < cell.w and small < cell.h:
            self.words.write("muted", (cell.x + cell.w // 2, cell.y + cell.h // 2 + small // 3), small, bad, align="center")

    def _corners(self, units: Sequence[int], cells: Cells, annotations: Any, most: int) -> list[Fill]:
        """Found anew only when there are others: a layer may have thousands of units."""
        good, bad, _ = annotations.counts(self.layer, len(units))
        key = good, bad, units, cells
        if key != self._verdicts[0]:
            told = [annotations.of(self.layer, unit).verdict for unit in units] if good or bad else []
            colors = {"good": self.theme.good, "bad": self.theme.bad}
            side = min(max(2, round(CORNER * min(cells.size))), most)
            corners = ((cells.rect(place), colors[verdict]) for place, verdict in enumerate(told) if verdict is not None)
            self._verdicts = key, [(Rect(cell.x + cell.w - side, cell.y, side, side), color) for cell, color in corners]
        return self._verdicts[1]

    def _number(self, units: Sequence[int], cells: Cells, focus: Selection, small: int) -> None:
        for place, unit in enumerate(units):
            x, y, w, h = cells.rect(place)
            color = self.theme.accent if unit == focus.unit else self.theme.muted
            self.words.write(str(unit), (x + w // 2, y + h + cells.line - 1), small, color, align="center")

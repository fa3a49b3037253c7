"""What is said of the cells of a grid: which is selected, muted, good or bad, and their numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from livecnn.drawing.artists import Rectangles, frame, text_width
from livecnn.drawing.theme import Color, Metrics, Theme
from livecnn.geometry import Rect
from livecnn.panels.base.session import Session
from livecnn.panels.details.base import LabelPool
from livecnn.panels.details.cells import Cells
from livecnn.selection import Selection

CORNER = 0.22  # side of the corner that tells good or bad, as a share of the cell

Fill = tuple[Rect, Color]


class Marks:
    """layer: whose units the cells show."""

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

"""A number that is read from afar: large, its unit beside it, a line of small print below."""

from __future__ import annotations

from livecnn.drawing.artists import Label, text_width
from livecnn.drawing.theme import Color, Metrics, Theme
from livecnn.geometry import Rect

LARGEST = 96  # pixels at 1280x720


class Readout:
    """The artists of one number; the figure's right end stays where it is, so that nothing jumps from tick to tick."""

    def __init__(self, theme: Theme, unit: str) -> None:
        self._figure = Label(theme.accent, "bold", "right")
        self._unit, self._note = Label(theme.muted), Label(theme.text, align="center")
        self._words = unit
        self._tallest, self._room = 1, Rect(0, 0, 1, 1)
        self.artists = [self._figure, self._unit, self._note]

    def place(self, room: Rect, widest: str, metrics: Metrics) -> None:
        """Lay it out in a room; `widest` is a figure as wide as any that is to be expected."""
        self._room = room
        line = metrics.small + metrics.px(8)
        noted = room.h >= line + metrics.px(24)
        height = room.h - line if noted else room.h
        sizes = range(max(1, min(metrics.px(LARGEST), round(1.1 * height))), metrics.small, -1)
        size = next((size for size in sizes if self._width(widest, size, metrics) <= room.w), metrics.small)
        united = bool(self._words) and self._width(widest, size, metrics) <= room.w
        digits, small = text_width(widest, size, "bold"), max(metrics.small, round(0.35 * size))
        gap = round(0.2 * size) if united else 0
        whole = digits + (gap + text_width(self._words, small) if united else 0)
        right, baseline = room.x + (room.w - whole) // 2 + digits, room.y + (height + round(0.72 * size)) // 2
        self._tallest = size
        self._figure.place(right, baseline, size)
        self._unit.text = self._words if united else ""
        self._unit.place(right + gap, baseline, small)
        self._note.place(room.x + room.w // 2, baseline + line, metrics.small, room.w)
        self._note.set_visible(noted)

    def _width(self, figure: str, size: int, metrics: Metrics) -> int:
        unit = text_width(self._words, max(metrics.small, round(0.35 * size))) + round(0.2 * size) if self._words else 0
        return text_width(figure, size, "bold") + unit

    def show(self, figure: str, note: str, color: Color) -> None:
        """Show a figure and a note; a figure that is wider than expected is written smaller."""
        room = max(1, self._figure.x - self._room.x)
        self._figure.size = min(self._tallest, self._tallest * room // max(1, text_width(figure, self._tallest, "bold")))
        self._figure.text, self._figure.color, self._note.text = figure, color, note

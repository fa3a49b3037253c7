"""Words about what the mouse points at, beside it and never over it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from livecnn.app.screen.overlay import Overlay, bordered_box
from livecnn.drawing.artists import Label, text_width
from livecnn.geometry import Rect
from livecnn.panels.base.targets import Tooltip

if TYPE_CHECKING:
    from matplotlib.backends.backend_agg import RendererAgg


class TooltipArtist(Overlay):
    """tip: what is told, and of which place; None: nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.tip: Tooltip | None = None
        self._lines: list[Label] = []

    @property
    def text(self) -> str:
        """Changes whenever the picture does."""
        return "" if self.tip is None else repr(self.tip)

    def draw(self, renderer: RendererAgg) -> None:  # type: ignore[override]
        self._ground.rectangles = []
        if self.tip is not None:
            self._place(self.tip)
            for artist in (self._ground, *self._lines):
                artist.draw(renderer)

    def _place(self, tip: Tooltip) -> None:
        metrics, theme = self._metrics, self._theme
        size, pad, line = metrics.small, metrics.px(9), metrics.px(19)
        most = self._area.w - 2 * pad
        width = min(most, max(text_width(words, size, "bold") for words in tip.lines)) + 2 * pad
        height = line * len(tip.lines) + 2 * pad - (line - size)
        box = place_tooltip(tip.about, width, height, self._area, metrics.px(6))
        self._ground.rectangles = bordered_box(box, theme, metrics.px(1.5))
        self._lines = []
        for i, words in enumerate(tip.lines):
            label = Label(theme.text if i == 0 else theme.muted, "bold" if i == 0 else "normal")
            label.text = words
            label.place(box.x + pad, box.y + pad + i * line + round(0.86 * size), size, box.w - 2 * pad)
            self._lines.append(label)


def place_tooltip(about: Rect, width: int, height: int, area: Rect, gap: int) -> Rect:
    """A box of that size below, above, right or left of a place, the first that lies inside the area; else at its bottom."""
    inside = [box for box in _around(about, width, height, area, gap) if _lies_in(box, area)]
    if inside:
        return inside[0]
    x = min(max(area.x, about.x), max(area.x, area.x + area.w - width))
    return Rect(x, max(area.y, area.y + area.h - height), width, height)


def _around(about: Rect, width: int, height: int, area: Rect, gap: int) -> Iterator[Rect]:
    x = min(max(area.x, about.x + (about.w - width) // 2), max(area.x, area.x + area.w - width))
    y = min(max(area.y, about.y + (about.h - height) // 2), max(area.y, area.y + area.h - height))
    yield Rect(x, about.y + about.h + gap, width, height)
    yield Rect(x, about.y - gap - height, width, height)
    yield Rect(about.x + about.w + gap, y, width, height)
    yield Rect(about.x - gap - width, y, width, height)


def _lies_in(box: Rect, area: Rect) -> bool:
    return area.x <= box.x and area.y <= box.y and box.x + box.w <= area.x + area.w and box.y + box.h <= area.y + area.h

"""What lies over the panels: a message for a moment, and the list of keys."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from livecnn.geometry import Rect
from livecnn.keys import KEYS
from livecnn.pixels import Fills, Label, LiveArtist, text_width
from livecnn.theme import Metrics, Theme
from livecnn.types import Image

if TYPE_CHECKING:
    from matplotlib.backends.backend_agg import RendererAgg


def framed(rect: Rect, theme: Theme, line: int) -> list[tuple[Rect, tuple[int, int, int]]]:
    """A filled box with a border, as rectangles for Fills."""
    return [(rect, theme.accent), (rect.inset(line, line, line, line), theme.card)]


class Toast(LiveArtist):
    """One line near the bottom, until its time has come."""

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self._theme = theme
        self._until = 0.0
        self._ground, self._label = Fills(), Label(theme.text, align="center")
        self._area, self._metrics = Rect(0, 0, 1, 1), Metrics(1.0)

    def say(self, words: str, until: float) -> None:
        """until: on the clock of `time.monotonic()`."""
        self._label.text, self._until = words, until
        self.lay_out(self._area, self._metrics)

    @property
    def text(self) -> str:
        """The message on show, "" if none is."""
        return self._label.text if time.monotonic() < self._until else ""

    def lay_out(self, area: Rect, metrics: Metrics) -> None:
        self._area, self._metrics = area, metrics
        size, pad = metrics.px(17), metrics.px(14)
        width = min(area.w, text_width(self._label.text, size) + 2 * pad)
        box = Rect(area.x + (area.w - width) // 2, area.y + area.h - metrics.px(64), width, metrics.px(40))
        self._ground.rectangles = framed(box, self._theme, metrics.px(1.5))
        self._label.place(box.x + box.w // 2, box.y + box.h // 2 + round(size * 0.36), size, box.w - pad)

    def wipe(self, buffer: Image, still: Image) -> None:
        self._ground.wipe(buffer, still)

    def draw(self, renderer: RendererAgg) -> None:  # type: ignore[override]
        if self.text:
            self._ground.draw(renderer)
            self._label.draw(renderer)


class Help(LiveArtist):
    """The keys and what they do, in the middle of the figure."""

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self.set_visible(False)
        self._theme = theme
        self._ground = Fills()
        self._title = Label(theme.text, "bold")
        self._title.text = "Keys"
        self._rows = [(Label(theme.accent, "bold"), Label(theme.text)) for _ in KEYS]
        for (name, meaning), key in zip(self._rows, KEYS, strict=True):
            name.text, meaning.text = key.shown, key.meaning

    def lay_out(self, area: Rect, metrics: Metrics) -> None:
        pad = metrics.px(26)
        line = min(metrics.px(30), (area.h - 2 * pad) // (len(self._rows) + 1))
        size = min(metrics.px(16), line - 2)
        column = max(text_width(name.text, size, "bold") for name, _ in self._rows) + metrics.px(22)
        width = min(area.w, column + max(text_width(meaning.text, size) for _, meaning in self._rows) + 2 * pad)
        height = min(area.h, line * (len(self._rows) + 1) + 2 * pad)
        box = Rect(area.x + (area.w - width) // 2, area.y + (area.h - height) // 2, width, height)
        self._ground.rectangles = framed(box, self._theme, metrics.px(1.5))
        self._title.place(box.x + pad, box.y + pad + size, metrics.px(19))
        for i, (name, meaning) in enumerate(self._rows):
            baseline = box.y + pad + size + (i + 1) * line
            name.place(box.x + pad, baseline, size)
            meaning.place(box.x + pad + column, baseline, size, box.w - column - 2 * pad)

    def wipe(self, buffer: Image, still: Image) -> None:
        self._ground.wipe(buffer, still)

    def draw(self, renderer: RendererAgg) -> None:  # type: ignore[override]
        if not self.get_visible():
            return
        self._ground.draw(renderer)
        for label in (self._title, *(label for row in self._rows for label in row)):
            label.draw(renderer)

"""The line on top of every view: whose picture this is, which views there are, how the loop fares."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.artist import Artist

from livecnn.geometry import Rect
from livecnn.pixels import Fills, Label
from livecnn.theme import Color, Metrics, Theme
from livecnn.types import LoopStatus, Scene

REFRESH_TICKS = 8  # as in the status panel


class Header:
    """Word mark, model and view names stand still; the right half changes, but slowly enough to be read."""

    def __init__(self, theme: Theme, model: str, views: Sequence[str], current: str) -> None:
        self.theme = theme
        self.tabs: list[tuple[Rect, str]] = []
        self._names = (("livecnn", theme.text, True), (model, theme.muted, False))
        self._views, self._current = tuple(views), current
        self._underline = Fills()
        self._words: list[Label] = []
        self._facts = [Label(theme.muted) for _ in range(6)]
        self._dot = Fills()
        self._ticks = 0
        self._limit = self._right = self._baseline = 0
        self._metrics = Metrics(1.0)

    @property
    def still(self) -> list[Artist]:
        return [*self._words, self._underline]

    @property
    def live(self) -> list[Artist]:
        return [*self._facts, self._dot]

    def lay_out(self, strip: Rect, metrics: Metrics) -> None:
        self._metrics, self._ticks = metrics, 0
        self._baseline = strip.y + strip.h // 2 + metrics.px(6)
        self._right = strip.x + strip.w - metrics.px(6)
        self._words, self.tabs, self._underline.rectangles = [], [], []
        x = strip.x + metrics.px(6)
        for text, color, strong in self._names:
            size = metrics.px(20) if strong else metrics.body
            x += self._add(text, color, x, size, strong) + metrics.px(12)
        x += metrics.px(14)
        for view in self._views if len(self._views) > 1 else ():
            chosen = view == self._current
            width = self._add(view, self.theme.text if chosen else self.theme.muted, x, metrics.body, chosen)
            self.tabs.append((Rect(x, strip.y, width, strip.h), view))
            if chosen:
                line = Rect(x, self._baseline + metrics.px(7), width, metrics.px(2))
                self._underline.rectangles = [(line, self.theme.accent)]
            x += width + metrics.px(20)
        self._limit = x

    def _add(self, text: str, color: Color, x: int, size: int, strong: bool) -> int:
        label = Label(color, "bold" if strong else "normal")
        label.text = text
        label.place(x, self._baseline, size)
        self._words.append(label)
        return label.advance()

    def show(self, scene: Scene) -> None:
        if self._ticks % REFRESH_TICKS == 0 or scene.status.frozen:
            self._write(scene.status)
        self._ticks += 1

    def _write(self, status: LoopStatus) -> None:
        """Facts from the right edge leftwards, the least important first to go when the strip is narrow."""
        metrics, theme = self._metrics, self.theme
        for label in self._facts:
            label.text = ""
        self._dot.rectangles = []
        x = self._right
        color = theme.accent if status.frozen else theme.good if status.source.state == "live" else theme.bad
        for label, (text, ink) in zip(self._facts, header_facts(status, theme), strict=False):
            label.color, label.text = ink, text
            label.place(0, self._baseline, metrics.small)
            left = x - label.advance()
            if left - metrics.px(24) < self._limit:
                label.text = ""
                break
            label.place(left, self._baseline, metrics.small)
            x = left - metrics.px(18)
        else:
            side = metrics.px(9)
            self._dot.rectangles = [(Rect(x + metrics.px(18) - side - metrics.px(7), self._baseline - side, side, side), color)]


def header_facts(status: LoopStatus, theme: Theme) -> list[tuple[str, Color]]:
    """Texts from right to left."""
    source = status.source
    state = "frozen" if status.frozen else source.name if source.state == "live" else f"{source.name}: {source.state}"
    facts: list[tuple[str, Color]] = [("h  help", theme.muted)]
    if status.picture_age is not None:
        facts.append((f"picture {status.picture_age:.0f} ms old", theme.muted))
    if status.model_ms is not None:
        facts.append((f"model {status.model_ms:.1f} ms", theme.muted))
    if status.display_fps is not None:
        facts.append((f"{status.display_fps:.0f} fps", theme.muted))
    return [*facts, (state, theme.accent if status.frozen else theme.good if source.state == "live" else theme.bad)]

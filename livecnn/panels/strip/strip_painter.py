"""The picture of a strip: boxes, links and sizes, in the state in which they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from livecnn.drawing.artists import baseline_offset, text_width, write
from livecnn.drawing.shapes import Point, draw_arrow_head, draw_polyline, fade, paste, rounded_rectangle, s_curve
from livecnn.drawing.theme import Color, Metrics, Theme, mix_colors
from livecnn.geometry import Rect
from livecnn.panels.strip.flowchart import ChartBox, Link
from livecnn.panels.strip.strip_layout import Strip, fitting_name, names, straight_links
from livecnn.types import Image

Counts = tuple[int, int, int]  # good, bad, unmarked


@dataclass(frozen=True)
class StripState:
    """What is on show. x, y: where the window begins.  current, hovered: names of boxes.

    counts: by box, how many units are marked.  muted: boxes with units that are switched off.
    """

    x: int = 0
    y: int = 0
    current: str | None = None
    hovered: str | None = None
    counts: Mapping[str, Counts] = field(default_factory=dict)
    muted: frozenset[str] = frozenset()


def draw_strip(strip: Strip, state: StripState, width: int, height: int, theme: Theme, metrics: Metrics) -> Image:
    """The window of this size: uint8 (height, width, 3)."""
    canvas = np.empty((height, width, 3), np.uint8)
    canvas[:] = theme.card
    painter = _Painter(strip, state, canvas, theme, metrics)
    painter.links()
    painter.brackets()
    painter.boxes()
    painter.edges()
    return canvas


class _Painter:
    def __init__(self, strip: Strip, state: StripState, canvas: Image, theme: Theme, metrics: Metrics) -> None:
        self._strip, self._state, self._canvas = strip, state, canvas
        self._theme, self._metrics = theme, metrics
        self._named = {box.name: box for box in strip.chart.boxes}

    def links(self) -> None:
        for link in self._strip.chart.links:
            points = self._way(link)
            if points[0][0] < self._canvas.shape[1] and points[-1][0] > 0:
                color = self._theme.muted if self._touched(link) else mix_colors(self._theme.edge, self._theme.muted, 0.45)
                tip, y = points[-1]
                size = self._metrics.px(6)
                draw_polyline(self._canvas, [*points[:-1], (tip - size, y)], color, self._metrics.px(1.4))
                draw_arrow_head(self._canvas, tip, y, size, color)
        self._sizes()

    def _way(self, link: Link) -> list[Point]:
        """Points from box to box: out into its lane, along it, and back."""
        start, end = self._strip.rects[link.start], self._strip.rects[link.end]
        here, there = self._named[link.start], self._named[link.end]
        gap, x = self._metrics.px(3), self._state.x
        left, right = start.x + start.w + gap - x, end.x - gap - x
        from_y, to_y = (self._strip.level(box.lane) - self._state.y for box in (here, there))
        if there.column == here.column + 1:
            return s_curve((left, from_y), (right, to_y))
        y, turn = self._strip.level(link.lane) - self._state.y, self._metrics.px(22)
        out = s_curve((left, from_y), (left + turn if y != from_y else left, y))
        return [*out, *s_curve((right - turn if y != to_y else right, y), (right, to_y))]

    def _touched(self, link: Link) -> bool:
        return self._state.hovered in (link.start, link.end) or self._state.current in (link.start, link.end)

    def _sizes(self) -> None:
        if not self._strip.bands.sized:
            return
        letters = self._strip.bands.letters
        for link in straight_links(self._strip.chart.links, self._named):
            start, end = self._strip.rects[link.start], self._strip.rects[link.end]
            right = start.x + start.w
            after = end.x if self._named[link.end].column == self._named[link.start].column + 1 else right + self._metrics.px(26)
            x, y = (right + after) // 2 - self._state.x, start.y - self._state.y - self._metrics.px(4)
            if abs(x - self._canvas.shape[1] / 2) < self._canvas.shape[1] / 2 + text_width(link.size, letters.size):
                write(self._canvas, link.size, x, y, letters.size, self._theme.muted)

    def brackets(self) -> None:
        color = self._theme.quiet
        for _, rect in self._strip.brackets:
            paste(self._canvas, rect.x - self._state.x, rect.y - self._state.y, np.full((rect.h, rect.w, 3), color, np.uint8))

    def boxes(self) -> None:
        for box in self._strip.chart.boxes:
            x, y, w, h = self._strip.rects[box.name]
            place = Rect(x - self._state.x, y - self._state.y, w, h)
            if -w - self._metrics.px(4) < place.x < self._canvas.shape[1]:
                self._box(box, place)

    def _box(self, box: ChartBox, at: Rect) -> None:
        fill, edge, line = self._look(box)
        radius, step = self._metrics.px(7), self._metrics.px(3)
        if box.kind == "group":  # more lie under it
            behind = rounded_rectangle(
                at.w, at.h, radius, 1.0, self._theme.card, mix_colors(edge, self._theme.card, 0.35), self._theme.card
            )
            paste(self._canvas, at.x + step, at.y - step, behind)
        paste(self._canvas, at.x, at.y, rounded_rectangle(at.w, at.h, radius, line, fill, edge, self._theme.card))
        self._letters(box, at)
        if box.name in self._state.counts:
            self._bar(self._state.counts[box.name], at, fill)
        if box.name in self._state.muted:
            side = self._metrics.px(7)
            dot = rounded_rectangle(side, side, side / 2, 0.0, self._theme.bad, self._theme.bad, fill)
            paste(self._canvas, at.x + at.w - side - step, at.y + step, dot)

    def _look(self, box: ChartBox) -> tuple[Color, Color, float]:
        """Fill, edge, and how wide the edge is."""
        theme, thin = self._theme, 1.2 * max(1.0, self._metrics.scale)
        if box.name == self._state.current:
            return mix_colors(theme.card, theme.accent, 0.2), theme.accent, 1.6 * thin
        if box.name == self._state.hovered:
            return mix_colors(theme.card, theme.text, 0.14), theme.muted, thin
        if box.kind in ("input", "output"):
            return theme.card, mix_colors(theme.edge, theme.muted, 0.3), thin
        return mix_colors(theme.card, theme.text, 0.06), mix_colors(theme.edge, theme.text, 0.08), thin

    def _letters(self, box: ChartBox, at: Rect) -> None:
        """What it is called, and under that or beside it what it is."""
        bands, letters, theme = self._strip.bands, self._strip.bands.letters, self._theme
        room, x = at.w - 2 * self._metrics.px(5), at.x + at.w // 2
        lifted = box.name in self._state.counts and not self._pinched(at)
        middle = at.y + at.h // 2 - (self._metrics.px(2) if lifted else 0)
        words = box.words if text_width(box.words, letters.words) <= room else box.words.split()[0]
        if bands.lined and words:
            gap = self._metrics.px(2)
            write(self._canvas, fitting_name(box, room, letters.name), x, middle - gap, letters.name, theme.text, "bold")
            write(self._canvas, words, x, middle + gap + round(0.95 * letters.words), letters.words, theme.muted)
            return
        base, beside = middle + baseline_offset(letters.name), text_width(f" {words}", letters.words) if words else 0
        if room < beside + text_width(names(box)[-1], letters.name, "bold"):
            words, beside = "", 0
        name = fitting_name(box, room - beside, letters.name)
        left = text_width(name, letters.name, "bold")
        write(self._canvas, name, x - beside // 2, base, letters.name, theme.text, "bold")
        if words:
            write(self._canvas, words, x + left // 2 + letters.words // 4, base, letters.words, theme.muted)

    def _pinched(self, at: Rect) -> bool:
        """Whether a box has no room but for its letters."""
        return at.h < self._strip.bands.letters.name + self._metrics.px(6)

    def _bar(self, counts: Counts, at: Rect, fill: Color) -> None:
        """Good, bad and unmarked units, side by side along the lower edge."""
        letters, inset = self._strip.bands.letters, self._metrics.px(8)
        if self._pinched(at):
            tall, rim = 1, 0
        elif at.h < letters.name + letters.words + self._metrics.px(18):
            tall, rim = self._metrics.px(2), self._metrics.px(1)
        else:
            tall, rim = self._metrics.px(4), self._metrics.px(5)
        width, passed, start = at.w - 2 * inset, 0, 0
        colors = (self._theme.good, self._theme.bad, mix_colors(fill, self._theme.muted, 0.4))
        for count, color in zip(counts, colors, strict=True):
            passed += count
            end = round(width * passed / max(1, sum(counts)))
            part = np.full((tall, max(0, end - start), 3), color, np.uint8)
            paste(self._canvas, at.x + inset + start, at.y + at.h - tall - rim, part)
            start = end

    def edges(self) -> None:
        """Where there is more, the picture fades, and an arrow tells."""
        height, width = self._canvas.shape[:2]
        more = (self._state.x > 0, self._state.x + width < self._strip.width)
        for there, view, arrow, x in zip(more, (self._canvas, self._canvas[:, ::-1]), "‹›", (0, width), strict=True):
            if there:
                size = self._metrics.px(20)
                fade(view, self._metrics.px(34), self._theme.card)
                inward = self._metrics.px(7) * (1 if x == 0 else -1)
                write(self._canvas, arrow, x + inward, height // 2 + size // 3, size, self._theme.text, "bold")

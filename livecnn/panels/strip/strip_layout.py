"""A chart laid out in pixels: which box is where, what lies under the mouse, how far one can scroll."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import NamedTuple

from livecnn.drawing.artists import shorten, text_width
from livecnn.drawing.theme import Metrics
from livecnn.geometry import Rect
from livecnn.panels.strip.flowchart import Chart, ChartBox, Link


class FontSizes(NamedTuple):
    """Sizes of letters: names, what layers are, what flows. They stay readable in a small figure."""

    name: int
    words: int
    size: int

    @classmethod
    def of(cls, metrics: Metrics, share: float = 1.0) -> FontSizes:
        return cls(*(max(9, metrics.px(share * size)) for size in (13, 11.5, 10.5)))


class Rows(NamedTuple):
    """Rows of a chart. tops: of each lane's boxes.  height: of a box.  sized: whether there is room for sizes over links.

    letters: sizes of type.  whole: height of all of it.
    """

    tops: tuple[int, ...]
    height: int
    sized: bool
    letters: FontSizes
    whole: int

    @property
    def lined(self) -> bool:
        """Whether boxes have two lines."""
        return self.height >= self.letters.name + self.letters.words + 10


@dataclass(frozen=True)
class Strip:
    """Pixels from the top left of the whole strip, of which a window shows a part.

    rects: by box.  width, height: of the whole.
    """

    chart: Chart
    rects: Mapping[str, Rect]
    bands: Rows
    width: int

    @property
    def height(self) -> int:
        return self.bands.whole

    def level(self, lane: int) -> float:
        """The row in which links of a lane run."""
        return self.bands.tops[lane] + self.bands.height / 2

    def box_at(self, x: float, y: float) -> ChartBox | None:
        return next((box for box in self.chart.boxes if self.rects[box.name].contains(x, y)), None)

    def group_at(self, x: float, y: float) -> str:
        """The unfolded group whose bracket lies there; "" if none does."""
        return next((name for name, rect in self.brackets if y >= rect.y and rect.x <= x < rect.x + rect.w), "")

    @cached_property
    def brackets(self) -> tuple[tuple[str, Rect], ...]:
        """Under the boxes of each unfolded group, one run after another."""
        found = []
        for name, run in groupby(self.chart.boxes, lambda box: box.group):
            rects = [self.rects[box.name] for box in run]
            left, right = min(rect.x for rect in rects), max(rect.x + rect.w for rect in rects)
            if name:
                found.append((name, Rect(left, self.height - 3, right - left, 2)))
        return tuple(found)

    def towards(self, name: str, x: int, room: int) -> int:
        """Where a window that begins at x has to begin so that it shows a box, and a bit of its neighbours."""
        rect = self.rects[name]
        rim = min(rect.w, max(0, (room - rect.w) // 2))
        return self.within(min(max(x, rect.x + rect.w + rim - room), rect.x - rim), room)

    def within(self, x: int, room: int) -> int:
        return max(0, min(x, self.width - room))


def lay_out(chart: Chart, width: int, height: int, metrics: Metrics) -> Strip:
    """The strip for a window of this size: as wide as it, if all fits, else wider; higher only if lanes get too low."""
    bands = _bands(chart, height, metrics)
    widths, gaps = _columns(chart, bands, metrics)
    spare = width - sum(widths) - sum(gaps)
    if spare > 0:
        wider = min(spare // len(widths) * 6 // 10, metrics.px(48))
        widths = [each + wider for each in widths]
        apart = min((width - sum(widths) - sum(gaps)) // max(1, len(gaps)), metrics.px(80))
        gaps = [each + apart for each in gaps]
    left = max(0, width - sum(widths) - sum(gaps)) // 2
    xs = [left + sum(widths[:i]) + sum(gaps[:i]) for i in range(len(widths))]
    rects = {box.name: Rect(xs[box.column], bands.tops[box.lane], widths[box.column], bands.height) for box in chart.boxes}
    return Strip(chart, rects, bands, max(width, xs[-1] + widths[-1]))


def _bands(chart: Chart, height: int, metrics: Metrics) -> Rows:
    """Lanes with boxes share the height; those of links alone are low."""
    full = {box.lane for box in chart.boxes}
    thin, foot = metrics.px(9), metrics.px(5) if any(box.group for box in chart.boxes) else 0
    room = (height - foot - thin * (chart.lanes - len(full))) // len(full)
    letters, tight = FontSizes.of(metrics), metrics.px(3)
    if room < letters.size + letters.name + 3 * tight:
        letters = FontSizes.of(metrics, 0.86)
    above = letters.size + tight
    each = max(letters.name + 4, min(metrics.px(66), room))
    if each < above + letters.name + 2 * tight:
        above = 0
    heights = [each if lane in full else thin for lane in range(chart.lanes)]
    top = max(0, height - foot - sum(heights)) // 2
    starts = [top + sum(heights[:lane]) for lane in range(chart.lanes)]
    box = each - above - (tight if len(full) > 1 or foot else 0)
    tops = [start + above if lane in full else start + (thin - box) // 2 for lane, start in enumerate(starts)]
    return Rows(tuple(tops), box, above > 0, letters, max(height, sum(heights) + foot))


def _columns(chart: Chart, bands: Rows, metrics: Metrics) -> tuple[list[int], list[int]]:
    """Least widths of the columns, and of the gaps between them."""
    letters, gap = bands.letters, metrics.px(26)
    widths = [metrics.px(54)] * chart.columns
    column = {box.name: box.column for box in chart.boxes}
    for box in chart.boxes:
        parts = text_width(names(box)[-1], letters.name, "bold"), text_width(box.words, letters.words)
        wanted = max(parts) if bands.lined else sum(parts) + letters.words
        widths[box.column] = max(widths[box.column], min(metrics.px(116 if bands.lined else 150), wanted + metrics.px(18)))
    for link in chart.links if bands.sized else ():
        # Sizes stand over the gaps; those of two gaps must not meet over the column between.
        for at in (column[link.start], column[link.end]):
            widths[at] = max(widths[at], text_width(link.size, letters.size) + metrics.px(6) - gap)
    return widths, [gap] * (chart.columns - 1)


def names(box: ChartBox) -> list[str]:
    """What a box is called, from the longest to the shortest: "layer1.0.conv1", "conv1"; no part begins with a mere number."""
    cuts = [match.end() for match in re.finditer(r"[./](?!\d+([./:]|$))(?=.)", box.label)]
    return [box.label, *(box.label[cut:] for cut in cuts)]


def fitting_name(box: ChartBox, width: int, size: int) -> str:
    """The longest of its names for which there is room; the shortest is cut off if there is none."""
    wordings = names(box)
    found = (words for words in wordings if text_width(words, size, "bold") <= width)
    return next(found, None) or shorten(wordings[-1], width, size, "bold")


def straight_links(links: Iterable[Link], boxes: Mapping[str, ChartBox]) -> Iterable[Link]:
    """Those that leave their box without a turn, so that there is room over them."""
    for link in links:
        start, end = boxes[link.start], boxes[link.end]
        if link.lane == start.lane and (end.lane == start.lane or end.column > start.column + 1):
            yield link

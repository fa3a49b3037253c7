"""The whole network as a strip of boxes over the figure: laid out in pixels, drawn, folded and scrolled."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby
from typing import ClassVar, Literal, NamedTuple

import numpy as np
from pydantic import Field

from livecnn.drawing.artists import Pixels, baseline_offset, shorten, text_width, write
from livecnn.drawing.shapes import Point, draw_arrow_head, draw_polyline, fade, paste, rounded_rectangle, s_curve
from livecnn.drawing.theme import Color, Metrics, Theme, mix_colors
from livecnn.geometry import Rect
from livecnn.panels.base.drawer import Context, Drawer
from livecnn.panels.base.spec import PanelSpec
from livecnn.panels.base.targets import GroupTarget, LayerTarget, Target, Tooltip
from livecnn.panels.strip.flowchart import Chart, ChartBox, Link, facts, flowchart, initially_unfolded
from livecnn.selection import Selection
from livecnn.types import Image, Scene

STEP = 0.25  # share of the window that a step of the wheel scrolls
Counts = tuple[int, int, int]  # good, bad, unmarked


class ArchitecturePanel(PanelSpec):
    """All layers in the order in which they work: click one to select it, a group to unfold it."""

    explores: ClassVar[bool] = True

    kind: Literal["architecture"] = Field("architecture", description="The layers of the network, as a strip.")


class ArchitectureDrawer(Drawer):
    """The strip in its card, which shows a part of it where not all fits. Layers are named as nodes of the architecture are."""

    def __init__(self, spec: ArchitecturePanel, name: str, context: Context) -> None:
        super().__init__(name, context)
        self._architecture = context.architecture()
        count = self._architecture.layers
        layers = f"{count} layer{'s' if count != 1 else ''}"
        self.titles = (spec.title,) if spec.title else (f"{self._architecture.name} · {layers}", layers)
        self._nodes = {node.name: node for node in self._architecture.nodes}
        self._unfolded = initially_unfolded(self._architecture)
        self._layer = ""
        self._hovered: str | None = None
        self._counts: Mapping[str, Counts] = {}
        self._x = self._y = 0
        self._metrics = Metrics(1.0)
        self._picture = Pixels()
        self._drawn: StripState | None = None
        self.live = [self._picture]
        self._make()

    def captions(self) -> Sequence[str]:
        return (f"{self._architecture.parameters:,} parameters",)

    def arrange(self, body: Rect, metrics: Metrics) -> None:  # noqa: ARG002
        self._metrics = metrics
        self._make()

    def _make(self) -> None:
        chart = flowchart(self._architecture, self._unfolded)
        self._strip = lay_out(chart, self.body.w, self.body.h, self._metrics)
        self._boxes = {name: box.name for box in chart.boxes for name in (box.name, *box.members)}
        self._convolutions = {
            box.name: layers
            for box in chart.boxes
            if (layers := [(name, self._nodes[name].output[0]) for name in box.members if self._convolves(name)])
        }
        self._counts, self._drawn = {}, None
        self._reveal(self._layer)

    def _convolves(self, name: str) -> bool:
        return name in self._nodes and "conv" in self._nodes[name].type.lower()

    def _reveal(self, layer: str) -> None:
        box = self._boxes.get(layer)
        if box is not None:
            self._x = self._strip.towards(box, self._x, self.body.w)
            rect, hidden = self._strip.rects[box], self._strip.bands.whole - self.body.h
            self._y = max(0, min(hidden, rect.y + (rect.h - self.body.h) // 2))

    def set_selection(self, focus: Selection) -> None:
        """Bring the current layer into view if it is another one."""
        if focus.layer != self._layer:
            self._layer = focus.layer
            self._reveal(focus.layer)

    def hover(self, target: Target | None) -> None:
        self._hovered = target.name if isinstance(target, (LayerTarget, GroupTarget)) else None

    def fold(self, name: str) -> None:
        """Fold or unfold a group; of a layer, unfold the group that holds it or, if it shows, fold the innermost around it."""
        chart = self._strip.chart
        if not any(name == box.group or (name == box.name and box.kind == "group") for box in chart.boxes):
            box = chart.holding(name)
            name = "" if box is None else box.name if box.kind == "group" else box.group
        if name:
            first = next(box.members[0] for box in chart.boxes if name in (box.name, box.group))
            self._unfolded ^= {name}
            self._make()
            self._reveal(first)

    def scroll(self, x: float, y: float, steps: float) -> bool:
        before = self._x
        if self.body.contains(x, y):  # away from the user is towards the input
            self._x = self._strip.within(round(before - steps * STEP * self.body.w), self.body.w)
        return self._x != before

    def target_at(self, x: float, y: float) -> Target | None:
        if not self.body.contains(x, y):
            return None
        there = x - self.body.x + self._x, y - self.body.y + self._y
        box = self._strip.box_at(*there)
        if box is not None:
            return GroupTarget(box.name) if box.kind == "group" else LayerTarget(box.name)
        group = self._strip.group_at(*there)
        return GroupTarget(group) if group else None

    def tip(self, target: Target) -> Tooltip | None:
        if not isinstance(target, (LayerTarget, GroupTarget)):
            return None
        if target.name in self._boxes:
            x, y, w, h = self._strip.rects[self._boxes[target.name]]
            place = Rect(x - self._x + self.body.x, y - self._y + self.body.y, w, h)  # maybe beside the panel
            return Tooltip(tuple(self._tell(self._boxes[target.name])), place)
        return Tooltip((f"{target.name}: unfolded",), self.body) if target.name in self._unfolded else None

    def _tell(self, name: str) -> list[str]:
        """Return lines about a box."""
        box = next(box for box in self._strip.chart.boxes if box.name == name)
        counts = self._counts.get(name)
        marked = ["{} good, {} bad, {} unmarked".format(*counts)] if counts else []
        if box.kind == "layer":
            return [*facts(self._nodes[name]), *marked]
        links = self._strip.chart.links
        sizes = dict.fromkeys(link.size for link in links if name == (link.end if box.kind == "output" else link.start))
        if box.kind != "group":
            return [box.label, ", ".join(sizes)]
        parameters = sum(self._nodes[member].parameters for member in box.members)
        return [box.label, box.words, f"output {', '.join(sizes)}", f"{parameters:,} parameters", *marked]

    def show(self, scene: Scene) -> None:  # noqa: ARG002
        session = self.context.session
        if session.annotations is not None:
            counts = session.annotations.counts
            self._counts = {box: _sum([counts(*layer) for layer in layers]) for box, layers in self._convolutions.items()}
        muted = frozenset(self._boxes[layer] for layer, _ in session.muted.units if layer in self._boxes)
        hovered = None if self._hovered is None else self._boxes.get(self._hovered)
        state = StripState(self._x, self._y, self._boxes.get(self._layer), hovered, self._counts, muted)
        if state != self._drawn:
            self._drawn = state
            image = draw_strip(self._strip, state, self.body.w, self.body.h, self.theme, self._metrics)
            self._picture.put(self.body.x, self.body.y, image)


def _sum(counts: Collection[Counts]) -> Counts:
    good, bad, unmarked = (sum(column) for column in zip(*counts, strict=True))
    return good, bad, unmarked


class FontSizes(NamedTuple):
    """Sizes of letters: names, what layers are, what flows. They stay readable in a small figure."""

    name: int
    words: int
    size: int

    @classmethod
    def of(cls, metrics: Metrics, share: float = 1.0) -> FontSizes:
        """Return the sizes for a figure."""
        return cls(*(max(9, metrics.px(share * size)) for size in (13, 11.5, 10.5)))


class Rows(NamedTuple):
    """Rows of a chart."""

    tops: tuple[int, ...]  # of each lane's boxes
    height: int  # of a box
    sized: bool  # whether there is room for sizes over links
    letters: FontSizes
    whole: int  # height of all of it

    @property
    def lined(self) -> bool:
        """Return whether boxes have two lines."""
        return self.height >= self.letters.name + self.letters.words + 10


@dataclass(frozen=True)
class Strip:
    """Pixels from the top left of the whole strip, of which a window shows a part."""

    chart: Chart
    rects: Mapping[str, Rect]  # by box
    bands: Rows
    width: int  # of the whole

    def level(self, lane: int) -> float:
        """Return the row in which links of a lane run."""
        return self.bands.tops[lane] + self.bands.height / 2

    def box_at(self, x: float, y: float) -> ChartBox | None:
        """Return the box at a position, if there is one."""
        return next((box for box in self.chart.boxes if self.rects[box.name].contains(x, y)), None)

    def group_at(self, x: float, y: float) -> str:
        """Return the unfolded group whose bracket is there; "" if there is none."""
        return next((name for name, rect in self.brackets if y >= rect.y and rect.x <= x < rect.x + rect.w), "")

    @cached_property
    def brackets(self) -> tuple[tuple[str, Rect], ...]:
        """Under the boxes of each unfolded group, one run after another."""
        found = []
        for name, run in groupby(self.chart.boxes, lambda box: box.group):
            rects = [self.rects[box.name] for box in run]
            left, right = min(rect.x for rect in rects), max(rect.x + rect.w for rect in rects)
            if name:
                found.append((name, Rect(left, self.bands.whole - 3, right - left, 2)))
        return tuple(found)

    def towards(self, name: str, x: int, room: int) -> int:
        """Return where a window that begins at x has to begin to show a box, and a bit of its neighbours."""
        rect = self.rects[name]
        rim = min(rect.w, max(0, (room - rect.w) // 2))
        return self.within(min(max(x, rect.x + rect.w + rim - room), rect.x - rim), room)

    def within(self, x: int, room: int) -> int:
        """Limit how far the strip is scrolled."""
        return max(0, min(x, self.width - room))


def lay_out(chart: Chart, width: int, height: int, metrics: Metrics) -> Strip:
    """Return the strip for a window of this size: wider where not all fits, higher only if lanes get too low."""
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
    """Return names of a box, from the longest to the shortest: "layer1.0.conv1", "conv1"; none begins with a mere number."""
    cuts = [match.end() for match in re.finditer(r"[./](?!\d+([./:]|$))(?=.)", box.label)]
    return [box.label, *(box.label[cut:] for cut in cuts)]


def fitting_name(box: ChartBox, width: int, size: int) -> str:
    """Return the longest of a box's names for which there is room; the shortest is cut off if there is none."""
    wordings = names(box)
    found = (words for words in wordings if text_width(words, size, "bold") <= width)
    return next(found, None) or shorten(wordings[-1], width, size, "bold")


def straight_links(links: Iterable[Link], boxes: Mapping[str, ChartBox]) -> Iterable[Link]:
    """Return the links that leave their box without a turn, so that there is room over them."""
    for link in links:
        start, end = boxes[link.start], boxes[link.end]
        if link.lane == start.lane and (end.lane == start.lane or end.column > start.column + 1):
            yield link


@dataclass(frozen=True)
class StripState:
    """The part of the strip on show, from (x, y) on, and what is special about some of its boxes, by name."""

    x: int = 0
    y: int = 0
    current: str | None = None
    hovered: str | None = None
    counts: Mapping[str, Counts] = field(default_factory=dict)  # how many units are marked
    muted: frozenset[str] = frozenset()  # those with units that are switched off


def draw_strip(strip: Strip, state: StripState, width: int, height: int, theme: Theme, metrics: Metrics) -> Image:
    """Draw what a window of this size shows: uint8 (height, width, 3)."""
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
                touched = not {self._state.hovered, self._state.current}.isdisjoint((link.start, link.end))
                color = self._theme.muted if touched else mix_colors(self._theme.edge, self._theme.muted, 0.45)
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
        """Write the name, and under it or beside it the type."""
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
        """Return whether a box has no room but for its letters."""
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
        """Fade the picture where there is more, and draw an arrow."""
        height, width = self._canvas.shape[:2]
        more = (self._state.x > 0, self._state.x + width < self._strip.width)
        for there, view, arrow, x in zip(more, (self._canvas, self._canvas[:, ::-1]), "‹›", (0, width), strict=True):
            if there:
                size = self._metrics.px(20)
                fade(view, self._metrics.px(34), self._theme.card)
                inward = self._metrics.px(7) * (1 if x == 0 else -1)
                write(self._canvas, arrow, x + inward, height // 2 + size // 3, size, self._theme.text, "bold")

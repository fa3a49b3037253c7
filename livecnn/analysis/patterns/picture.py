"""The patterns as one picture: what every unit does by class, which units are dead, which classes look alike."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Rectangle

from livecnn.analysis.moments import Doubles, strongest
from livecnn.analysis.patterns.summary import Summary
from livecnn.drawing.theme import THEMES, Color
from livecnn.geometry import Rect
from livecnn.types import Image

SIZE, DPI = (1600, 1000), 128
EDGE, HEADER, LEAST_CARD = 16, 68, 165  # pixels
LEFT = 1010  # width of the layers' column
NAMED = 12  # dead units whose numbers are told
NUMBERED = 12  # classes up to which each similarity is written into its cell
LISTED = 10  # classes whose most specific units are told
LINE = 12  # pixels that a name on an axis takes, at least
COLORMAP = "viridis"

THEME = THEMES["dark"]


def draw_patterns(patterns: Summary) -> Image:
    """Draw the patterns, uint8 (1000, 1600, 3) RGB; higher where there are more than five layers."""
    sheet = PatternsSheet(SIZE[0], max(SIZE[1], HEADER + EDGE + len(patterns.layers) * LEAST_CARD))
    _title(sheet, patterns)
    # Of a network's thousand classes a folder may show three.
    shown = [i for i, count in enumerate(patterns.images_per_class) if count] or list(range(len(patterns.classes)))
    layers = Rect(EDGE, HEADER, LEFT, sheet.height - HEADER - EDGE)
    each = (layers.h + EDGE) // len(patterns.layers)
    for i, layer in enumerate(patterns.layers):
        _layer(sheet, Rect(layers.x, layers.y + i * each, layers.w, each - EDGE), patterns, layer, shown)
    x = layers.x + layers.w + EDGE
    side = Rect(x, HEADER, SIZE[0] - x - EDGE, 500)
    _similarity(sheet, side, patterns, shown)
    below = side.y + side.h + EDGE
    _specific(sheet, Rect(x, below, side.w, sheet.height - below - EDGE), patterns, shown)
    return sheet.pixels()


class PatternsSheet:
    """A figure on which everything is placed in pixels from its top left."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self.figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI, facecolor=_rgb(THEME.background))
        self.canvas = FigureCanvasAgg(self.figure)

    def axes(self, at: Rect) -> Axes:
        """Add axes in a rectangle of the sheet."""
        box = at.x / self.width, 1 - (at.y + at.h) / self.height, at.w / self.width, at.h / self.height
        axes = self.figure.add_axes(box, facecolor=_rgb(THEME.card))
        axes.tick_params(colors=_rgb(THEME.muted), labelsize=_points(12), length=3, width=0.6, pad=2)
        for spine in axes.spines.values():
            spine.set(color=_rgb(THEME.edge), linewidth=0.6)
        return axes

    def text(self, x: float, y: float, words: str, color: Color = THEME.text, size: float = 13, **more: Any) -> None:
        """Write a line of text."""
        more = {"va": "center", **more}
        self.figure.text(
            x / self.width, 1 - y / self.height, plain(words), color=_rgb(color), fontsize=_points(size), parse_math=False, **more
        )

    def card(self, at: Rect, title: str, caption: str) -> None:
        """Draw the ground of a part of the sheet, with its title and caption."""
        box = FancyBboxPatch(
            (at.x / self.width, 1 - (at.y + at.h) / self.height),
            at.w / self.width,
            at.h / self.height,
            boxstyle="round,pad=0,rounding_size=0.006",
            mutation_aspect=self.width / self.height,
            facecolor=_rgb(THEME.card),
            edgecolor=_rgb(THEME.edge),
            linewidth=0.8,
            zorder=-1,  # axes are drawn at 0
        )
        self.figure.add_artist(box)
        self.text(at.x + 14, at.y + 18, title, size=16, weight="bold")
        self.text(at.x + at.w - 14, at.y + 18, caption, THEME.muted, ha="right")

    def colorbar(self, at: Rect, low: float, high: float, label: str) -> None:
        """Draw the scale of a color map."""
        axes = self.axes(at)
        bar = self.figure.colorbar(ScalarMappable(Normalize(low, high), COLORMAP), cax=axes)
        bar.outline.set(edgecolor=_rgb(THEME.edge), linewidth=0.6)
        axes.locator_params(axis="y", nbins=5)
        axes.set_ylabel(label, color=_rgb(THEME.muted), fontsize=_points(12), labelpad=4)

    def pixels(self) -> Image:
        """Render the sheet as uint8 (H, W, 3)."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Glyph")  # a class's name may be in any script; the font draws a box
            self.canvas.draw()
        return np.asarray(self.canvas.buffer_rgba())[..., :3].copy()


@dataclass(frozen=True)
class SpecificityOrder:
    """Order units side by side: those most specific to class 0, to class 1, …, without a class, dead."""

    units: tuple[int, ...]  # their numbers
    bounds: tuple[int, ...]  # where each group begins, and the end: K + 3 numbers for K classes

    @classmethod
    def of(cls, specificity: Doubles, dead: Sequence[int]) -> SpecificityOrder:
        """Order the units by their specificity (K, U)."""
        classes, count = specificity.shape
        best, height = specificity.argmax(0), specificity.max(0)
        group = np.where(height > 0, best, classes)
        group[list(dead)] = classes + 1
        units = np.lexsort((np.arange(count), -height * (group < classes), group))
        bounds = np.searchsorted(group[units], np.arange(classes + 3))
        return cls(tuple(units.tolist()), tuple(bounds.tolist()))


def _title(sheet: PatternsSheet, patterns: Summary) -> None:
    of = f" of {patterns.model}" if patterns.model else ""
    sheet.text(EDGE + 4, 26, short(f"What the units{of} do, class by class", 90), size=22, weight="bold")
    kind = "true class" if patterns.labelled else "predicted class (not every true one is known)"
    seen = sum(count > 0 for count in patterns.images_per_class)
    words = f"{patterns.images:,} images, sorted by their {kind}; {seen} of {len(patterns.classes)} classes occur"
    sheet.text(EDGE + 4, 52, words, THEME.muted, 14)
    sheet.text(sheet.width - EDGE, 26, "livecnn", size=18, weight="bold", ha="right")
    meaning = "active: above 0 (a map: at any position) · never fires: active in no image"
    sheet.text(sheet.width - EDGE, 52, meaning, THEME.muted, 14, ha="right")


def _layer(sheet: PatternsSheet, at: Rect, patterns: Summary, layer: str, shown: Sequence[int]) -> None:
    moments, dead = patterns.by_class(layer), patterns.dead(layer)
    classes = [patterns.classes[i] for i in shown]
    order = SpecificityOrder.of(moments.specificity()[shown], dead)
    kind, value = ("feature maps", "mean of the map") if patterns.maps[layer] else ("units", "mean activation")
    count = f"{len(order.units)} {kind if len(order.units) > 1 else kind.removesuffix('s')}"
    sheet.card(at, short(layer, 40), f"{count} · a column each, sorted by the class that each speaks for most")
    means = moments.means[shown][:, list(order.units)]
    low, high = span(means)
    room = Rect(at.x + 92, at.y + 58, at.w - 92 - 104, at.h - 58 - 34)
    axes = sheet.axes(room)
    corners = (-0.5, len(order.units) - 0.5, len(means) - 0.5, -0.5)
    pixels = average_columns(average_columns(means, room.w).T, room.h).T  # by class, too, where there are a thousand
    axes.imshow(pixels, extent=corners, aspect="auto", cmap=COLORMAP, vmin=low, vmax=high, interpolation="nearest")
    axes.set_xticks([])
    _name(axes, classes, room.h)
    for bound in order.bounds[1:-1]:
        if len(classes) <= 30:
            axes.axvline(bound - 0.5, color=_rgb(THEME.card), linewidth=1)
    sheet.colorbar(Rect(room.x + room.w + 14, room.y, 12, room.h), low, high, value if room.h > 110 else "mean")
    _strip(sheet, Rect(room.x, room.y - 22, room.w, 18), order, classes)
    sheet.text(at.x + 86, room.y - 13, "speaks for", THEME.muted, 12, ha="right")
    sheet.text(at.x + 14, at.y + at.h - 16, dead_units_text(dead, kind), THEME.bad if dead else THEME.muted)
    broken = int((patterns.overall(layer).not_finite > 0).sum())
    if broken:
        words = f"NaN or infinite values, left out, in {broken} of {count}"
        sheet.text(at.x + at.w - 14, at.y + at.h - 16, words, THEME.bad, ha="right")


def _strip(sheet: PatternsSheet, at: Rect, order: SpecificityOrder, classes: Sequence[str]) -> None:
    """Over the columns: which class they speak for, which speak for none, and which never fire."""
    axes = sheet.axes(at)
    axes.set(xlim=(0, len(order.units)), ylim=(0, 1), xticks=[], yticks=[])
    names = (*classes, "none", "never fire")
    for group, (start, end) in enumerate(pairwise(order.bounds)):
        if start == end:
            continue
        dead = group == len(classes) + 1
        color = THEME.bad if dead else THEME.edge if group == len(classes) else (THEME.quiet, THEME.edge)[group % 2]
        hatch = "////" if dead else None
        axes.add_patch(Rectangle((start, 0), end - start, 1, facecolor=_rgb(color), edgecolor=_rgb(THEME.card), hatch=hatch))
        letters = int((end - start) / len(order.units) * at.w / 8.5)
        name = "dead" if dead and letters < len(names[group]) else names[group]
        if letters >= min(len(name), 8):
            axes.text(
                (start + end) / 2,
                0.45,
                plain(short(name, letters)),
                color=_rgb(THEME.text),
                fontsize=_points(12),
                ha="center",
                va="center",
                parse_math=False,
                weight="bold",
                bbox={"facecolor": _rgb(color), "edgecolor": "none", "pad": 1} if dead else None,
            )


def _similarity(sheet: PatternsSheet, at: Rect, patterns: Summary, shown: Sequence[int]) -> None:
    matrix = patterns.similarity()
    if matrix is None:
        sheet.card(at, "Which classes look alike", "")
        sheet.text(at.x + 14, at.y + 52, "No fully connected layer was chosen, so there is nothing to compare.", THEME.muted)
        return
    matrix, classes = matrix[np.ix_(shown, shown)], [patterns.classes[i] for i in shown]
    sheet.card(at, "Which classes look alike", f"cosine of the mean activations of {short(patterns.connected or '', 16)}")
    below = 70 if _turned(classes, at.w - 92 - 84) else 32
    room = Rect(at.x + 92, at.y + 44, at.w - 92 - 84, at.h - 44 - below)
    axes = sheet.axes(room)
    apart = matrix[~np.eye(len(matrix), dtype=bool)]
    low = float(np.nanmin(apart)) if np.isfinite(apart).any() else 0.0
    low, high = (low, 1.0) if low < 1 else (0.0, 1.0)
    axes.imshow(matrix, aspect="auto", cmap=COLORMAP, vmin=low, vmax=high)
    _name(axes, classes, room.h)
    _name(axes, classes, room.w, axis="x")
    if len(matrix) <= NUMBERED:
        for (row, column), value in np.ndenumerate(matrix):
            if np.isfinite(value):
                light = (value - low) / (high - low) < 0.6
                color = _rgb(THEME.text if light else THEME.background)
                axes.text(column, row, f"{value:.2f}", color=color, fontsize=_points(12), ha="center", va="center")
    sheet.colorbar(Rect(room.x + room.w + 14, room.y, 12, room.h), low, high, "cosine similarity")


def _specific(sheet: PatternsSheet, at: Rect, patterns: Summary, shown: Sequence[int]) -> None:
    layer = patterns.connected or patterns.layers[-1]
    moments = patterns.by_class(layer)
    specificity, total, dead = moments.specificity(), patterns.overall(layer), patterns.dead(layer)
    sheet.card(at, f"Units of {short(layer, 14)} most specific to a class", "active in it / in all")
    listed = shown[:LISTED]
    lines = min(3, LISTED // len(listed))  # few classes: more units of each
    for row, i in enumerate(listed):
        top = at.y + 48 + row * lines * 33
        sheet.text(at.x + 96, top, short(patterns.classes[i], 9), THEME.accent, weight="bold", ha="right")
        units = strongest(specificity, i, 3 * lines, dead)
        for k, unit in enumerate(units):
            share, anyway = moments.share[i, unit] * 100, total.share[0, unit] * 100
            x, y = at.x + 112 + k % 3 * 146, top + k // 3 * 33
            sheet.text(x, y, f"{unit}", weight="bold")
            sheet.text(x + 44, y, f"{share:.0f} / {anyway:.0f} %", THEME.muted, 12)
        if not units:
            sheet.text(at.x + 112, top, "none", THEME.muted)
    left = len(shown) - len(listed)
    if left > 0:
        sheet.text(at.x + 14, at.y + at.h - 14, f"… and {left} more classes: in the .json file", THEME.muted, 12)


def _name(axes: Axes, classes: Sequence[str], room: int, axis: str = "y") -> None:
    """Every class's name on an axis of so many pixels, or every n-th where there is no room for all."""
    ticks = list(range(0, len(classes), -(-len(classes) // (room // LINE))))
    names = [plain(short(classes[i], 10)) for i in ticks]
    if axis == "y":
        axes.set_yticks(ticks, names, parse_math=False)
    else:
        axes.set_xticks(ticks, names, parse_math=False, rotation=90 if _turned(classes, room) else 0)


def _turned(classes: Sequence[str], room: int) -> bool:
    """Return whether names stand upright: side by side they would run into each other."""
    return max(len(short(name, 10)) for name in classes) * 9 > room / len(classes)


def dead_units_text(dead: Sequence[int], kind: str) -> str:
    """Return one line that names the units that never fire, the first twelve by number."""
    if not dead:
        return f"All {kind} fire for some image."
    rest = f" … and {len(dead) - NAMED} more" if len(dead) > NAMED else ""
    return f"{len(dead)} never fire: {', '.join(map(str, dead[:NAMED]))}{rest}"


def span(values: Doubles) -> tuple[float, float]:
    """Return the ends of a color scale for values of which some may be NaN."""
    finite = values[np.isfinite(values)]
    low, high = min(0.0, float(finite.min(initial=0.0))), float(finite.max(initial=-np.inf))
    return low, high if high > low else low + 1.0


def average_columns(values: Doubles, most: int) -> Doubles:
    """Average (K, U) to (K, at most `most`): neighbors where there are more columns than pixels."""
    if values.shape[1] <= most:
        return values
    starts = np.arange(most) * values.shape[1] // most
    means: Doubles = np.add.reduceat(values, starts, axis=1) / np.diff(starts, append=values.shape[1])
    return means


def short(name: str, most: int) -> str:
    """Return a name of at most so many characters."""
    return name if len(name) <= most else name[: max(1, most - 1)] + "…"


def plain(text: str) -> str:
    """Return a text in which what has no glyph, such as a line break, is �."""
    return "".join(char if char.isprintable() else "\ufffd" for char in text)


def _rgb(color: Color) -> tuple[float, float, float]:
    return color[0] / 255, color[1] / 255, color[2] / 255


def _points(pixels: float) -> float:
    return pixels * 72 / DPI

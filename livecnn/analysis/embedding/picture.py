"""An embedding as one picture: a map of thumbnails, or marks where there is no room, in the colours of classes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt

from livecnn.drawing.artists import resize_exactly, text_width
from livecnn.drawing.contact_sheet import write_line
from livecnn.drawing.shapes import color_of, draw_marker
from livecnn.drawing.theme import INK, THEMES, Color, Metrics
from livecnn.types import Floats, Image

Groups = npt.NDArray[np.int64]
Places = npt.NDArray[np.int64]

THEME = THEMES["dark"]
SMALLEST, LARGEST = 320, 12_000  # pixels of a side
FILLED = 0.5  # of the map's side, what thumbnails in a square grid would take
LEAST, MOST_SIDE = 14, 256  # pixels of a thumbnail's side
SHARP = 4  # times a picture's own size, from which on its pixels are shown as squares
NAMED = 48  # classes that the legend names
DOWN = np.array([1, -1], np.float32)
TINY = float(np.finfo(np.float32).tiny)


@dataclass(frozen=True, slots=True, eq=False)
class FitToSquare:
    """Put points (N, 2), y going up, into a square of a picture, y going down, in proportion and in its middle."""

    zoom: float
    shift: Floats

    @classmethod
    def of(cls, points: Floats, side: float = 1.0, middle: tuple[float, float] = (0.5, 0.5)) -> FitToSquare:
        """Return the fit with which these points reach from edge to edge."""
        low, high = points.min(0), points.max(0)
        reach = float((high - low).max())
        zoom = side / reach if reach > TINY else 0.0
        return cls(zoom, np.asarray(middle - (low + high) / 2 * zoom * DOWN, np.float32))

    def __call__(self, points: Floats) -> Floats:
        return np.asarray(points * self.zoom * DOWN + self.shift, np.float32)


def fit_unit_square(points: Floats) -> Floats:
    """Fit points (N, 2) into a square of side 1, y going down."""
    return FitToSquare.of(points)(points)


def without_overlap(points: Floats, side: float, seed: int = 0) -> npt.NDArray[np.bool_]:
    """Choose from the squares of a side around points (N, 2) so that none overlap, bool (N,).

    They are taken in random order, so that none of the classes wins, and each that has room stays.
    """
    shown, taken = np.zeros(len(points), bool), dict[tuple[int, int], tuple[float, float]]()
    around = tuple(product((-1, 0, 1), repeat=2))
    for i in np.random.default_rng(seed).permutation(len(points)).tolist():
        x, y = points[i].tolist()
        column, row = math.floor(x / side), math.floor(y / side)  # no cell holds two
        near = (taken.get((column + across, row + down)) for across, down in around)
        if not any(other is not None and max(abs(other[0] - x), abs(other[1] - y)) < side for other in near):
            taken[column, row] = x, y
            shown[i] = True
    return shown


def grid_cells(points: Floats) -> tuple[Places, int]:
    """Give each of N points a cell (row, column) of its own in the smallest square grid; return these and the grid's side.

    Rectangles of cells are halved across their longer side, and so are their points, by order: neighbours stay together.
    """
    side = math.ceil(math.sqrt(len(points)))
    found: Places = np.empty((len(points), 2), np.int64)

    def halve(these: Places, top: int, left: int, rows: int, columns: int) -> None:
        if len(these) < 2:
            found[these] = top + (rows - 1) // 2, left + (columns - 1) // 2
            return
        tall = rows > columns
        ordered = these[np.argsort(points[these, 1 if tall else 0], kind="stable")]
        half, whole = (rows // 2, rows) if tall else (columns // 2, columns)
        share = round(len(these) * half / whole)  # in proportion, so neither half gets more than it holds
        halve(ordered[:share], top, left, *((half, columns) if tall else (rows, half)))
        rest = (top + half, left, rows - half, columns) if tall else (top, left + half, rows, columns - half)
        halve(ordered[share:], *rest)

    halve(np.arange(len(points)), 0, 0, side, side)
    return found, side


def thumbnail_side(size: int, count: int) -> int:
    """Return the pixels of a thumbnail's side on a map of that size."""
    return int(np.clip(FILLED * size / np.sqrt(count), LEAST, MOST_SIDE * max(1, size / 6000)))


def draw_embedding(
    title: str,
    subtitle: str,
    points: Floats,
    thumbnails: Image,
    groups: Groups,
    names: Sequence[str],
    size: int,
    *,
    grid: bool = False,
) -> Image:
    """Draw an `Embedding`, uint8 (H, size, 3); groups, int (N,), say which name each point belongs to, -1: none."""
    metrics = Metrics.of(size, size)
    edge, top = metrics.px(20), metrics.px(74)
    head = top + legend_height(names, size - 2 * edge, metrics)
    sheet = np.empty((head + size - edge, size, 3), np.uint8)
    sheet[:] = THEME.background
    write_line(sheet, title, edge, metrics.px(34), size - 2 * edge, metrics.px(20), THEME.text, "bold")
    write_line(sheet, subtitle, edge, metrics.px(58), size - 2 * edge, metrics.px(13), THEME.muted)
    legend(sheet[top:head, edge : size - edge], names, metrics)
    ground = sheet[head : head + size - 2 * edge, edge : size - edge]
    ground[:] = THEME.card
    (draw_grid if grid else draw_thumbnails)(ground, points, thumbnails, groups, metrics)
    return sheet


def draw_thumbnails(ground: Image, points: Floats, thumbnails: Image, groups: Groups, metrics: Metrics) -> None:
    """Draw each at its point: the thumbnail if it covers no other, else a mark."""
    room, side = len(ground), thumbnail_side(len(ground), len(points))
    centres = FitToSquare.of(points, room - side - metrics.px(16), (room / 2, room / 2))(points).round()
    shown = without_overlap(centres, side + metrics.px(2))
    for i in np.flatnonzero(~shown):
        _mark(ground, groups[i], centres[i], metrics.px(6), THEME.muted)
    for i in np.flatnonzero(shown):
        left, top = (int(c) - side // 2 for c in centres[i])
        _hang(ground[top : top + side, left : left + side], thumbnails[i], groups[i], metrics)


def draw_grid(ground: Image, points: Floats, thumbnails: Image, groups: Groups, metrics: Metrics) -> None:
    """Draw each thumbnail in a cell of its own."""
    places, count = grid_cells(fit_unit_square(points))
    pitch = len(ground) // count
    gap = min(metrics.px(3), max(1, pitch // 12)) if pitch > 3 else 0
    start = (len(ground) - pitch * count) // 2
    for (row, column), thumbnail, group in zip(places, thumbnails, groups, strict=True):
        top, left = start + row * pitch, start + column * pitch
        _hang(ground[top : top + pitch - gap, left : left + pitch - gap], thumbnail, group, metrics)


def draw_points(ground: Image, points: Floats, groups: Groups, side: int, other: Color) -> FitToSquare:
    """Draw marks only, on a ground of any proportions; return what puts points of the map there. other: colour of no class."""
    height, width = ground.shape[:2]
    fit = FitToSquare.of(points, max(1, min(height, width) - 3 * side), (width / 2, height / 2))
    for group, centre in zip(groups, fit(points), strict=True):
        _mark(ground, group, centre, side, other)
    return fit


def _hang(place: Image, thumbnail: Image, group: int, metrics: Metrics) -> None:
    """Put a thumbnail into a frame of its class, whose mark stands in the corner where there is room."""
    side = len(place)
    rim = max(1, side // 24)
    place[:] = THEME.muted if group < 0 else color_of(group)
    inner = max(1, side - 2 * rim)
    sharp = inner >= SHARP * len(thumbnail)
    place[rim : rim + inner, rim : rim + inner] = resize_exactly(thumbnail, inner, inner, sharp=sharp)
    mark = max(metrics.px(5), side // 5)
    if group >= 0 and side >= 3 * mark:
        back = mark + 2 * rim
        place[:back, :back] = INK
        draw_marker(place, group, back / 2, back / 2, mark)


def _mark(ground: Image, group: int, centre: Floats, side: int, other: Color) -> None:
    """Draw a mark, or a dot for what belongs to no class."""
    x, y = centre.tolist()
    if group >= 0:
        draw_marker(ground, group, x, y, side)
        return
    dot = max(1, side // 2)
    top, left = max(0, round(y - dot / 2)), max(0, round(x - dot / 2))
    ground[top : top + dot, left : left + dot] = other


def legend_height(names: Sequence[str], width: int, metrics: Metrics) -> int:
    """Return the pixels that a legend takes, the gap below it included."""
    return len(_legend_rows(names, width, metrics)) * metrics.px(24) + metrics.px(8 if names else 0)


def legend(sheet: Image, names: Sequence[str], metrics: Metrics, color: Color = THEME.text) -> None:
    """Draw marks and names of classes, from the top left of a picture, uint8 (h, w, 3)."""
    for i, row in enumerate(_legend_rows(names, sheet.shape[1], metrics)):
        top = i * metrics.px(24)
        for number, name, left in row:
            if number >= 0:
                draw_marker(sheet, number, left + metrics.px(7), top + metrics.px(12), metrics.px(12))
            write_line(sheet, name, left + metrics.px(18), top + metrics.px(17), metrics.px(200), metrics.px(13), color)


def _legend_rows(names: Sequence[str], width: int, metrics: Metrics) -> list[list[tuple[int, str, int]]]:
    """Break names into rows; of each its number, -1 for none, the name and how far from the left it begins."""
    entries = list(enumerate(names[:NAMED]))
    if len(names) > NAMED:
        entries.append((-1, f"… and {len(names) - NAMED} more"))
    rows: list[list[tuple[int, str, int]]] = []
    left = width + 1
    for number, name in entries:
        wide = min(metrics.px(200), text_width(name, metrics.px(13))) + metrics.px(36)
        if left + wide > width:
            rows.append([])
            left = 0
        rows[-1].append((number, name, left))
        left += wide
    return rows

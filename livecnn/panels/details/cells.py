"""A grid of equal cells on a page of pages, in device pixels."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from livecnn.drawing.colormaps import cells, subsample_index
from livecnn.geometry import Rect, best_grid


@dataclass(frozen=True)
class Cells:
    """body: where they stand, in the middle.  size: (height, width) of one.  gap: between two.  line: for words below each."""

    body: Rect
    grid: tuple[int, int]
    size: tuple[int, int]
    gap: int = 0
    line: int = 0

    @classmethod
    def fit(cls, body: Rect, count: int, aspect: float, least: float, gap: int, most: int) -> Cells:
        """Return the largest cells for `count` units; where they would be too small, fewer cells.

        Args:
            body: Where they are placed.
            count: How many there would be.
            aspect: Width / height of a cell.
            least: Side in pixels of the square that a cell is at least as large as.
            gap: Pixels between two cells.
            most: Largest height of a cell, in pixels.
        """
        wide, high = least * math.sqrt(aspect), least / math.sqrt(aspect)
        between = gap if least >= 4 * gap else 0
        fitting = max(1, int((body.w + between) / (wide + between))) * max(1, int((body.h + between) / (high + between)))
        rows, columns = best_grid(min(count, fitting), aspect, body.w + between, body.h + between)
        gap = gap if min(body.w // columns, body.h // rows) >= 4 * gap else 0
        h, w = cell_size(body, rows, columns, aspect, gap)
        return cls(body, (rows, columns), (min(h, most), min(w, max(1, round(most * aspect)))), gap)

    def lettered(self, aspect: float, line: int) -> Cells:
        """Return the same grid, its cells no larger, with room for a line of words below each."""
        h, w = cell_size(self.body, *self.grid, aspect, self.gap, line)
        return Cells(self.body, self.grid, (min(h, self.size[0]), min(w, self.size[1])), self.gap, line)

    @property
    def count(self) -> int:
        """Return how many cells are on a page."""
        return self.grid[0] * self.grid[1]

    @property
    def origin(self) -> tuple[int, int]:
        """The top left pixel."""
        (rows, columns), (h, w) = self.grid, self.size
        height, width = rows * (h + self.gap + self.line) - self.gap, columns * (w + self.gap) - self.gap
        return self.body.x + max(0, self.body.w - width) // 2, self.body.y + max(0, self.body.h - height) // 2

    def rect(self, place: int) -> Rect:
        """Of a cell, by its place in reading order."""
        row, column = divmod(place, self.grid[1])
        (x, y), (h, w) = self.origin, self.size
        return Rect(x + column * (w + self.gap), y + row * (h + self.gap + self.line), w, h)

    def at(self, x: float, y: float) -> tuple[int, float, float] | None:
        """Return the cell at a pixel: its place, and how far down and along in it, as shares of its height and width."""
        (left, top), (h, w) = self.origin, self.size
        row, down = divmod(int(y) - top, h + self.gap + self.line)
        column, along = divmod(int(x) - left, w + self.gap)
        inside = 0 <= row < self.grid[0] and 0 <= column < self.grid[1] and down < h and along < w
        return (row * self.grid[1] + column, down / h, along / w) if inside else None

    def indices(self, rows: int, columns: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
        """As colors.enlarge takes them, for cells of so many source rows and columns."""
        down = cells(self.grid[0], rows, self.size[0], self.gap + self.line)
        along = cells(self.grid[1], columns, self.size[1], self.gap)
        return subsample_index(down, self.body.h), subsample_index(along, self.body.w)


def cell_size(body: Rect, rows: int, columns: int, aspect: float, gap: int, line: int = 0) -> tuple[int, int]:
    """Return the largest (height, width) of a cell, of so many rows and columns, with width / height = aspect."""
    w = max(1, (body.w + gap) // columns - gap)
    h = max(1, (body.h + gap) // rows - gap - line)
    return max(1, min(h, round(w / aspect))), max(1, min(w, round(h * aspect)))

"""Rectangles in device pixels, origin at the top left as in pictures (matplotlib's own origin is at the bottom left)."""

from __future__ import annotations

import math
from typing import NamedTuple


class Rect(NamedTuple):
    """Columns x .. x+w-1, rows y .. y+h-1."""

    x: int
    y: int
    w: int
    h: int

    def inset(self, left: int, top: int, right: int, bottom: int) -> Rect:
        """Return it smaller by so many pixels on each side; never less than one pixel."""
        return Rect(self.x + left, self.y + top, max(1, self.w - left - right), max(1, self.h - top - bottom))

    def fit(self, aspect: float) -> Rect:
        """Return the largest rectangle in its middle with width / height = aspect."""
        w = max(1, min(self.w, round(self.h * aspect)))
        h = max(1, min(self.h, round(w / aspect)))
        return Rect(self.x + (self.w - w) // 2, self.y + (self.h - h) // 2, w, h)

    def contains(self, x: float, y: float) -> bool:
        """Return whether a point is inside."""
        return self.x <= x < self.x + self.w and self.y <= y < self.y + self.h


def best_grid(count: int, aspect: float, width: int, height: int) -> tuple[int, int]:
    """Return (rows, columns) that hold `count` cells of width / height = aspect, as large as possible, in so many pixels."""

    def cell_height(columns: int) -> float:
        return min(width / (columns * aspect), height / math.ceil(count / columns))

    # Of equally large cells the grid with fewer empty places wins.
    columns = max(range(1, count + 1), key=lambda n: (round(cell_height(n), 3), -(math.ceil(count / n) * n)))
    return math.ceil(count / columns), columns

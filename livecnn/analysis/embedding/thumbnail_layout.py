"""Where thumbnails stand on a map: at their points as far as none covers another, or each in a cell of its own."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt

from livecnn.types import Floats

Places = npt.NDArray[np.int64]
DOWN = np.array([1, -1], np.float32)
TINY = float(np.finfo(np.float32).tiny)


@dataclass(frozen=True, slots=True, eq=False)
class FitToSquare:
    """Puts points (N, 2), y going up, into a square of a picture, y going down, in proportion and in its middle."""

    zoom: float
    shift: Floats

    @classmethod
    def of(cls, points: Floats, side: float = 1.0, middle: tuple[float, float] = (0.5, 0.5)) -> FitToSquare:
        """These points reach from edge to edge."""
        low, high = points.min(0), points.max(0)
        reach = float((high - low).max())
        zoom = side / reach if reach > TINY else 0.0
        return cls(zoom, np.asarray(middle - (low + high) / 2 * zoom * DOWN, np.float32))

    def __call__(self, points: Floats) -> Floats:
        return np.asarray(points * self.zoom * DOWN + self.shift, np.float32)


def fit_unit_square(points: Floats) -> Floats:
    """(N, 2) -> the same in a square of side 1, y going down."""
    return FitToSquare.of(points)(points)


def without_overlap(points: Floats, side: float, seed: int = 0) -> npt.NDArray[np.bool_]:
    """(N, 2) -> which of the squares of that side in the middle of these points can stand: none of them overlap.

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
    """(N, 2) -> for each a cell (row, column) of its own in the smallest square grid, and the grid's side.

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

"""The grid of a layout: matplotlib's subplot-mosaic notation, with names of any length separated by blanks.

See `matplotlib.figure.Figure.subplot_mosaic`, which takes a Grid as it is.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import PlainValidator, WithJsonSchema

from livecnn.io.validation import ValidationProblem

EMPTY = "."
MOST = 32  # rows or columns; more than any screen can show

Grid = tuple[tuple[str, ...], ...]  # rows from the top, each from the left


def parse(text: Any) -> Grid:
    """Rows of names from text; blank lines do not count. Raises Misfit for a ragged grid or an area that is no rectangle."""
    if not isinstance(text, str) or not text.strip():
        raise ValidationProblem(
            f"found {'nothing' if text in (None, '') else repr(text)}; needed: rows of panel names, '.' for an empty cell"
        )
    grid = tuple(tuple(line.split()) for line in text.splitlines() if line.strip())
    columns = len(grid[0])
    for row, names in enumerate(grid):
        if len(names) != columns:
            raise ValidationProblem(
                f"row {row + 1} has {len(names)} names, row 1 has {columns}; all rows need the same number", row=row
            )
    if max(len(grid), columns) > MOST:
        raise ValidationProblem(f"found {len(grid)} rows and {columns} columns; at most {MOST} of each are allowed")
    if not panels(grid):
        raise ValidationProblem("found empty cells only; needed: the name of a panel")
    for name in panels(grid):
        _check_rectangle(name, grid)
    return grid


def panels(grid: Grid) -> dict[str, int]:
    """The names in a grid, each with the first row that it stands in, from the top left."""
    first: dict[str, int] = {}
    for row, names in enumerate(grid):
        for name in names:
            if name != EMPTY:
                first.setdefault(name, row)
    return first


def _check_rectangle(name: str, grid: Grid) -> None:
    cells = [(row, column) for row, names in enumerate(grid) for column, other in enumerate(names) if other == name]
    rows = sorted({row for row, _ in cells})
    columns = sorted({column for _, column in cells})
    if (rows[-1] - rows[0] + 1) * (columns[-1] - columns[0] + 1) != len(cells):
        area = f"rows {rows[0] + 1} to {rows[-1] + 1}, columns {columns[0] + 1} to {columns[-1] + 1}"
        raise ValidationProblem(f"panel {name!r} does not fill a rectangle ({area}); each panel needs one", row=rows[0])


Mosaic = Annotated[Grid, PlainValidator(parse), WithJsonSchema({"type": "string"})]

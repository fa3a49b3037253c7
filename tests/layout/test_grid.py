from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from livecnn.io.validation import ValidationProblem
from livecnn.layout import grid as mosaic

cells_of_a_grid = (
    st.integers(1, 3)
    .flatmap(lambda width: st.lists(st.lists(st.sampled_from("ab."), min_size=width, max_size=width), min_size=1, max_size=3))
    .filter(lambda rows: any(name != "." for row in rows for name in row))
)


def test_rows_and_panels() -> None:
    grid = mosaic.parse("\n  camera camera  conv1\n\n  scores .       conv1  \n")
    assert grid == (("camera", "camera", "conv1"), ("scores", ".", "conv1"))
    assert list(mosaic.panels(grid).items()) == [("camera", 0), ("conv1", 0), ("scores", 1)]


def test_matplotlib_takes_a_grid_as_it_is() -> None:
    grid = mosaic.parse("a a b\nc . b")
    assert set(Figure().subplot_mosaic([list(row) for row in grid], empty_sentinel=mosaic.EMPTY)) == {"a", "b", "c"}


@given(cells_of_a_grid)
def test_the_same_areas_are_rectangles_as_for_matplotlib(cells: list[Any]) -> None:
    text = "\n".join(" ".join(row) for row in cells)
    try:
        Figure().subplot_mosaic(cells, empty_sentinel=".")
    except ValueError:
        with pytest.raises(ValidationProblem, match="does not fill a rectangle"):
            mosaic.parse(text)
    else:
        assert [list(row) for row in mosaic.parse(text)] == cells


@pytest.mark.parametrize(
    ("text", "message", "row"),
    [
        ("a b\na b c\n", r"row 2 has 3 names, row 1 has 2; all rows need the same number", 1),
        ("a b\nb a", r"panel 'a' does not fill a rectangle \(rows 1 to 2, columns 1 to 2\)", 0),
        ("a\nb\na", r"panel 'a' does not fill a rectangle \(rows 1 to 3, columns 1 to 1\)", 0),
        ("", r"found nothing; needed: rows of panel names", None),
        (". .", r"found empty cells only; needed: the name of a panel", None),
        (" \n ", r"found ' \\n '; needed", None),
        (None, r"found nothing; needed", None),
        ([["a"]], r"found \[\['a'\]\]; needed", None),
        ("a " * 33, r"found 1 rows and 33 columns; at most 32", None),
        ("a\n" * 33, r"found 33 rows and 1 columns; at most 32", None),
    ],
)
def test_what_is_refused(text: Any, message: str, row: int | None) -> None:
    with pytest.raises(ValidationProblem, match=message) as caught:
        mosaic.parse(text)
    assert caught.value.row == row

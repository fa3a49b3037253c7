import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livecnn.geometry import Rect, best_grid

places = st.builds(Rect, st.integers(-50, 50), st.integers(-50, 50), st.integers(1, 900), st.integers(1, 900))
aspects = st.floats(0.05, 20)


def test_inset() -> None:
    assert Rect(10, 20, 100, 50).inset(1, 2, 3, 4) == Rect(11, 22, 96, 44)
    assert Rect(0, 0, 5, 5).inset(4, 4, 4, 4) == Rect(4, 4, 1, 1)


def test_contains_its_pixels_and_no_others() -> None:
    rect = Rect(2, 3, 4, 5)
    assert rect.contains(2, 3)
    assert rect.contains(5.9, 7.9)
    assert not any(rect.contains(*point) for point in [(1.9, 3), (2, 2.9), (6, 3), (2, 8)])


@given(places, aspects)
def test_the_fit_is_inside_centred_and_touches_two_sides(room: Rect, aspect: float) -> None:
    fit = room.fit(aspect)
    assert room.x <= fit.x
    assert room.y <= fit.y
    assert fit.x + fit.w <= room.x + room.w
    assert fit.y + fit.h <= room.y + room.h
    assert abs((fit.x - room.x) - (room.x + room.w - fit.x - fit.w)) <= 1
    assert abs((fit.y - room.y) - (room.y + room.h - fit.y - fit.h)) <= 1
    assert room.w - fit.w <= 1 or room.h - fit.h <= 1 + 1 / aspect
    assert fit.w == 1 or fit.h == 1 or fit.w / fit.h == pytest.approx(aspect, rel=1 / min(fit.w, fit.h))


@given(st.integers(1, 60), st.floats(0.2, 5), st.integers(1, 900), st.integers(1, 900))
def test_the_best_grid_holds_all_cells_as_large_as_can_be(count: int, aspect: float, width: int, height: int) -> None:
    def cell_height(columns: int) -> float:
        return min(width / columns / aspect, height / math.ceil(count / columns))

    rows, columns = best_grid(count, aspect, width, height)
    assert rows * columns >= count > (rows - 1) * columns
    assert cell_height(columns) >= max(map(cell_height, range(1, count + 1))) - 0.001


def test_grids_by_hand() -> None:
    assert best_grid(20, 1.0, 500, 400) == (4, 5)
    assert best_grid(50, 1.0, 1000, 500) == (5, 10)
    assert best_grid(1, 1.0, 10, 1000) == (1, 1)
    assert best_grid(6, 1.0, 100, 1000) == (6, 1)
    assert best_grid(12, 2.0, 800, 300) == (3, 4)

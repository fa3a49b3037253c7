import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from livecnn.analysis.embedding.picture import FitToSquare, fit_unit_square, grid_cells, without_overlap


def points(count: int, seed: int = 0) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.random.default_rng(seed).normal(size=(count, 2)).astype(np.float32)


def test_points_fill_a_square_in_proportion_and_go_up() -> None:
    found = fit_unit_square(np.array([[0, 0], [4, 0], [2, 2]], np.float32))
    assert found == pytest.approx(np.array([[0, 0.75], [1, 0.75], [0.5, 0.25]]))
    fit = FitToSquare.of(np.array([[0, 0], [4, 0]], np.float32), 40, (100, 50))
    assert fit(np.array([1, 1], np.float32)) == pytest.approx([90, 40])


def test_all_at_one_point() -> None:
    assert fit_unit_square(np.ones((3, 2), np.float32)) == pytest.approx(0.5)


@given(st.integers(1, 120), st.integers(0, 5), st.integers(2, 40))
def test_no_two_squares_overlap_and_what_has_room_stands(count: int, seed: int, side: int) -> None:
    spots = (fit_unit_square(points(count, seed)) * 200).round()
    shown = without_overlap(spots, side)
    distance = np.abs(spots[:, None] - spots[None]).max(2)
    standing = distance[np.ix_(shown, shown)] + np.eye(shown.sum()) * 1000
    assert (standing >= side).all()
    assert (distance[~shown][:, shown].min(1, initial=1000) < side).all()
    assert shown.any()


@given(st.integers(1, 150), st.integers(0, 5))
def test_a_cell_for_each_and_none_for_two(count: int, seed: int) -> None:
    found, side = grid_cells(points(count, seed))
    assert (side - 1) ** 2 < count <= side**2
    assert len({tuple(cell) for cell in found.tolist()}) == count
    assert found.min() >= 0
    assert found.max() < side


def test_a_full_grid_is_found_again() -> None:
    rows, columns = np.divmod(np.random.default_rng(1).permutation(64), 8)
    found, side = grid_cells(np.stack((columns, rows), 1).astype(np.float32))
    assert side == 8
    assert (found == np.stack((rows, columns), 1)).all()


def test_neighbours_stay_together() -> None:
    spots = points(400)
    found, side = grid_cells(fit_unit_square(spots))
    order = np.corrcoef(found[:, 1], spots[:, 0])[0, 1], np.corrcoef(-found[:, 0], spots[:, 1])[0, 1]
    assert min(order) > 0.8
    assert side == 20

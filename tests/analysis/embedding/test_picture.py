import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from livecnn.analysis.embedding.picture import (
    FitToSquare,
    draw_embedding,
    fit_unit_square,
    grid_cells,
    thumbnail_side,
    without_overlap,
)
from livecnn.drawing.shapes import SHAPES, color_of, mask
from livecnn.drawing.theme import CLASSES, THEMES
from livecnn.types import Image
from tests.helpers.embeddings import embedding

DARK = THEMES["dark"]


def reds(count: int) -> Image:
    """Thumbnails of a colour that nothing else has, each of its own level."""
    thumbnails = np.zeros((count, 8, 8, 3), np.uint8)
    thumbnails[..., 0], thumbnails[..., 2] = 255, np.arange(count)[:, None, None]
    return thumbnails


def levels(sheet: Image) -> dict[int, int]:
    """Of each thumbnail that is seen, how many of its pixels are."""
    found = sheet[(sheet[..., 0] == 255) & (sheet[..., 1] == 0)][:, 2]
    return dict(zip(*(array.tolist() for array in np.unique(found, return_counts=True)), strict=True))


def test_each_thumbnail_that_is_shown_is_shown_whole_and_in_a_grid_all() -> None:
    made = embedding(200, thumbnails=reds(200), labels=("",) * 200, tops=np.full(200, -1))
    seen, side = levels(made.picture(800)), thumbnail_side(800 - 2 * 12, 200)
    assert 10 < len(seen) < 200
    assert set(seen.values()) == {(side - 2 * max(1, side // 24)) ** 2}
    every = levels(made.picture(800, grid=True))
    assert len(every) == 200
    assert len(set(every.values())) == 1


@pytest.mark.parametrize("grid", [False, True])
@pytest.mark.parametrize("size", [320, 1000, 6000])
def test_any_size(size: int, grid: bool) -> None:
    sheet = embedding(30).picture(size, grid=grid)
    assert sheet.shape[1] == size
    assert size < sheet.shape[0] < 1.35 * size
    edge = round(20 * size / 1280)
    for border in (sheet[:, : edge // 2], sheet[:, -edge // 2 :], sheet[-edge // 2 :]):
        assert (border == DARK.background).all()


def test_the_classes_stand_in_the_legend_with_their_colours() -> None:
    sheet = embedding(300).picture(1280)
    for i in range(10):
        assert (sheet[74:106] == color_of(i)).all(axis=2).any()
    assert not (sheet[74:106] == CLASSES[10]).all(axis=2).any()


@pytest.mark.parametrize(
    "names", [("x" * 400,), tuple(f"class {i}" for i in range(500)), ("漢字", "a\nb", "")], ids=["long", "500", "odd"]
)
def test_any_names(names: tuple[str, ...]) -> None:
    groups = np.arange(20) % (len(names) + 1) - 1
    points = np.random.default_rng(0).normal(size=(20, 2)).astype(np.float32)
    sheet = draw_embedding("title" * 90, "subtitle", points, reds(20), groups, names, 640)
    assert (sheet[:, -5:] == DARK.background).all()
    assert sheet.shape[0] < 1000


@pytest.mark.parametrize("side", [1, 5, 12, 40])
def test_shapes_differ_and_stay_in_their_square(side: int) -> None:
    masks = [mask(i, side) for i in range(len(SHAPES))]
    for i, one in enumerate(masks):
        assert one.shape == (side, side)
        assert 0 <= one.min() <= one.max() <= 1
        assert one.max() > 0.3
        assert side < 5 or all(np.abs(one - other).mean() > 0.05 for other in masks[:i])
    assert len({(color_of(i), i % len(SHAPES)) for i in range(84)}) == 84


def spread(count: int, seed: int = 0) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.random.default_rng(seed).normal(size=(count, 2)).astype(np.float32)


def test_points_fill_a_square_in_proportion_and_go_up() -> None:
    found = fit_unit_square(np.array([[0, 0], [4, 0], [2, 2]], np.float32))
    assert found == pytest.approx(np.array([[0, 0.75], [1, 0.75], [0.5, 0.25]]))
    fit = FitToSquare.of(np.array([[0, 0], [4, 0]], np.float32), 40, (100, 50))
    assert fit(np.array([1, 1], np.float32)) == pytest.approx([90, 40])
    assert fit_unit_square(np.ones((3, 2), np.float32)) == pytest.approx(0.5)


@given(st.integers(1, 120), st.integers(0, 5), st.integers(2, 40))
def test_no_two_squares_overlap_and_what_has_room_stands(count: int, seed: int, side: int) -> None:
    spots = (fit_unit_square(spread(count, seed)) * 200).round()
    shown = without_overlap(spots, side)
    distance = np.abs(spots[:, None] - spots[None]).max(2)
    standing = distance[np.ix_(shown, shown)] + np.eye(shown.sum()) * 1000
    assert (standing >= side).all()
    assert (distance[~shown][:, shown].min(1, initial=1000) < side).all()
    assert shown.any()


@given(st.integers(1, 150), st.integers(0, 5))
def test_a_cell_for_each_and_none_for_two(count: int, seed: int) -> None:
    found, side = grid_cells(spread(count, seed))
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
    spots = spread(400)
    found, side = grid_cells(fit_unit_square(spots))
    order = np.corrcoef(found[:, 1], spots[:, 0])[0, 1], np.corrcoef(-found[:, 0], spots[:, 1])[0, 1]
    assert min(order) > 0.8
    assert side == 20

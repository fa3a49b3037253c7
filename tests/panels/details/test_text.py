import numpy as np
import pytest

from livecnn.drawing.theme import THEMES, Color
from livecnn.networks.inspection.architecture import WindowSpec
from livecnn.panels.details.text import draw_window
from livecnn.types import Image

DARK = THEMES["dark"]
ROOM = (200, 300)


def squares(picture: Image, side: int, color: Color) -> list[tuple[int, int]]:
    """Rows and columns whose middle has that colour."""
    middles = picture[side // 2 :: side, side // 2 :: side]
    return [(int(row), int(column)) for row, column in np.argwhere((middles == color).all(2))]


def picture_of(window: WindowSpec, output: tuple[int, ...] = (5, 5)) -> Image:
    picture = draw_window(window, output, ROOM, 16, DARK)
    assert picture is not None
    return picture


def test_a_square_for_each_weight_and_as_many_more_as_the_next_step_needs() -> None:
    picture = picture_of(WindowSpec((2, 3), (2, 3)))
    assert picture.shape == (4 * 16, 6 * 16, 3)
    assert squares(picture, 16, DARK.accent) == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]


def test_dilation_leaves_squares_out() -> None:
    picture = picture_of(WindowSpec((2, 2), (1, 1), dilation=(2, 2)))
    assert squares(picture, 16, DARK.accent) == [(0, 0), (0, 2), (2, 0), (2, 2)]


def test_padding_is_hatched() -> None:
    plain, padded = (picture_of(WindowSpec((3, 3), (1, 1), padding)) for padding in ((0, 0), (1, 1)))
    different = (plain != padded).any(2)
    assert different[:15].any()
    assert different[:, :15].any()
    assert not different[16:, 16:].any()


@pytest.mark.parametrize(("output", "column"), [((5, 5), 2 * 16), ((5, 1), 0)])
def test_the_next_place_is_outlined(output: tuple[int, int], column: int) -> None:
    picture = picture_of(WindowSpec((2, 2), (2, 2)), output)
    rows, columns = np.nonzero((picture == DARK.text).all(2))
    assert columns.min() == column
    assert rows.min() == (0 if column else 2 * 16)


def test_a_window_over_everything_has_no_next_place() -> None:
    picture = picture_of(WindowSpec((4, 4), (4, 4)), (1, 1))
    assert picture.shape == (4 * 16, 4 * 16, 3)
    assert not (picture == DARK.text).all(2).any()


def test_a_window_that_is_too_large_to_be_drawn() -> None:
    assert draw_window(WindowSpec((224, 224), (1, 1)), (1, 1), ROOM, 16, DARK) is None
    picture = draw_window(WindowSpec((40, 60), (20, 20)), (5, 5), ROOM, 16, DARK)
    assert picture is not None
    assert picture.shape[0] <= ROOM[0]
    assert picture.shape[1] <= ROOM[1]

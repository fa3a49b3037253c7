import numpy as np
import pytest

from livecnn.drawing.shapes import draw_arrow_head, draw_polyline, fade, paste, rounded_rectangle, s_curve

BLACK, WHITE, RED = (0, 0, 0), (255, 255, 255), (255, 0, 0)


def test_a_plate_has_an_edge_and_round_corners() -> None:
    made = rounded_rectangle(40, 20, 6, 2, WHITE, RED, BLACK)
    assert made.shape == (20, 40, 3)
    assert tuple(made[0, 0]) == BLACK
    assert (made[10, :2] == RED).all()
    assert (made[:2, 20] == RED).all()
    assert (made[10, 2:38] == WHITE).all()
    assert (made == made[::-1, ::-1]).all()
    corner = made[:6, :6, 0].astype(int)
    assert ((corner > 0) & (corner < 255)).any()


def test_the_area_of_a_disc() -> None:
    made = rounded_rectangle(41, 41, 100, 2, WHITE, WHITE, BLACK)
    assert made[:, :, 0].sum() / 255 == pytest.approx(np.pi * 20.5**2, rel=0.01)


def test_a_plate_is_shared_and_cannot_be_written_to() -> None:
    with pytest.raises(ValueError, match="read-only"):
        rounded_rectangle(9, 9, 2, 1, WHITE, RED, BLACK)[0, 0] = 1


@pytest.mark.parametrize("x", [-30, -3, 0, 4, 8, 30])
@pytest.mark.parametrize("y", [-30, -3, 0, 4, 30])
def test_what_is_pasted_outside_is_cut_off(x: int, y: int) -> None:
    picture, image = np.zeros((10, 12, 3), np.uint8), np.arange(1, 61, dtype=np.uint8).reshape(5, 4, 3)
    paste(picture, x, y, image)
    wide = np.zeros((70, 72, 3), np.uint8)
    wide[30 + y : 35 + y, 30 + x : 34 + x] = image
    assert (picture == wide[30:40, 30:42]).all()


def test_a_line_and_an_arrow_head() -> None:
    picture = np.zeros((20, 40, 3), np.uint8)
    draw_polyline(picture, [(2, 10), (30, 10)], WHITE, 1)
    assert (picture[10, 4:29, 0] > 200).all()
    assert not picture[:8].any()
    draw_arrow_head(picture, 38, 10, 8, RED)
    assert tuple(picture[10, 34]) == RED
    assert np.flatnonzero(picture[:, 31].any(axis=1)).size > np.flatnonzero(picture[:, 36].any(axis=1)).size


def test_a_swing_goes_from_level_to_level() -> None:
    assert s_curve((0, 5), (10, 5)) == [(0, 5), (10, 5)]
    points = s_curve((0, 0), (10, 8))
    assert (points[0], points[-1]) == ((0, 0), (10, 8))
    assert points == sorted(points)
    rises = np.diff([y for _, y in points])
    assert rises[0] < rises[len(rises) // 2] > rises[-1]


def test_an_edge_fades_into_the_ground() -> None:
    picture = np.full((4, 30, 3), 200, np.uint8)
    fade(picture, 10, BLACK)
    assert (np.diff(picture[0, :10, 0].astype(int)) > 0).all()
    assert picture[0, 0, 0] == 0
    assert (picture[:, 9:] == 200).all()
    fade(picture[:, ::-1], 10, BLACK)
    assert (picture == picture[:, ::-1]).all()

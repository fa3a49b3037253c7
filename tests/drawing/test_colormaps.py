import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib import colormaps

from livecnn.drawing.colormaps import cells, enlarge, high_color_name, signed, subsample_index, table
from livecnn.drawing.theme import THEMES, Theme
from livecnn.panels.base.spec import COLORMAPS
from livecnn.types import EMPTY, LOWEST, NOT_FINITE

DARK = THEMES["dark"]


@pytest.mark.parametrize("name", COLORMAPS)
@pytest.mark.parametrize("theme", THEMES.values(), ids=THEMES)
def test_a_table_spans_the_colour_map(name: str, theme: Theme) -> None:
    rgba = table(name, theme).view(np.uint8).reshape(256, 4)
    assert (rgba[:, 3] == 255).all()
    assert tuple(rgba[EMPTY, :3]) == theme.card
    assert tuple(rgba[NOT_FINITE, :3]) == theme.not_finite
    for code, share in ((2, 0.0), (255, 1.0), (129, 127 / 253)):
        assert rgba[code] == pytest.approx(255 * np.array(colormaps[name](share)), abs=1)


@pytest.mark.parametrize("name", COLORMAPS)
def test_steps_up_the_scale_look_like_steps_up_or_down(name: str) -> None:
    red, green, blue = table(name, DARK).view(np.uint8).reshape(256, 4)[2:, :3].T / 255.0
    lightness = np.cbrt(0.2126 * red**2.2 + 0.7152 * green**2.2 + 0.0722 * blue**2.2)
    steps = np.diff(lightness[::11])
    assert (steps > 0).all() or (steps < 0).all()


def test_the_word_for_strong() -> None:
    assert high_color_name("gray") == "white"
    assert high_color_name("gray_r") == "black"
    assert all(high_color_name(name) for name in COLORMAPS)


def test_cells_by_hand() -> None:
    assert cells(2, 2, 3, 1).tolist() == [0, 0, 1, -1, 2, 2, 3]
    assert cells(3, 1, 2, 0).tolist() == [0, 0, 1, 1, 2, 2]
    assert cells(1, 5, 2, 9).tolist() == [0, 2]  # more source pixels than room: some are left out


@given(st.integers(1, 20), st.integers(1, 20), st.integers(1, 30), st.integers(0, 5))
def test_cells_of_any_size(count: int, each: int, pixels: int, gap: int) -> None:
    index = cells(count, each, pixels, gap)
    assert len(index) == count * pixels + (count - 1) * gap
    assert (index == -1).sum() == (count - 1) * gap
    for cell in range(count):
        inside = index[cell * (pixels + gap) :][:pixels]
        assert (np.diff(inside) >= 0).all()
        assert inside[0] == cell * each
        assert inside[-1] < (cell + 1) * each


@given(st.integers(1, 200), st.integers(1, 100))
def test_squeezing_keeps_the_order_and_fits(length: int, pixels: int) -> None:
    index = subsample_index(np.arange(length), pixels)
    assert len(index) == min(length, pixels)
    assert (np.diff(index) > 0).all()
    assert index[0] == 0


def test_enlarged_codes_have_their_colours_and_the_gap_is_card() -> None:
    colors = table("gray", DARK)
    codes = np.array([[2, 255], [NOT_FINITE, EMPTY]], np.uint8)
    picture = enlarge(codes, colors, cells(2, 1, 2, 1), cells(2, 1, 1, 2))
    assert picture.shape == (5, 4, 4)
    black, white, card = [(0, 0, 0, 255), (255, 255, 255, 255), (*DARK.card, 255)]
    nan = (*DARK.not_finite, 255)
    rows = [[black, card, card, white]] * 2 + [[card] * 4] + [[nan, card, card, card]] * 2
    assert [[tuple(pixel) for pixel in row] for row in picture] == rows


@pytest.mark.parametrize("theme", THEMES.values(), ids=THEMES)
def test_a_scale_around_zero_is_blue_below_red_above_and_the_ground_between(theme: Theme) -> None:
    rgba = signed(theme).view(np.uint8).reshape(256, 4).astype(int)
    assert (rgba[:, 3] == 255).all()
    assert tuple(rgba[EMPTY, :3]) == theme.card
    assert tuple(rgba[NOT_FINITE, :3]) == theme.not_finite
    (low, high), middle = rgba[[LOWEST, 255], :3], rgba[[128, 129], :3]
    assert low[2] > 2 * low[0]
    assert high[0] > 2 * high[2]
    assert np.abs(middle - theme.background).max() <= 6

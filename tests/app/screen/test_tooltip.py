import pytest
from hypothesis import given
from hypothesis import strategies as st

from livecnn.app.screen.tooltip import TooltipArtist, place_tooltip
from livecnn.drawing.theme import THEMES, Metrics
from livecnn.geometry import Rect
from livecnn.panels.base.targets import Tooltip
from tests.helpers.scenes import ink, inside, overlap

SIZES = [(320, 240), (1280, 720), (3840, 2160)]
LINES = ("conv1", "20 maps of 24×24", "5×5, stride 1")


def told(size: tuple[int, int], tip: Tooltip | None) -> TooltipArtist:
    tooltip = TooltipArtist()
    tooltip.lay_out(Rect(0, 0, *size), Metrics.of(*size), THEMES["dark"])
    tooltip.tip = tip
    return tooltip


def test_nothing_is_told_of_nothing() -> None:
    tooltip = told((640, 480), None)
    assert ink(tooltip, (640, 480)) is None
    assert tooltip.text == ""


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("x", [0.0, 0.5, 0.95])
@pytest.mark.parametrize("y", [0.0, 0.5, 0.95])
def test_the_words_are_beside_what_they_are_about_and_on_the_figure(size: tuple[int, int], x: float, y: float) -> None:
    width, height = size
    about = Rect(round(x * width), round(y * height), width // 25, height // 25)
    place = ink(told(size, Tooltip(LINES, about)), size)
    assert place is not None
    assert inside(place, Rect(0, 0, *size))
    assert not overlap(place, about)


def test_another_tip_is_another_text() -> None:
    one, other = Tooltip(LINES, Rect(0, 0, 5, 5)), Tooltip(LINES[:1], Rect(0, 0, 5, 5))
    assert told((640, 480), one).text != told((640, 480), other).text


def test_long_words_are_shortened() -> None:
    place = ink(told((320, 240), Tooltip(("very long words " * 30,), Rect(10, 10, 20, 20))), (320, 240))
    assert place is not None
    assert inside(place, Rect(0, 0, 320, 240))


@given(
    about=st.tuples(st.integers(0, 600), st.integers(0, 440), st.integers(1, 40), st.integers(1, 40)),
    size=st.tuples(st.integers(1, 300), st.integers(1, 180)),
)
def test_what_fits_beside_it_never_covers_it(about: tuple[int, int, int, int], size: tuple[int, int]) -> None:
    area, place = Rect(0, 0, 640, 480), Rect(*about)
    box = place_tooltip(place, *size, area, 6)
    assert inside(box, area)
    assert not overlap(box, place)


def test_where_nothing_is_free_the_words_stay_on_the_figure() -> None:
    area = Rect(0, 0, 200, 100)
    assert inside(place_tooltip(area, 80, 40, area, 6), area)

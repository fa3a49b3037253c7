from typing import Any

import pytest
import torch

from livecnn.app.screen.figure import FigureView
from livecnn.drawing.theme import THEMES
from tests.helpers.panel_screen import draw, every_size, it, panel, place_of, still_texts, texts
from tests.helpers.scenes import assert_texts_apart, labels

DARK = THEMES["dark"]


def shown(
    value: float = 34.2, size: tuple[int, int] = (800, 600), *, lost: bool = False, empty: bool = False, **fields: Any
) -> FigureView:
    screen = panel("value", size, **{"layer": "fc", **fields})
    return draw(screen, {"fc": torch.full((1, 30), value)}, lost=lost, empty=empty)


def bar(screen: FigureView) -> Any:
    return it(screen).live[0].rectangles


def test_the_number_its_unit_and_where_it_lies_on_the_scale() -> None:
    screen = shown(unit="years", title="Age")
    assert texts(screen) == ["34.2", "years"]
    assert it(screen).heading.text == "Age"
    ((rect, color),) = bar(screen)
    assert rect.w == pytest.approx(0.342 * it(screen).body.w, abs=1)
    assert color == DARK.accent
    assert still_texts(screen)[-2:] == ["0", "100"]


def test_which_value_of_the_layer() -> None:
    screen = draw(panel("value", layer="fc", index=29), {"fc": torch.arange(30.0)[None]})
    assert texts(screen) == ["29.0"]
    assert it(screen).heading.text == "fc 29"


@pytest.mark.parametrize(("value", "share"), [(-5.0, 0), (250.0, 1)])
def test_a_value_outside_the_scale_says_so(value: float, share: float) -> None:
    screen = shown(value)
    assert "outside the scale" in texts(screen)
    ((rect, _),) = bar(screen)
    assert rect.w == max(1, share * it(screen).body.w)


def test_nothing_in_the_box_and_not_a_number() -> None:
    for screen, told in ((shown(empty=True), ["–", "nothing in the box"]), (shown(float("nan")), ["?", "not a number"])):
        assert texts(screen) == told
        assert not bar(screen)


def test_of_a_box_that_is_elsewhere_the_value_is_pale() -> None:
    screen = shown(lost=True)
    assert [color for _, color in bar(screen)] == [DARK.muted]
    assert next(labels(it(screen).live)).color == DARK.muted


@every_size
def test_no_two_texts_overlap_and_none_leaves_the_card(size: tuple[int, int], grid: str) -> None:
    screen = panel("value", size, grid=grid, layer="fc", unit="years", title="Age")
    for value in (7.0, 100.0, -12345.678, 1e-5, float("nan")):
        assert_texts_apart(draw(screen, {"fc": torch.full((1, 30), value)}), "it")


def test_the_figure_stays_where_it_is_whatever_its_digits() -> None:
    screen = shown(unit="years")
    rights = set()
    for value in (9.9, 34.2, 61.1):
        draw(screen, {"fc": torch.full((1, 30), value)})
        place = place_of(next(labels(it(screen).live)))
        rights.add((place.x + place.w) // 8)
    assert len(rights) <= 2

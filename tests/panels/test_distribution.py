import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from livecnn.app.screen.figure import FigureView
from livecnn.drawing.theme import THEMES
from livecnn.panels.distribution import expected, numbers
from tests.helpers.panel_screen import draw, every_size, it, panel, still_texts, texts
from tests.helpers.scenes import assert_texts_apart, context, inside

DARK = THEMES["dark"]
YEARS = tuple(str(year) for year in range(101))
AGES = np.arange(101)
EXPECTED_VALUE_YEARS = numbers([str(year) for year in range(101)])


def bell(mean: float, spread: float) -> Any:
    weights = np.exp(-((AGES - mean) ** 2) / (2 * spread**2))
    return weights / weights.sum()


def shown(scores: Any, size: tuple[int, int] = (1280, 720), classes: tuple[str, ...] = YEARS, **options: Any) -> FigureView:
    return draw(panel("distribution", size, about=context(classes), unit="years"), scores=scores, **options)


def fills(screen: FigureView) -> tuple[Any, Any, Any]:
    """Rectangles of the band, the bars and the mark."""
    band, bars, mark = (artist.rectangles for artist in it(screen).live[:3])
    return band, bars, mark


def middle(rect: Any) -> float:
    return float(rect.x + rect.w / 2)


def test_a_bar_a_class_and_the_expected_value_with_its_spread() -> None:
    screen = shown(bell(34.25, 5.2))
    assert texts(screen) == ["10 %", "34.2", "years", "± 5.2 years"]
    band, bars, mark = fills(screen)
    tallest = max(bars, key=lambda bar: bar[0].h)[0]
    step = 2 * tallest.w
    ((line, color),) = mark
    assert color == DARK.accent
    assert middle(line) == pytest.approx(middle(tallest), abs=step)
    ((stretch, _),) = band
    columns = {round(middle(rect)) for rect, _ in bars}
    year = (max(columns) - min(columns)) / (len(columns) - 1)
    assert middle(stretch) == pytest.approx(middle(line), abs=2)
    assert stretch.w == pytest.approx(2 * 5.2 * year, abs=3)


def test_every_class_has_its_bar_and_none_touches_another() -> None:
    _, bars, _ = fills(shown(np.full(101, 1 / 101)))
    assert len(bars) == 101
    heights = {rect.h for rect, _ in bars}
    assert len(heights) == 1
    for (before, _), (after, _) in itertools.pairwise(bars):
        assert before.x + before.w <= after.x


def test_heights_are_the_scores_at_any_scale() -> None:
    for peak, top in ((0.04, "5 %"), (0.3, "50 %"), (1.0, "100 %")):
        scores = np.full(101, (1 - peak) / 100)
        scores[20] = peak
        screen = shown(scores)
        assert texts(screen)[0] == top
        _, bars, _ = fills(screen)
        plot = max(rect.y + rect.h for rect, _ in bars) - min(rect.y for rect, _ in bars)
        share = float(top.split()[0]) / 100
        assert max(rect.h for rect, _ in bars) == plot
        others = [rect.h for rect, _ in bars][1] if peak < 1 else 0
        assert others == pytest.approx(plot * (1 - peak) / 100 / peak, abs=1)
        assert plot <= it(screen).body.h * peak / share + 1


def test_the_years_are_named_by_tens_where_there_is_room() -> None:
    assert still_texts(shown(bell(50, 3)))[-11:] == [str(year) for year in range(0, 101, 10)]


@every_size
@pytest.mark.parametrize("classes", [YEARS, ("-1.5", "0", "7"), ("5",)], ids=["101", "3", "1"])
def test_no_two_texts_overlap_and_none_leaves_the_card(size: tuple[int, int], grid: str, classes: tuple[str, ...]) -> None:
    screen = panel("distribution", size, grid=grid, about=context(classes), unit="years")
    for scores, empty in (
        (np.eye(len(classes))[-1], False),
        (np.full(len(classes), 1 / len(classes)), False),
        (np.zeros(len(classes)), True),
    ):
        draw(screen, scores=scores, empty=empty)
        assert_texts_apart(screen, "it")
        for rectangles in fills(screen):
            assert all(inside(rect, it(screen).body) for rect, _ in rectangles)


def test_nothing_in_the_box_and_not_a_number() -> None:
    for screen, told in (
        (shown(np.zeros(101), empty=True), ["–", "years", "nothing in the box"]),
        (shown(np.full(101, np.nan)), ["?", "years", "not a number"]),
    ):
        assert texts(screen) == told
        assert not any(fills(screen))


def test_of_a_box_that_is_elsewhere_it_is_pale() -> None:
    assert [color for _, color in fills(shown(bell(30, 4), lost=True))[2]] == [DARK.muted]


def test_classes_as_numbers() -> None:
    assert numbers(["0", "2.5", "-1e2", " 7 "]).tolist() == [0, 2.5, -100, 7]
    for name in ("seven", "", "nan", "inf", "(25, 32)"):
        with pytest.raises(ValueError, match=r"the class .* is no number; classes such as 0, 1, 2"):
            numbers(["1", name])


@given(st.lists(st.floats(0, 1), min_size=101, max_size=101).filter(lambda weights: sum(weights) > 1e-3))
def test_mean_and_standard_deviation_by_definition(weights: list[float]) -> None:
    scores = np.array(weights, np.float32) / np.float32(sum(weights))
    mean, spread = expected(scores, EXPECTED_VALUE_YEARS)
    rounds = np.repeat(np.arange(101.0), np.maximum(0, np.round(scores * 1e5)).astype(int))
    assert mean == pytest.approx(rounds.mean(), abs=0.1)
    assert spread == pytest.approx(rounds.std(), abs=0.2)


def test_a_certain_class_has_no_spread_and_some_scores_no_expected_value() -> None:
    assert expected(np.eye(101, dtype=np.float32)[40], EXPECTED_VALUE_YEARS) == (40, 0)
    for value in (0.0, math.nan, math.inf):
        assert all(math.isnan(number) for number in expected(np.full(101, value, np.float32), EXPECTED_VALUE_YEARS))

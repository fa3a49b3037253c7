from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from livecnn.app.screen.figure import FigureView
from livecnn.drawing.theme import THEMES
from livecnn.panels.base.spec import FieldError
from livecnn.types import Frame
from tests.helpers.panel_screen import every_size, feed, feed_scores, it, panel, still_texts, texts
from tests.helpers.scenes import DIGITS, assert_texts_apart, context, picture, scene

ACCENT = np.array(THEMES["dark"].accent)


def screen_of(
    size: tuple[int, int] = (800, 600), grid: str = "it", classes: tuple[str, ...] = DIGITS, **fields: Any
) -> FigureView:
    return panel("trace", size, grid=grid, about=context(classes), **fields)


def line(screen: FigureView) -> Any:
    """Where the line is, bool (h, w) of the plot."""
    plot = it(screen).live[0].picture[:, :, :3].astype(int)
    return np.abs(plot - ACCENT).max(axis=2) < 40


def now(screen: FigureView) -> str:
    text: str = it(screen).live[-1].text
    return text


def rows(screen: FigureView) -> Any:
    """By column the line's height from the bottom as a share of the plot's, NaN where there is none."""
    seen = line(screen)
    with np.errstate(invalid="ignore"):
        middle = (seen * np.arange(len(seen))[:, None]).sum(0) / seen.sum(0)
    return 1 - middle / (len(seen) - 1)


def test_a_ramp_of_a_layer_goes_up_to_the_right_end() -> None:
    screen = feed(screen_of(layer="fc", seconds=10, range=[0, 100], unit="years"), np.linspace(0, 100, 101))
    heights = rows(screen)
    columns = np.flatnonzero(np.isfinite(heights))
    assert columns[-1] >= len(heights) - 3
    assert columns[0] <= 5
    assert heights[columns] == pytest.approx(np.linspace(0, 1, len(columns)), abs=0.03)
    assert now(screen) == "100 years"


def test_the_scale_is_that_of_what_was() -> None:
    screen = feed(screen_of(layer="fc", seconds=10), [13.0, 27.0] * 30)
    assert texts(screen) == ["10", "15", "20", "25", "30", "27.0"]


def test_the_expected_value_with_its_spread_as_a_band() -> None:
    screen = feed_scores(screen_of(seconds=10), [0, 0, 0, 0.5, 0, 0, 0, 0.5, 0, 0], 60)
    assert now(screen) == "5.0"
    assert np.nanmean(rows(screen)) == pytest.approx(5 / 10, abs=0.03)
    plot = it(screen).live[0].picture[:, :, :3].astype(int)
    card = np.array(THEMES["dark"].card)
    warm = (plot[:, -20, 0] - plot[:, -20, 2]) > (card[0] - card[2] + 20)
    assert np.flatnonzero(warm)[[0, -1]] / len(plot) == pytest.approx([0.3, 0.7], abs=0.03)


def test_the_score_of_a_class_by_number_and_by_name() -> None:
    classes = ("male", "female")
    for of in (1, "female"):
        screen = feed(screen_of(of=of, classes=classes, seconds=10), [1.0] * 30)
        assert now(screen) == "100 %"
        assert it(screen).heading.text == "Score of “female”"
        assert np.nanmin(rows(screen)) > 0.95


@pytest.mark.parametrize("gap", [None, float("nan")], ids=["an empty box", "not a number"])
def test_where_there_is_nothing_the_line_has_a_gap(gap: float | None) -> None:
    screen = feed(screen_of(layer="fc", seconds=10, range=[0, 100]), [50.0] * 40 + [gap] * 20 + [50.0] * 40)
    heights = rows(screen)
    width = len(heights)
    assert np.isnan(heights[round(0.43 * width) : round(0.58 * width)]).all()
    assert np.isfinite(heights[round(0.1 * width) : round(0.38 * width)]).all()
    assert np.isfinite(heights[round(0.63 * width) : -3]).all()


def test_while_the_box_is_elsewhere_there_is_no_line() -> None:
    screen = feed(screen_of(layer="fc", seconds=10), [50.0] * 40, lost=True)
    assert not line(screen).any()
    assert now(screen) == "–"


def test_what_is_off_the_scale_lies_at_its_end() -> None:
    assert np.nanmax(rows(feed(screen_of(layer="fc", seconds=10, range=[0, 10]), [500.0] * 40))) > 0.95


def test_a_tick_that_is_shown_again_changes_nothing() -> None:
    """With a newer frame, and after a resize."""
    screen = feed(screen_of(layer="fc", seconds=10), [5.0] * 20)
    before = line(screen)
    for _ in range(5):
        assert screen.scene is not None
        screen.show(replace(screen.scene, frame=Frame(picture(), 99, 99.0)))
    assert (line(screen) == before).all()
    screen.figure.set_size_inches(1000 / screen.figure.dpi, 640 / screen.figure.dpi)
    screen.draw()
    assert line(screen).any()


def test_while_frozen_nothing_is_added_and_the_number_is_that_of_the_moment() -> None:
    screen = feed(screen_of(layer="fc", seconds=10, range=[0, 100]), [50.0] * 60)
    before = line(screen)
    frozen = scene(screen, {"fc": torch.full((1, 30), 90.0)}, frame=Frame(picture(), 20, 2.0))
    screen.show(replace(frozen, status=replace(frozen.status, frozen=True)))
    assert (line(screen) == before).all()
    assert now(screen) == "90.0"
    feed(screen, [50.0] * 10, 60)
    assert np.flatnonzero(np.isfinite(rows(screen)))[0] < 0.4 * line(screen).shape[1]


def test_the_same_ticks_give_the_same_picture() -> None:
    one, other = (feed(screen_of(layer="fc", seconds=5), np.sin(np.arange(80))) for _ in range(2))
    assert (one.pixels() == other.pixels()).all()


def test_seconds_stand_below() -> None:
    screen = screen_of((1280, 720), seconds=30)
    assert still_texts(screen)[1:] == ["now", "-5 s", "-10 s", "-15 s", "-20 s", "-25 s", "-30 s"]


@every_size
def test_no_two_texts_overlap_and_none_leaves_the_card(size: tuple[int, int], grid: str) -> None:
    screen = screen_of(size, grid, layer="fc", title="Age over time", unit="years")
    for values in ([0.0], [1e-4, -2e-4] * 4, [12345.0, 7.0] * 4, [None] * 2):  # the clock starts anew each time
        assert_texts_apart(feed(screen, values), "it")


def test_a_number_has_no_percent_and_only_a_distribution_an_expected_value() -> None:
    numbers = replace(context(("left", "top")), reading="numbers")
    screen = feed_scores(panel("trace", about=numbers, of="top", seconds=10), [0.0, -25.0], 20)
    assert now(screen) == "-25.0"
    labels = replace(context(("1", "2")), reading="labels")
    with pytest.raises(FieldError, match="the scores of toy are labels, no distribution; kind scores shows them"):
        panel("trace", about=labels)
    with pytest.raises(FieldError, match="the scores of toy are labels, no distribution"):
        panel("distribution", about=labels)

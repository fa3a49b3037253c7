from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from livecnn.app.screen.figure import FigureView
from livecnn.drawing.theme import CLASSES, THEMES
from livecnn.engine.reducers import MaxReducer
from livecnn.networks.inspection.architecture import Architecture, Node
from livecnn.panels.base.targets import ClassTarget, TimePoint
from livecnn.selection import INPUT, OUTPUT, Selection
from livecnn.types import Frame, Reading
from tests.helpers.panel_screen import draw, every_size, feed, feed_scores, it, panel, still_texts, texts
from tests.helpers.scenes import DIGITS, SHAPES, activations, assert_texts_apart, context, labels, picture, scene

ACCENT, CARD = np.array(THEMES["dark"].accent), np.array(THEMES["dark"].card)
MANY = tuple(f"class {index}" for index in range(40))


def about(classes: tuple[str, ...] = DIGITS, shapes: Mapping[str, tuple[int, ...]] = SHAPES) -> Any:
    nodes = tuple(Node(name, "layer", (), tuple(shape[1:]), 0, None, None) for name, shape in shapes.items())
    known = Architecture("toy", (1, 8, 8), (*nodes, Node("scalar", "sum", (), (), 0, None, None)), 3, 0)
    return replace(context(classes, shapes), architecture=lambda: known)


def screen_of(
    size: tuple[int, int] = (800, 600), grid: str = "it", classes: tuple[str, ...] = DIGITS, **fields: Any
) -> FigureView:
    known = about(classes, {**SHAPES, "out": (1, len(classes))})
    return panel("timeline", size, grid=grid, about=known, **{"seconds": 10, **fields})


def attending(focus: Selection) -> FigureView:
    screen = screen_of()
    screen.attend(focus)
    return screen


def pixels(screen: FigureView) -> Any:
    """int (h, w, 3) of strip and line."""
    return it(screen).live[0].picture[:, :, :3].astype(int)


def strip(screen: FigureView) -> list[int | None]:
    """By column the class whose colour is in the middle of the strip; None: none's."""
    row = pixels(screen)[20]
    return [next((i for i, color in enumerate(CLASSES) if (pixel == color).all()), None) for pixel in row]


def line(screen: FigureView) -> Any:
    """By column the height of the line's middle, from the bottom as a share of the plot's; NaN where there is none."""
    plot = pixels(screen)
    seen = np.abs(plot[len(plot) * 54 // 100 :] - ACCENT).max(axis=2) < 40
    with np.errstate(invalid="ignore"):
        return 1 - (seen * np.arange(len(seen))[:, None]).sum(0) / seen.sum(0) / len(seen)


def places(screen: FigureView, ago: float) -> tuple[float, float]:
    """The middle of the strip's column so many seconds ago."""
    body = it(screen).body
    return body.x + round((1 - ago / 10) * (body.w - 1)), body.y + 20


def test_each_class_has_its_colour_and_its_name() -> None:
    screen = feed(screen_of(), [3] * 50 + [7] * 51)
    colors = strip(screen)
    half = len(colors) // 2
    assert set(colors[5 : half - 12]) == {3}
    assert set(colors[half + 12 : -3]) == {7}
    assert {"3", "7"} <= set(texts(screen))
    at = {label.text: label.x for label in labels(it(screen).live)}
    assert at["3"] < places(screen, 5)[0] < at["7"]


def test_shares_are_stacked_by_the_classes_numbers() -> None:
    plot = pixels(feed_scores(screen_of(), [0.25, 0, 0, 0, 0, 0.75, 0, 0, 0, 0]))
    column = plot[:, plot.shape[1] // 2 + 7]
    zero, five = ((column == CLASSES[index]).all(axis=1) for index in (0, 5))
    assert zero.sum() / five.sum() == pytest.approx(1 / 3, rel=0.05)
    assert np.flatnonzero(zero).min() > np.flatnonzero(five).max()


@pytest.mark.parametrize("lost", [False, True], ids=["an empty box", "a box elsewhere"])
def test_where_there_is_nothing_there_is_a_gap(lost: bool) -> None:
    screen = feed(screen_of(), [3] * 40)
    feed(screen, [3 if lost else None] * 20, 40, lost=lost)
    colors = strip(feed(screen, [3] * 41, 60))
    width = len(colors)
    assert set(colors[round(0.43 * width) : round(0.57 * width)]) == {None}
    assert set(colors[5 : round(0.36 * width)]) == set(colors[round(0.64 * width) : -3]) == {3}
    heights = line(screen)
    assert np.isnan(heights[round(0.43 * width) : round(0.57 * width)]).all()


def test_scores_that_are_no_numbers_are_a_gap() -> None:
    assert set(strip(feed_scores(screen_of(), np.full(10, np.nan), 60))) == {None}


def test_one_tick_is_a_stroke() -> None:
    assert set(strip(feed(screen_of(), [4]))[-2:]) <= {4, None}
    assert 4 in strip(feed(screen_of(), [4]))


def test_of_many_classes_the_strongest_have_colours_and_the_rest_is_others() -> None:
    screen = feed(screen_of((1280, 720), classes=MANY), [value for value in range(25, 33) for _ in range(12)])
    assert [word for word in texts(screen) if word.startswith("class")] == [f"class {value}" for value in range(32, 24, -1)]
    feed(screen, [39] * 4, 96)
    assert len({color for color in strip(screen) if color is not None}) == 8
    assert "others" in texts(feed_scores(screen_of((1280, 720), classes=MANY), np.full(40, 1 / 40)))


def test_a_class_keeps_its_colour_while_it_is_among_the_strongest() -> None:
    screen = feed(screen_of(classes=MANY), [20] * 30 + [30] * 30)
    before = strip(screen)[-5]
    feed(screen, [value for value in (1, 2, 3) for _ in range(3)] + [30] * 10, 60)
    assert strip(screen)[-5] == before


@pytest.mark.parametrize(
    ("focus", "name"),
    [
        (Selection("conv", 5), "conv 5"),
        (Selection("fc", 29), "fc 29"),
        (Selection(OUTPUT), "confidence"),
        (Selection(OUTPUT, target=4), "score of “4”"),
        (Selection(OUTPUT, target=10), "confidence"),
    ],
)
def test_the_line_is_of_what_is_selected(focus: Selection, name: str) -> None:
    screen = attending(focus)
    feed(screen, [4] * 101)
    heights = line(screen)
    assert name in texts(screen)
    assert np.nanstd(heights) < 0.02
    assert ("100 %" if focus.layer == OUTPUT else "4.0") in texts(screen)
    assert np.nanmean(heights) == pytest.approx(1 if focus.layer == OUTPUT else 0.5, abs=0.15)


def test_the_largest_value_of_a_map_counts() -> None:
    reducer = MaxReducer("conv", 2)
    given = torch.arange(36.0).reshape(1, 4, 3, 3)
    assert reducer(given) == ("conv", 2, 26)
    reducer.index = 3
    assert reducer(given.bfloat16()) == ("conv", 3, 35)
    assert reducer(torch.tensor([[1.0, 2, 3, 4]])) == ("conv", 3, 4)


def test_another_unit_begins_a_new_line() -> None:
    screen = attending(Selection("fc", 1))
    feed(screen, [9] * 50)
    first = screen.reducers["it"]
    screen.attend(Selection("fc", 2))
    assert screen.reducers["it"] is first  # of the same layer: the hooks stay
    assert first.settings == 2
    assert np.isnan(line(feed(screen, [3], 50))[5:-60]).all()
    screen.attend(Selection("conv", 2))
    assert screen.reducers["it"] is not first
    assert screen.reducers["it"].layer == "conv"


def test_a_view_of_the_unit_before_is_not_taken() -> None:
    screen = attending(Selection("fc", 1))
    late = scene(screen, {"fc": torch.full((1, 30), 7.0)}, np.eye(10)[0])
    screen.attend(Selection("fc", 2))
    screen.show(late)
    assert "7.0" not in texts(screen)


def test_what_is_hovered_changes_nothing() -> None:
    screen = attending(Selection("fc", 1))
    feed(screen, [9] * 50)
    before = pixels(screen)
    screen.attend(replace(screen.focus, hover=ClassTarget(1)))  # type: ignore[arg-type]
    screen.show(screen.scene)  # type: ignore[arg-type]
    assert (pixels(screen) == before).all()


@pytest.mark.parametrize(
    "focus", [Selection(INPUT), Selection("unheard of"), Selection("scalar"), Selection("fc", 30)], ids=lambda f: f.layer
)
def test_where_there_is_no_unit_the_strip_has_all_the_room(focus: Selection) -> None:
    screen = attending(focus)
    assert not screen.reducers
    feed(screen, [6] * 101)
    assert (pixels(screen)[-5, 20:-20] == CLASSES[6]).all(axis=1).mean() > 0.99


def test_while_frozen_nothing_is_added_and_a_line_marks_the_moment() -> None:
    screen = feed(screen_of(), [3] * 50 + [7] * 51)
    before = strip(screen)
    assert "last 10 s" in texts(screen)
    feed(screen, [5], 60, frozen=True)  # the frame of 4 seconds ago, shown once more
    feed(screen, [5], 60, frozen=True)
    after = strip(screen)
    changed = [column for column, (one, other) in enumerate(zip(before, after, strict=True)) if one != other]
    assert changed == list(range(changed[0], changed[-1] + 1))
    assert len(changed) < 10
    assert np.mean(changed) == pytest.approx(0.6 * len(after), abs=3)
    assert (pixels(screen)[20] == ACCENT).all(axis=1).any()
    assert "4.0 s ago" in texts(screen)
    feed(screen, [7], 101)
    assert "last 10 s" in texts(screen)
    assert not (pixels(screen)[20] == ACCENT).all(axis=1).any()
    assert set(strip(screen)[5:-3]) - {3, 7, None} == set()
    assert strip(screen)[30] == 3


def test_frozen_at_the_newest_and_before_anything_was_seen() -> None:
    screen = feed(screen_of(), [3] * 50)
    feed(screen, [3], 49, frozen=True)
    assert "now" in texts(screen)
    fresh = feed(screen_of(), [3], 49, frozen=True)
    assert set(strip(fresh)) == {None}
    assert fresh.point(*places(fresh, 5)) is None


def test_a_moment_under_the_mouse() -> None:
    screen = feed(screen_of(), [3] * 50 + [7] * 51)
    target = screen.point(*places(screen, 7.5))
    assert isinstance(target, TimePoint)
    assert target.time == pytest.approx(2.5, abs=0.02)
    assert screen.tooltip.tip.lines == ("7.5 s ago · 3, 100 %",)
    assert screen.tooltip.tip.about.x == places(screen, 7.5)[0]
    feed(screen, [7] * 5, 101)
    assert screen.tooltip.tip.lines == ("8.0 s ago · 3, 100 %",)
    feed(screen, [7] * 30, 106)
    assert screen.tooltip.tip is None  # it has gone
    assert screen.point(2, 2) is None


def test_a_moment_without_a_prediction() -> None:
    screen = feed(screen_of(), [3] * 40 + [None] * 30 + [3] * 31)
    screen.point(*places(screen, 4.5))
    assert screen.tooltip.tip.lines == ("4.5 s ago",)
    assert it(screen).tip(ClassTarget(3)) is None


def test_seconds_stand_below() -> None:
    screen = feed(screen_of((1280, 720), seconds=30), [3])
    assert still_texts(screen) == ["Timeline", "now", "-5 s", "-10 s", "-15 s", "-20 s", "-25 s", "-30 s"]


def test_the_same_ticks_give_the_same_picture() -> None:
    one, other = (feed(screen_of(), [value % 10 for value in range(120)]) for _ in range(2))
    assert (one.pixels() == other.pixels()).all()


@every_size
@pytest.mark.parametrize("layer", ["fc", OUTPUT, "a_layer_with_a_name_of_more_than_ordinary_length_2"])
def test_no_two_texts_overlap_and_none_leaves_the_card(size: tuple[int, int], grid: str, layer: str) -> None:
    known = about(tuple(f"a long name of the class {index}" for index in range(40)), {**SHAPES, layer: (1, 30), "out": (1, 40)})
    screen = panel("timeline", size, grid=grid, about=known, seconds=5)
    screen.attend(Selection(layer, 12))
    feed(screen, [value // 6 for value in range(45)])
    assert_texts_apart(screen, "it")
    feed(screen, [3], 20, frozen=True)
    assert_texts_apart(screen, "it")


def test_values_of_any_size() -> None:
    screen = screen_of((400, 300))
    screen.attend(Selection("fc", 1))
    for seq, value in enumerate([0.0, -1e6, 1e-6, 3e8, float("inf"), float("nan")]):
        layers = {**activations(), "fc": torch.full((1, 30), value)}
        assert_texts_apart(draw(screen, layers, frame=Frame(picture(), seq, float(seq))), "it")


def lines_of(reading: Reading, scores: list[float]) -> tuple[FigureView, list[float]]:
    """By class, where its line is in the strip, from the bottom as a share of its height."""
    names = ("person", "dog", "outdoors")
    known = replace(about(names, {**SHAPES, "out": (1, 3)}), reading=reading)
    screen = feed_scores(panel("timeline", about=known, seconds=10), scores)
    plot = pixels(screen)[: it(screen)._parts()[0].h, -200:-20]
    return screen, [1 - np.nonzero(np.abs(plot - CLASSES[i]).max(axis=2) < 60)[0].mean() / (len(plot) - 1) for i in range(3)]


def test_labels_are_lines_between_nothing_and_a_hundred_percent() -> None:
    screen, heights = lines_of("labels", [0.9, 0.8, 0.1])
    assert heights == pytest.approx([0.9, 0.8, 0.1], abs=0.02)
    assert {"person", "outdoors"} <= set(texts(screen))
    screen.attend(Selection(OUTPUT))
    feed_scores(screen, [0.9, 0.8, 0.1], 101)
    assert {"confidence", "90.0 %", "0 to 100 %"} <= set(texts(screen))


def test_numbers_are_lines_on_a_scale_that_holds_them() -> None:
    screen, heights = lines_of("numbers", [-20.0, 0.0, 20.0])
    assert heights == pytest.approx([0, 0.5, 1], abs=0.03)
    screen.attend(Selection(OUTPUT, target=2))
    feed_scores(screen, [-20.0, 0.0, 20.0], 101)
    assert "20.0" in texts(screen)
    assert not any("%" in text for text in texts(screen))

"""What is to be seen of a strip."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from livecnn.drawing.theme import THEMES, Color, Metrics
from livecnn.panels.strip.flowchart import flowchart, initially_unfolded
from livecnn.panels.strip.strip_layout import Strip, lay_out
from livecnn.panels.strip.strip_painter import StripState, draw_strip
from livecnn.types import Image
from tests.helpers.architectures import NETS, chain, real
from tests.panels.strip.test_strip_layout import STRIP, branched, strip_of

DARK = THEMES["dark"]
PLAIN = StripState()


def seen(strip: Strip, state: StripState = PLAIN, size: tuple[int, int] = STRIP, scale: float = 1.0) -> Image:
    return draw_strip(strip, state, *size, DARK, Metrics(scale))


def part(image: Image, strip: Strip, name: str) -> Image:
    x, y, w, h = strip.rects[name]
    return image[y : y + h, x : x + w]


def has(image: Image, color: Color) -> bool:
    return bool((image == color).all(axis=2).any())


def changed(image: Image, other: Image) -> np.ndarray[Any, Any]:
    different: np.ndarray[Any, Any] = (image != other).any(axis=2)
    return different


def test_the_current_box_and_no_other_has_the_accent() -> None:
    strip = strip_of("lenet")
    image = seen(strip, StripState(current="conv2"))
    assert has(part(image, strip, "conv2"), DARK.accent)
    assert [name for name in strip.rects if has(part(image, strip, name), DARK.accent)] == ["conv2"]


def test_hovering_changes_the_box_and_its_links() -> None:
    strip = strip_of("lenet")
    difference = changed(seen(strip), seen(strip, StripState(hovered="ip1")))
    x, _, w, _ = strip.rects["ip1"]
    columns = np.flatnonzero(difference.any(axis=0))
    left, right = strip.rects["pool2"], strip.rects["relu1"]
    assert left.x + left.w <= columns[0] < x
    assert x + w < columns[-1] < right.x


def test_marks_are_bars_as_long_as_their_shares() -> None:
    strip = strip_of("lenet")
    box = part(seen(strip, StripState(counts={"conv1": (10, 5, 5)})), strip, "conv1")
    good, bad = ((box == color).all(axis=2).any(axis=0).sum() for color in (DARK.good, DARK.bad))
    assert good == pytest.approx(2 * bad, abs=2)
    assert good + bad == pytest.approx(0.75 * (box.shape[1] - 16), abs=2)
    assert not has(part(seen(strip, StripState(counts={"conv1": (0, 0, 20)})), strip, "conv1"), DARK.good)
    nothing = seen(strip, StripState(counts={"conv1": (0, 0, 0)}))
    assert not has(part(nothing, strip, "conv1"), DARK.bad)


@pytest.mark.parametrize("lanes", [1, 2, 4])
def test_marks_leave_the_letters_readable(lanes: int) -> None:
    strip = branched(lanes)
    plain, marked = (part(seen(strip, StripState(counts=counts)), strip, "branch0") for counts in ({}, {"branch0": (1, 1, 0)}))
    bar = (marked == DARK.good).all(axis=2).any(axis=1)
    assert bar.any()
    letters = (plain == DARK.text).all(axis=2).any(axis=1)
    assert np.flatnonzero(bar)[0] > np.flatnonzero(letters)[0] + strip.bands.letters.name // 2


def test_boxes_with_muted_units_have_a_dot() -> None:
    strip = strip_of("lenet")
    assert has(part(seen(strip, StripState(muted=frozenset(("ip1",)))), strip, "ip1"), DARK.bad)
    assert not has(seen(strip), DARK.bad)


def test_a_folded_group_lies_on_others() -> None:
    strip = strip_of("resnet18")
    x, y, w, _ = strip.rects["layer1"]
    image = seen(strip)
    above = changed(image, np.broadcast_to(np.array(DARK.card, np.uint8), image.shape))[y - 3 : y, x + 12 : x + w - 4]
    assert above.any(axis=0).all()


def test_unfolded_groups_have_a_bracket() -> None:
    strip = strip_of("resnet18", "layer1")
    image, ((_, rect),) = seen(strip), strip.brackets
    bracket = image[rect.y, rect.x : rect.x + rect.w]
    assert (bracket == bracket[0]).all()
    assert tuple(bracket[0]) != DARK.card
    assert tuple(image[rect.y, rect.x - 2]) == DARK.card


def test_more_to_the_left_or_right_is_told_by_an_arrow_and_a_fading_edge() -> None:
    strip = lay_out(flowchart(chain(20)), 400, 66, Metrics(1.0))
    end = strip.width - 400
    for x, left, right in ((0, False, True), (end // 2, True, True), (end, True, False)):
        image = seen(strip, StripState(x=x), (400, 66))
        assert has(image[:, :30], DARK.text) == left or not left
        level = round(strip.level(0))
        assert (tuple(image[level - 20, 0]) == DARK.card) or not left
        arrows = [has(edge[level - 6 : level + 12], DARK.text) for edge in (image[:, 5:16], image[:, -16:-5])]
        assert arrows[0] >= left
        assert arrows[1] >= right


def test_scrolling_shows_the_same_further_on() -> None:
    strip = lay_out(flowchart(chain(20)), 400, 66, Metrics(1.0))
    first, second = seen(strip, StripState(x=100), (400, 66)), seen(strip, StripState(x=160), (400, 66))
    assert (first[:, 60 + 40 : 360] == second[:, 40:300]).all()


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("size", [(1, 1), (30, 4), (90, 20), (300, 62), (1232, 66), (3700, 200)], ids=str)
def test_any_size(name: str, size: tuple[int, int]) -> None:
    architecture, metrics = real(name), Metrics(max(0.72, size[1] / 66))
    strip = lay_out(flowchart(architecture, initially_unfolded(architecture)), *size, metrics)
    state = StripState(x=strip.within(40, size[0]), current="", counts=dict.fromkeys(strip.rects, (1, 2, 3)))
    for theme in THEMES.values():
        image = draw_strip(strip, replace(state, muted=frozenset(strip.rects)), *size, theme, metrics)
        assert image.shape == (size[1], size[0], 3)
        assert image.dtype == np.uint8


def test_the_input_of_a_network_that_branches_at_once_shows_its_links() -> None:
    strip = branched(2)
    below = round(strip.level(1))
    image, (x, _, w, _) = seen(strip), strip.rects[""]
    gap = image[below, x + w : strip.rects["branch1"].x]
    assert (gap != DARK.card).any()


def test_sizes_stand_over_the_links_where_lanes_are_high_enough() -> None:
    strip = strip_of("lenet")
    image = seen(strip)
    for start, end in pairwise(strip.rects.values()):
        over = image[: start.y, start.x + start.w : end.x]
        assert (over != DARK.card).any()

"""Where boxes stand in pixels, at any size and for any network."""

from itertools import combinations, pairwise

import pytest

from livecnn.drawing.artists import text_width
from livecnn.drawing.theme import Metrics
from livecnn.panels.strip.flowchart import INPUT, OUTPUT, ChartBox, flowchart, initially_unfolded
from livecnn.panels.strip.strip_layout import Strip, fitting_name, lay_out, names, straight_links
from tests.helpers.architectures import NETS, chain, drawn, node, real
from tests.helpers.scenes import overlap

FIGURES = [(320, 240), (800, 600), (1280, 720), (1920, 1080), (3840, 2160)]
STRIP = 1232, 66  # the room for it in a figure of 1280x720


def strip_of(name: str, *unfolded: str, size: tuple[int, int] = STRIP, figure: tuple[int, int] = (1280, 720)) -> Strip:
    architecture = real(name)
    return lay_out(flowchart(architecture, frozenset(unfolded) or initially_unfolded(architecture)), *size, Metrics.of(*figure))


def branched(lanes: int) -> Strip:
    heads = [node(f"branch{i}", "") for i in range(lanes)]
    chart = flowchart(drawn([*heads, node("cat", *(head.name for head in heads), kind="cat")]))
    return lay_out(chart, *STRIP, Metrics(1.0))


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("figure", FIGURES, ids=str)
def test_boxes_stand_apart_and_inside(name: str, figure: tuple[int, int]) -> None:
    metrics = Metrics.of(*figure)
    strip = strip_of(name, size=(figure[0] - 4 * metrics.pad, metrics.px(66)), figure=figure)
    for one, other in combinations(strip.rects.values(), 2):
        assert not overlap(one, other)
    assert all(rect.x >= 0 and rect.x + rect.w <= strip.width for rect in strip.rects.values())
    assert all(rect.y >= 0 and rect.y + rect.h <= strip.height for rect in strip.rects.values())


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("figure", FIGURES, ids=str)
def test_sizes_over_links_do_not_meet(name: str, figure: tuple[int, int]) -> None:
    strip = strip_of(name, size=(300, Metrics.of(*figure).px(66)), figure=figure)
    boxes = {box.name: box for box in strip.chart.boxes}
    assert strip.bands.sized or (name == "xception" and figure[0] < 1280)
    for lane in range(strip.chart.lanes):
        spans = []
        for link in straight_links(strip.chart.links, boxes):
            start, end = strip.rects[link.start], strip.rects[link.end]
            if boxes[link.start].lane == lane and boxes[link.end].column == boxes[link.start].column + 1:
                middle, half = (start.x + start.w + end.x) / 2, text_width(link.size, strip.bands.letters.size) / 2
                spans.append((middle - half, middle + half))
        assert all(left[1] < right[0] for left, right in pairwise(spans))


def test_few_layers_fill_the_width() -> None:
    strip = strip_of("lenet")
    first, last = strip.rects[INPUT], strip.rects[OUTPUT]
    assert (strip.width, strip.height) == STRIP
    assert first.x < 20
    assert last.x + last.w > STRIP[0] - 20
    assert strip.bands.lined
    assert strip.bands.sized


def test_many_are_as_wide_as_they_have_to_be() -> None:
    strip = lay_out(flowchart(chain(20)), *STRIP, Metrics(1.0))
    assert strip.width > STRIP[0]
    assert all(rect.w >= 54 for rect in strip.rects.values())


def test_low_lanes_have_one_line_and_small_letters_and_too_many_more_height() -> None:
    assert [branched(count).bands.lined for count in (1, 2, 4)] == [True, False, False]
    assert [branched(count).bands.sized for count in (1, 2, 4)] == [True, True, False]
    four, nine = branched(4), branched(9)
    assert four.bands.letters.name < branched(1).bands.letters.name
    assert four.height == STRIP[1]
    assert nine.height > STRIP[1]
    assert nine.bands.height >= nine.bands.letters.name


def test_lanes_of_links_alone_are_low() -> None:
    strip = strip_of("resnet18", "layer1", "layer1.0")
    assert strip.chart.lanes == 2
    assert strip.bands.lined
    assert strip.level(1) > strip.rects["layer1.0.conv1"].y + strip.rects["layer1.0.conv1"].h


def test_what_lies_at_a_pixel() -> None:
    strip = strip_of("resnet18", "layer1")
    x, y, w, h = strip.rects["layer1.1"]
    found = strip.box_at(x, y), strip.box_at(x + w - 1, y + h - 1)
    assert [box and box.name for box in found] == ["layer1.1", "layer1.1"]
    assert strip.box_at(x + w + 1, y) is None
    ((name, bracket),) = strip.brackets
    assert name == "layer1"
    assert (bracket.x, bracket.x + bracket.w) == (strip.rects["layer1.0"].x, x + w)
    assert strip.group_at(x, bracket.y) == "layer1"
    assert strip.group_at(x, y) == ""
    assert strip.group_at(2, bracket.y) == ""


def test_a_window_moves_as_little_as_it_has_to() -> None:
    strip = lay_out(flowchart(chain(20)), 400, 66, Metrics(1.0))
    rect = strip.rects["n10"]
    from_left, from_right = strip.towards("n10", 0, 400), strip.towards("n10", strip.width, 400)
    assert from_left < rect.x < rect.x + rect.w < from_left + 400
    assert from_right < rect.x < rect.x + rect.w < from_right + 400
    assert from_left < from_right
    assert strip.towards("n10", from_left, 400) == from_left
    assert strip.towards(INPUT, 700, 400) == 0
    assert strip.towards(OUTPUT, 0, 400) == strip.width - 400
    assert strip.within(-5, 400) == 0


def box(label: str) -> ChartBox:
    return ChartBox(label, "layer", label, "conv", (label,))


@pytest.mark.parametrize(
    ("label", "wordings"),
    [
        ("conv1", ["conv1"]),
        ("layer1.0.conv1", ["layer1.0.conv1", "conv1"]),
        ("layer2.0.downsample.0", ["layer2.0.downsample.0", "downsample.0"]),
        ("inception_3a/3x3_reduce", ["inception_3a/3x3_reduce", "3x3_reduce"]),
        ("features.12", ["features.12"]),
        ("block 3.1", ["block 3.1"]),
        ("block.conv:2", ["block.conv:2", "conv:2"]),
        ("odd.", ["odd."]),
    ],
)
def test_names_get_shorter_from_the_left(label: str, wordings: list[str]) -> None:
    assert names(box(label)) == wordings


def test_the_longest_name_that_fits() -> None:
    long = box("layer1.0.conv1")
    assert fitting_name(long, 500, 13) == "layer1.0.conv1"
    assert fitting_name(long, text_width("conv1", 13, "bold"), 13) == "conv1"
    assert fitting_name(long, text_width("con…", 13, "bold"), 13) == "con…"
    assert fitting_name(long, 0, 13) == ""

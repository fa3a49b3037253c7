from collections.abc import Callable
from dataclasses import replace
from itertools import combinations, pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from livecnn.app.screen.figure import FigureView
from livecnn.drawing.artists import text_width
from livecnn.drawing.theme import THEMES, Color, Metrics
from livecnn.geometry import Rect
from livecnn.networks.inspection.architecture import Architecture
from livecnn.panels.architecture import (
    ArchitectureDrawer,
    ArchitecturePanel,
    Strip,
    StripState,
    draw_strip,
    fitting_name,
    lay_out,
    names,
    straight_links,
)
from livecnn.panels.base.session import Session
from livecnn.panels.base.targets import GroupTarget, LayerTarget
from livecnn.panels.strip.flowchart import INPUT, OUTPUT, ChartBox, flowchart, initially_unfolded
from livecnn.selection import Selection
from livecnn.types import Image
from tests.helpers.architectures import NETS, chain, drawn, node, real
from tests.helpers.panel_screen import draw, every_size, it, panel
from tests.helpers.scenes import assert_texts_apart, context, overlap, scene

ROOM, NARROW = Rect(24, 90, 1232, 66), Rect(0, 0, 400, 66)
FIGURES = [(320, 240), (800, 600), (1280, 720), (1920, 1080), (3840, 2160)]
STRIP = 1232, 66  # the room for it in a figure of 1280x720
DARK = THEMES["dark"]
PLAIN = StripState()
Counted = Callable[[str, int], tuple[int, int, int]]


def shown(name: str = "lenet", size: tuple[int, int] = (1280, 240), grid: str = "it", **fields: str) -> FigureView:
    about = replace(context(), architecture=lambda: real(name))
    return draw(panel("architecture", size, grid=grid, about=about, **fields))


def view_of(architecture: Architecture | str, room: Rect = ROOM, counts: Counted | None = None) -> ArchitectureDrawer:
    """A drawer whose strip has that room in a figure."""
    session = Session(annotations=counts and SimpleNamespace(counts=counts))  # type: ignore[arg-type]
    found = real(architecture) if isinstance(architecture, str) else architecture
    view = ArchitectureDrawer(ArchitecturePanel(), "it", replace(context(), architecture=lambda: found, session=session))
    view.body = room
    view.arrange(room, Metrics(1.0))
    return view


def image(view: ArchitectureDrawer) -> Image:
    view.show(None)  # type: ignore[arg-type]
    return view._picture.picture[:, :, :3]  # type: ignore[index]


def attend(view: ArchitectureDrawer, layer: str, *muted: str) -> None:
    view.context.session.muted.set([(name, 0) for name in muted])
    view.set_selection(Selection(layer))


def scroll(view: ArchitectureDrawer, steps: float) -> bool:
    """Towards the output."""
    return view.scroll(view.body.x, view.body.y, -steps)


def told(view: ArchitectureDrawer, name: str) -> list[str]:
    view.show(None)  # type: ignore[arg-type]
    tip = view.tip(LayerTarget(name))
    return [] if tip is None else list(tip.lines)


def place_of(view: ArchitectureDrawer, name: str) -> Rect:
    tip = view.tip(LayerTarget(name))
    assert tip is not None
    assert tip.about != view.body
    return tip.about


def inside(rect: Rect, room: Rect = ROOM) -> bool:
    return room.x <= rect.x and rect.x + rect.w <= room.x + room.w


def centre(view: ArchitectureDrawer, name: str) -> tuple[float, float]:
    rect = place_of(view, name)
    return rect.x + rect.w / 2, rect.y + rect.h / 2


def test_the_heading_names_the_network_and_counts_its_layers_and_parameters() -> None:
    drawer = it(shown())
    assert (drawer.heading.text, drawer.caption.text) == ("lenet · 8 layers", "431,080 parameters")
    assert it(shown(title="Mine")).heading.text == "Mine"


@every_size
@pytest.mark.parametrize("name", ["lenet", "resnet18"])
def test_no_two_texts_overlap_and_none_leaves_the_card(size: tuple[int, int], grid: str, name: str) -> None:
    assert_texts_apart(shown(name, size, grid=grid), "it")


def test_what_the_mouse_is_over_is_drawn_otherwise() -> None:
    screen = shown()
    before = screen.pixels()
    assert screen.point(*centre(it(screen), "conv2")) == LayerTarget("conv2")
    screen.show(scene(screen))
    screen.draw()
    assert (screen.pixels() != before).any()
    screen.point(0, 0)
    assert (draw(screen).pixels() == before).all()


def test_nothing_is_drawn_again_while_nothing_changes() -> None:
    counted = {"good": 0}
    view = view_of("lenet", counts=lambda _layer, units: (counted["good"], 0, units - counted["good"]))
    attend(view, "conv1")
    assert image(view).shape == (66, 1232, 3)
    kept = view._picture.picture
    attend(view, "conv1")
    view.hover(None)
    image(view)
    assert view._picture.picture is kept
    changes: list[Callable[[], object]] = [
        lambda: attend(view, "conv2"),
        lambda: view.hover(LayerTarget("ip1")),
        lambda: attend(view, "conv2", "ip1"),
        lambda: counted.update(good=3),
        lambda: view.hover(None),
    ]
    for change in changes:
        before = image(view)
        change()
        assert (image(view) != before).any()
        kept = view._picture.picture
        image(view)
        assert view._picture.picture is kept


def test_what_is_at_a_pixel_of_the_figure() -> None:
    view = view_of("resnet18")
    for target in (LayerTarget(INPUT), LayerTarget("conv1"), LayerTarget(OUTPUT), GroupTarget("layer1")):
        assert view.target_at(*centre(view, target.name)) == target
    assert view.target_at(centre(view, "conv1")[0], ROOM.y - 1) is None
    assert view.tip(LayerTarget("nothing")) is None


def test_the_current_layer_comes_into_view() -> None:
    view = view_of(chain(20), NARROW)
    for layer in ("n15", "n3", OUTPUT, INPUT):
        attend(view, layer)
        assert inside(place_of(view, layer), NARROW)
    attend(view, "nothing")
    assert inside(place_of(view, INPUT), NARROW)


def test_scrolling_ends_where_the_strip_does_and_stays_while_the_layer_does() -> None:
    view = view_of(chain(20), NARROW)
    assert not scroll(view, -1)
    assert not view.scroll(0, NARROW.h + 1, -1)  # beside the strip
    assert scroll(view, 2)
    before = place_of(view, "n5")
    attend(view, "")
    view.hover(LayerTarget("n5"))
    assert place_of(view, "n5") == before
    assert [scroll(view, 1) for _ in range(40)][-1] is False
    assert inside(place_of(view, OUTPUT), NARROW)


def test_a_click_unfolds_a_group_and_its_bracket_folds_it() -> None:
    view = view_of("resnet18")
    view.fold("layer1")
    assert view._unfolded == {"layer1"}
    assert inside(place_of(view, "layer1.0"))
    assert view.target_at(centre(view, "layer1.0")[0], ROOM.y + ROOM.h - 2) == GroupTarget("layer1")
    assert told(view, "layer1") == ["layer1: unfolded"]
    view.fold("layer1")
    assert view._unfolded == frozenset()
    assert inside(place_of(view, "layer1"))


def test_the_group_of_the_current_layer_unfolds_and_folds_again() -> None:
    view = view_of("resnet18")
    seen = []
    for _ in range(4):
        view.fold("layer1.0.conv2")
        seen.append(view._unfolded)
    assert seen == [{"layer1"}, {"layer1", "layer1.0"}, {"layer1"}, {"layer1", "layer1.0"}]
    view.fold("conv1")
    view.fold("nothing")
    assert view._unfolded == seen[-1]


def test_what_is_told_of_boxes() -> None:
    view = view_of("lenet", counts=lambda layer, units: (2, 1, units - 3) if layer == "conv2" else (0, 0, units))
    assert told(view, "conv2") == [
        "conv2", "conv 5×5 (Conv2d)", "output 8×8×50", "25,050 parameters", "kernel 5×5, stride 1, padding 0",
        "sees 14×14 pixels", "2 good, 1 bad, 47 unmarked",
    ]  # fmt: skip
    assert told(view, "pool1")[-1] == "sees 6×6 pixels"
    assert told(view, INPUT) == ["input", "28×28×1"]
    assert told(view, OUTPUT) == ["output", "10"]
    assert told(view, "flatten") == told(view, "pool2")


def test_what_is_told_of_a_group_is_that_of_all_its_layers() -> None:
    view = view_of("vgg16", counts=lambda _layer, units: (1, 2, units - 3))
    group = ["block 1", "5 layers", "output 112×112×64", "38,720 parameters", "2 good, 4 bad, 122 unmarked"]
    assert told(view, "features.2") == told(view, "features block 1") == group
    assert told(view, "features") == ["features: unfolded"]


def test_a_layer_of_a_folded_group_shows_as_the_group() -> None:
    view = view_of("vgg16")
    plain = image(view)
    view.hover(LayerTarget("features.2"))
    hovered = image(view)
    assert (hovered != plain).any()
    view.hover(GroupTarget("features block 1"))
    assert (image(view) == hovered).all()
    view.hover(None)
    attend(view, "", "features.0", "nothing")
    x, y, w, h = place_of(view, "features block 1")
    rows, columns = np.nonzero((image(view) != plain).any(axis=2))
    assert len(rows)
    assert ((columns + ROOM.x >= x) & (columns + ROOM.x < x + w)).all()
    assert ((rows + ROOM.y >= y) & (rows + ROOM.y < y + h)).all()


@pytest.mark.parametrize("lane", [0, 4, 8])
def test_of_more_lanes_than_fit_that_of_the_current_layer_shows(lane: int) -> None:
    view = view_of(branches(9))
    attend(view, f"branch{lane}")
    rect = place_of(view, f"branch{lane}")
    assert ROOM.y <= rect.y
    assert rect.y + rect.h <= ROOM.y + ROOM.h


def test_what_is_folded_or_unfolded_comes_into_view() -> None:
    view = view_of(chain(700), NARROW)
    scroll(view, 99)
    view.fold("block 9")
    assert inside(place_of(view, "block 9.1"), NARROW)
    attend(view, "")
    scroll(view, 99)
    view.fold("block 9")
    assert inside(place_of(view, "block 9"), NARROW)


def branches(lanes: int) -> Architecture:
    heads = [node(f"branch{i}", "") for i in range(lanes)]
    return drawn([*heads, node("cat", *(head.name for head in heads), kind="cat")])


def strip_of(name: str, *unfolded: str, size: tuple[int, int] = STRIP, figure: tuple[int, int] = (1280, 720)) -> Strip:
    architecture = real(name)
    return lay_out(flowchart(architecture, frozenset(unfolded) or initially_unfolded(architecture)), *size, Metrics.of(*figure))


def branched(lanes: int) -> Strip:
    return lay_out(flowchart(branches(lanes)), *STRIP, Metrics(1.0))


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("figure", FIGURES, ids=str)
def test_boxes_stand_apart_and_inside(name: str, figure: tuple[int, int]) -> None:
    metrics = Metrics.of(*figure)
    strip = strip_of(name, size=(figure[0] - 4 * metrics.pad, metrics.px(66)), figure=figure)
    for one, other in combinations(strip.rects.values(), 2):
        assert not overlap(one, other)
    assert all(rect.x >= 0 and rect.x + rect.w <= strip.width for rect in strip.rects.values())
    assert all(rect.y >= 0 and rect.y + rect.h <= strip.bands.whole for rect in strip.rects.values())


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
    assert (strip.width, strip.bands.whole) == STRIP
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
    assert four.bands.whole == STRIP[1]
    assert nine.bands.whole > STRIP[1]
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

"""Folding, scrolling, pointing: the strip in the hands of a user."""

from collections.abc import Callable

import numpy as np
import pytest

from livecnn.drawing.theme import THEMES, Metrics
from livecnn.geometry import Rect
from livecnn.panels.strip.flowchart import INPUT, OUTPUT
from livecnn.panels.strip.strip import StripView
from tests.helpers.architectures import chain, drawn, node, real

ROOM = Rect(24, 90, 1232, 66)


def view_of(name: str, room: Rect = ROOM) -> StripView:
    view = StripView(real(name) if name in ("lenet", "resnet18", "vgg16") else chain(20), THEMES["dark"])
    view.lay_out(room, Metrics(1.0))
    return view


def inside(rect: Rect | None, room: Rect = ROOM) -> bool:
    return rect is not None and room.x <= rect.x and rect.x + rect.w <= room.x + room.w


def centre(view: StripView, name: str) -> tuple[float, float]:
    rect = view.place_of(name)
    assert rect is not None
    return rect.x + rect.w / 2, rect.y + rect.h / 2


def test_nothing_is_drawn_again_while_nothing_changes() -> None:
    view = view_of("lenet")
    view.attend("conv1")
    first = view.image()
    assert first.shape == (66, 1232, 3)
    view.attend("conv1", frozenset())
    view.hover(None)
    view.count(lambda _layer, units: (0, 0, units))
    counted = view.image()
    view.count(lambda _layer, units: (0, 0, units))
    assert view.image() is counted
    changes: list[Callable[[], None]] = [
        lambda: view.attend("conv2"),
        lambda: view.hover("ip1"),
        lambda: view.attend("conv2", ("ip1",)),
        lambda: view.count(lambda _layer, units: (3, 0, units - 3)),
        lambda: view.hover(None),
    ]
    for change in changes:
        before = view.image()
        change()
        assert (view.image() != before).any()
        assert view.image() is view.image()


def test_what_is_at_a_pixel_of_the_figure() -> None:
    view = view_of("lenet")
    for name in (INPUT, "conv1", "prob", OUTPUT):
        box = view.box_at(*centre(view, name))
        assert box is not None
        assert box.name == name
    x, _ = centre(view, "conv1")
    assert view.box_at(x, ROOM.y - 1) is None
    assert view.group_at(x, ROOM.y - 1) == ""
    assert view.place_of("nothing") is None


def test_the_current_layer_comes_into_view() -> None:
    view = view_of("chain", Rect(10, 0, 400, 66))
    for layer in ("n15", "n3", OUTPUT, INPUT):
        view.attend(layer)
        assert inside(view.place_of(layer), Rect(10, 0, 400, 66))
    view.attend("nothing")
    assert inside(view.place_of(INPUT), Rect(10, 0, 400, 66))


def test_scrolling_ends_where_the_strip_does_and_stays_while_the_layer_does() -> None:
    room = Rect(0, 0, 400, 66)
    view = view_of("chain", room)
    assert not view.scroll(-1)
    assert view.scroll(2)
    before = view.place_of("n5")
    view.attend("")
    view.hover("n5")
    assert view.place_of("n5") == before
    assert [view.scroll(1) for _ in range(40)][-1] is False
    assert inside(view.place_of(OUTPUT), room)


def test_a_click_unfolds_a_group_and_its_bracket_folds_it() -> None:
    view = view_of("resnet18")
    box = view.box_at(*centre(view, "layer2"))
    assert box is not None
    assert box.kind == "group"
    view.fold(box.name)
    assert view.unfolded == {"layer2"}
    assert inside(view.place_of("layer2.0"))
    x, _ = centre(view, "layer2.0")
    assert view.group_at(x, ROOM.y + ROOM.h - 2) == "layer2"
    view.fold("layer2")
    assert view.unfolded == frozenset()
    assert inside(view.place_of("layer2"))


def test_the_group_of_the_current_layer_unfolds_and_folds_again() -> None:
    view = view_of("resnet18")
    seen = []
    for _ in range(4):
        view.fold_at("layer1.0.conv2")
        seen.append(view.unfolded)
    assert seen == [{"layer1"}, {"layer1", "layer1.0"}, {"layer1"}, {"layer1", "layer1.0"}]
    view.fold_at("conv1")
    view.fold_at("nothing")
    assert view.unfolded == seen[-1]


def test_a_group_whose_own_layers_are_all_folded_can_be_folded() -> None:
    view = view_of("resnet18")
    view.attend("fc")
    view.fold("layer1")
    view.fold("layer1.0")
    view.fold("layer1.1")
    view.fold("layer1")
    assert view.place_of("layer1") is not None


def test_what_is_told_of_boxes() -> None:
    view = view_of("lenet")
    view.count(lambda layer, units: (2, 1, units - 3) if layer == "conv2" else (0, 0, units))

    assert view.tooltip_lines("conv2")[0] == "conv2"
    assert view.tooltip_lines("conv2")[-1] == "2 good, 1 bad, 47 unmarked"
    assert view.tooltip_lines("pool1")[-1] == "sees 6×6 pixels"
    assert view.tooltip_lines(INPUT) == ["input", "28×28×1"]
    assert view.tooltip_lines(OUTPUT) == ["output", "10"]
    assert view.tooltip_lines("flatten") == view.tooltip_lines("pool2")
    assert view.tooltip_lines("nothing") == []


def test_what_is_told_of_a_group_is_that_of_all_its_layers() -> None:
    view = view_of("vgg16")
    view.count(lambda _layer, units: (1, 2, units - 3))
    assert (
        view.tooltip_lines("features.2")
        == view.tooltip_lines("features block 1")
        == ["block 1", "5 layers", "output 112×112×64", "38,720 parameters", "2 good, 4 bad, 122 unmarked"]
    )
    assert view.tooltip_lines("features") == ["features: unfolded"]


def test_hovering_over_a_layer_of_a_folded_group_is_hovering_over_the_group() -> None:
    view = view_of("vgg16")
    plain = view.image()
    view.hover("features.2")
    image = view.image()
    assert (image != plain).any()
    view.hover("features block 1")
    assert (view.image() == image).all()


def test_what_is_muted_shows_on_the_group_that_holds_it() -> None:
    view = view_of("vgg16")
    plain = view.image()
    view.attend("", ("features.0", "nothing"))
    x, y, w, h = view.place_of("features block 1") or ROOM
    rows, columns = np.nonzero((view.image() != plain).any(axis=2))
    assert ((columns + ROOM.x >= x) & (columns + ROOM.x < x + w)).all()
    assert ((rows + ROOM.y >= y) & (rows + ROOM.y < y + h)).all()


@pytest.mark.parametrize("lane", [0, 4, 8])
def test_of_more_lanes_than_fit_that_of_the_current_layer_shows(lane: int) -> None:
    heads = [node(f"branch{i}", "") for i in range(9)]
    view = StripView(drawn([*heads, node("cat", *(head.name for head in heads), kind="cat")]), THEMES["dark"])
    view.lay_out(ROOM, Metrics(1.0))
    view.attend(f"branch{lane}")
    rect = view.place_of(f"branch{lane}")
    assert rect is not None
    assert ROOM.y <= rect.y
    assert rect.y + rect.h <= ROOM.y + ROOM.h


def test_what_is_folded_or_unfolded_comes_into_view() -> None:
    room = Rect(0, 0, 400, 66)
    view = StripView(chain(700), THEMES["dark"])
    view.lay_out(room, Metrics(1.0))
    view.scroll(99)
    view.fold("block 9")
    assert inside(view.place_of("block 9.1"), room)
    view.attend("")
    view.scroll(99)
    view.fold("block 9")
    assert inside(view.place_of("block 9"), room)

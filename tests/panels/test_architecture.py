from dataclasses import replace
from types import SimpleNamespace

import pytest

from livecnn.app.screen.figure import FigureView
from livecnn.geometry import Rect
from livecnn.panels.base.session import Session
from livecnn.panels.base.targets import GroupTarget, LayerTarget
from livecnn.selection import Selection
from tests.helpers.architectures import real
from tests.helpers.panel_screen import draw, every_size, it, panel
from tests.helpers.scenes import assert_texts_apart, context


def shown(
    name: str = "lenet", size: tuple[int, int] = (1280, 240), counts: object = None, grid: str = "it", **fields: str
) -> FigureView:
    session = Session(annotations=counts and SimpleNamespace(counts=counts))  # type: ignore[arg-type]
    about = replace(context(), architecture=lambda: real(name), session=session)
    return draw(panel("architecture", size, grid=grid, about=about, **fields))


def middle(place: Rect) -> tuple[float, float]:
    return place.x + place.w / 2, place.y + place.h / 2


def test_the_heading_names_the_network_and_counts_its_layers_and_parameters() -> None:
    drawer = it(shown())
    assert (drawer.heading.text, drawer.caption.text) == ("lenet · 8 layers", "431,080 parameters")
    assert it(shown(title="Mine")).heading.text == "Mine"


def test_clicks_find_layers_groups_and_the_brackets_of_unfolded_groups() -> None:
    screen = shown("resnet18")
    drawer = it(screen)
    for target in (LayerTarget("conv1"), LayerTarget(""), LayerTarget("(output)"), GroupTarget("layer1")):
        place = drawer.tip(target).about
        assert drawer.target_at(*middle(place)) == target
    drawer.fold("layer1")
    body = drawer.body
    found = {drawer.target_at(x, body.y + body.h - 2) for x in range(body.x, body.x + body.w)}
    assert GroupTarget("layer1") in found
    assert drawer.target_at(0, 0) is None


def test_the_focus_moves_the_accent_and_muted_layers_are_marked() -> None:
    screen = shown()
    drawer = it(screen)
    for focus, muted, color in ((Selection("conv2"), (), "accent"), (Selection(""), {("ip1", 3)}, "bad")):
        screen.context.session.muted.set(muted)
        drawer.set_selection(focus)
        draw(screen)
        x, y, w, h = drawer.tip(LayerTarget("conv2" if color == "accent" else "ip1")).about
        assert (screen.pixels()[y : y + h, x : x + w] == getattr(screen.context.theme, color)).all(axis=2).any()


def test_a_tip_tells_the_layer_and_its_marks() -> None:
    drawer = it(shown(counts=lambda _layer, units: (1, 2, units - 3)))
    assert list(drawer.tip(LayerTarget("conv2")).lines[1:]) == [
        "conv 5×5 (Conv2d)", "output 8×8×50", "25,050 parameters", "kernel 5×5, stride 1, padding 0", "sees 14×14 pixels",
        "1 good, 2 bad, 47 unmarked",
    ]  # fmt: skip
    assert drawer.tip(LayerTarget("nothing")) is None


def test_the_wheel_scrolls_over_the_strip_alone() -> None:
    drawer = it(shown(size=(400, 240)))
    assert not drawer.scroll(0, 0, 1)
    assert drawer.scroll(*middle(drawer.body), 1)


def test_a_tick_without_changes_keeps_the_picture() -> None:
    screen = shown()
    picture = it(screen).live[0].picture
    draw(screen)
    assert it(screen).live[0].picture is picture


@every_size
@pytest.mark.parametrize("name", ["lenet", "resnet18"])
def test_no_two_texts_overlap_and_none_leaves_the_card(size: tuple[int, int], grid: str, name: str) -> None:
    assert_texts_apart(shown(name, size, grid=grid), "it")


def test_the_key_folds_the_group_of_a_layer_and_unfolds_it() -> None:
    drawer = it(shown("resnet18"))
    folded = drawer.tip(LayerTarget("layer1.0.conv1"))
    drawer.fold("layer1.0.conv1")
    drawer.fold("layer1.0.conv1")
    unfolded = drawer.tip(LayerTarget("layer1.0.conv1"))
    assert folded != unfolded


def test_what_the_mouse_is_over_is_drawn_otherwise() -> None:
    screen = shown()
    before = screen.pixels()
    x, y = middle(it(screen).tip(LayerTarget("conv2")).about)
    assert screen.point(x, y) == LayerTarget("conv2")
    draw(draw(screen))
    assert (screen.pixels() != before).any()
    screen.point(0, 0)
    assert (draw(screen).pixels() == before).all()

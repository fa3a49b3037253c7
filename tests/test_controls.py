from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image as PillowImage

from livecnn import bundles
from livecnn.bundles import Bundle
from livecnn.controls import Controls
from livecnn.fields import COLORMAPS
from livecnn.figure import Screen
from livecnn.keys import ACTIONS
from livecnn.types import Frame
from tests import drawing
from tests.controlled import Controlled, Host, controlled, seven

DIGITS = "0123456789"


@pytest.fixture(scope="module")
def lenet() -> Bundle:
    return bundles.load("lenet-mnist")


@pytest.fixture
def rig(lenet: Bundle, tmp_path: Path) -> Iterator[Controlled]:
    with controlled(lenet, Frame(seven(), 0, 0.0), tmp_path / "recordings", box=0.5) as rig:
        yield rig


def test_a_key_without_a_meaning_does_nothing(rig: Controlled) -> None:
    before, passes = rig.press(), rig.live.refreshed
    for key in ("x", "shift", "f5", "ctrl+s", "", None):
        rig.controls.press(key)
    np.testing.assert_array_equal(rig.press(), before)
    assert rig.live.refreshed == passes
    assert rig.host.calls == []


def test_letters_mean_the_same_with_caps_lock_on(rig: Controlled) -> None:
    before = rig.press()
    assert (rig.press("K") != before).any()


def test_a_digit_that_sorts_nothing_leaves_the_picture_whole(rig: Controlled) -> None:
    rig.screen.open(rig.screen.layout.model_copy(update={"panels": {"scores": rig.screen.layout.panels["scores"]}}))
    rig.screen.canvas.draw()
    rig.live.refresh()
    first = rig.press()
    rig.controls.press("3")
    renderer = rig.screen.canvas.get_renderer()
    rig.screen.stage.draw(renderer)  # as a window's tick does, without a full draw
    assert (rig.press() != first).any()  # the message
    rig.screen.say("", -1)
    rig.screen.stage.draw(renderer)
    np.testing.assert_array_equal(rig.press(), first)


def test_freeze_and_go_on(rig: Controlled) -> None:
    rig.press(" ")
    assert rig.live.frozen
    rig.press(" ")
    assert not rig.live.frozen
    assert rig.live.refreshed == 3  # so that the state is seen, also where no picture comes


def test_sorting_reorders_the_cells_and_says_so(rig: Controlled) -> None:
    before, values = rig.press(), rig.neurons()
    three = rig.press("3")
    assert not np.array_equal(three, before)
    assert "“3”" in rig.screen.drawers["ip1"].heading.text
    weights = rig.screen.context.class_weights(500)
    assert weights is not None
    np.testing.assert_array_equal(rig.neurons(), values[np.argsort(-weights[3].numpy(), kind="stable")])
    seven = rig.press("7")
    assert not np.array_equal(seven, three)
    np.testing.assert_array_equal(rig.press("7"), before)  # again: unsorted


@pytest.mark.parametrize("key", DIGITS)
def test_every_digit_sorts(rig: Controlled, key: str) -> None:
    rig.press(key)
    assert rig.screen.drawers["ip1"].sorted_by == int(key)


def test_sorting_by_a_class_that_is_not_there() -> None:
    layout = drawing.layout({"fc": {"kind": "neurons", "layer": "fc"}}, "fc")
    rig = toy(layout, classes=("cat", "dog"))
    rig.controls.press("7")
    assert rig.said == "no class 7: there are 2"
    rig.controls.press("1")
    assert rig.screen.drawers["fc"].sorted_by == 1


def test_sorting_where_there_is_nothing_to_sort() -> None:
    for panels in ({"a": {"kind": "camera"}}, {"a": {"kind": "neurons", "layer": "other"}}):
        rig = toy(drawing.layout(panels, "a"), shapes={**drawing.SHAPES, "other": (1, 7)})
        rig.controls.press("1")
        assert rig.said == "nothing to sort: this view shows no neurons with weights to the classes"


class Toy:
    """A made-up network."""

    def __init__(self, screen: Screen) -> None:
        self.screen = screen
        self.observer = SimpleNamespace(watch=lambda _: None)
        self.refresh()

    def refresh(self) -> None:
        self.screen.show(drawing.scene(self.screen))


def toy(layout: object, **of_context: object) -> Controlled:
    rig = Controlled.__new__(Controlled)
    rig.screen = Screen(layout, drawing.context(**of_context))  # type: ignore[arg-type]
    rig.live, rig.host = Toy(rig.screen), Host(rig.screen)  # type: ignore[assignment]
    rig.controls = Controls(rig.live, rig.screen, rig.host, [layout], Path())  # type: ignore[arg-type, list-item]
    return rig


def test_the_views_go_round(rig: Controlled) -> None:
    names, pictures = [], []
    for _ in range(4):
        names.append(rig.screen.layout.name)
        pictures.append(rig.press("v"))
    assert len(set(names)) == 3
    assert names[0] == names[3]
    assert not np.array_equal(pictures[0], pictures[1])


def test_a_view_keeps_the_class_that_was_chosen(rig: Controlled) -> None:
    rig.press("4", "v")
    chosen = [drawer.sorted_by for drawer in rig.screen.drawers.values() if hasattr(drawer, "sorted_by")]
    assert 4 in chosen


def test_any_keys_in_any_order_while_old_ticks_come_in(rig: Controlled) -> None:
    keys = [key for key in ACTIONS if key not in ["s", "q", "escape"]]
    rng = np.random.default_rng(1)
    for key in rng.choice(keys, 60):
        stale = rig.screen.scene
        rig.press(str(key))
        assert stale is not None
        rig.screen.show(stale)  # made for the panels as they were before
        rig.screen.draw()


def test_a_layout_without_other_views(lenet: Bundle, tmp_path: Path) -> None:
    with controlled(lenet, Frame(seven(), 0, 0.0), tmp_path, box=0.5, views=False) as rig:
        rig.press("v")
        assert rig.said == "this layout names no other views"


def test_a_click_on_a_views_name_opens_it(rig: Controlled) -> None:
    place, name = next(tab for tab in rig.screen.header.tabs if tab[1] != rig.screen.layout.name)
    rig.controls.click(place.x + place.w // 2, place.y + place.h // 2)
    assert rig.screen.layout.name == name
    rig.controls.click(1, rig.screen.figure.bbox.height - 2)
    assert rig.screen.layout.name == name


def test_the_colour_maps_go_round(rig: Controlled) -> None:
    first = rig.screen.drawers["conv1"].colormap
    seen, before = [first], rig.press()
    for _ in COLORMAPS:
        picture = rig.press("k")
        seen.append(rig.screen.drawers["conv1"].colormap)
        assert rig.said == f"colours: {seen[-1]}"
        assert len({drawer.colormap for drawer in rig.screen.drawers.values() if hasattr(drawer, "colormap")}) == 1
    assert not np.array_equal(picture, before)
    assert seen[-1] == first
    assert set(seen) == set(COLORMAPS)


def test_no_maps_no_colours() -> None:
    rig = toy(drawing.layout({"a": {"kind": "camera"}}, "a"))
    rig.controls.press("k")
    assert rig.said == "this view shows no maps"


def test_the_box_grows_and_shrinks_within_its_limits(rig: Controlled) -> None:
    cropper = rig.observer.cropper
    rig.press("+")
    assert cropper.share == pytest.approx(0.55)
    assert rig.said == "box: 55 % of the picture's short side"
    assert rig.screen.scene is not None
    assert rig.screen.scene.tick.patch.box.height == 132
    rig.press("-", "-")
    assert cropper.share == pytest.approx(0.45)
    rig.press(*"+" * 30)
    assert cropper.share == 1.0
    rig.press(*"-" * 30)
    assert cropper.share == pytest.approx(0.1)


def test_mirror(rig: Controlled) -> None:
    rig.press("m")
    assert rig.live.mirrored
    rig.press("m")
    assert not rig.live.mirrored
    assert rig.live.refreshed == 3


def test_a_snapshot_is_what_is_on_show(rig: Controlled, tmp_path: Path) -> None:
    before = rig.press()
    rig.press("s", "s")
    first, second = sorted((tmp_path / "recordings").iterdir(), key=lambda path: path.stat().st_mtime_ns)
    assert rig.said == f"saved {second}"
    assert first.suffix == second.suffix == ".png"
    with PillowImage.open(first) as image:
        np.testing.assert_array_equal(np.asarray(image), before)


def test_a_snapshot_that_cannot_be_written_is_told_on_screen(rig: Controlled, tmp_path: Path) -> None:
    (tmp_path / "recordings").write_text("a file")
    rig.press("s")
    assert "recordings is not a folder" in rig.said


def test_help_and_what_the_window_does(rig: Controlled) -> None:
    before = rig.press()
    assert not np.array_equal(rig.press("h"), before)
    np.testing.assert_array_equal(rig.press("h"), before)
    rig.press("f", "q", "escape")
    assert rig.host.calls == ["fullscreen", "quit", "quit"]

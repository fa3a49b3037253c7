"""What keys and mouse do in the explorer, with the real network and the shipped view, without loops or a window."""

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import livecnn
from livecnn.analysis.annotations.store import Annotations
from livecnn.app.controls.explorer_controller import NO_EXPLORER
from livecnn.app.plan import Plan
from livecnn.geometry import Rect
from livecnn.panels.base.session import FrameBuffer
from livecnn.panels.base.targets import ButtonTarget, ClassTarget, ImageRank, LayerTarget, Target, TimePoint
from livecnn.selection import INPUT, OUTPUT, Action, Selection, Unit
from livecnn.types import Floats, Frame
from tests.helpers import scenes
from tests.helpers.controlled_screen import Controlled, controlled, seven
from tests.helpers.mnist_files import typeset, write_mnist
from tests.helpers.scenes import labels


@pytest.fixture
def marks(tmp_path: Path) -> Annotations:
    return Annotations.open(tmp_path / "marks.json", "lenet-mnist", "ana")


@pytest.fixture
def rig(tmp_path: Path, marks: Annotations) -> Iterator[Controlled]:
    with controlled(Plan.of("explorer", source="demo"), Frame(seven(), 0, 0.0, "seven.png"), tmp_path, box=1.0) as rig:
        rig.screen.context.session.annotations = marks
        yield rig


def focus(rig: Controlled) -> Selection:
    return rig.screen.focus


def muted(rig: Controlled) -> frozenset[tuple[str, int]]:
    """The units that are muted; the one owner of them is what the panels and the network read, too."""
    owner = rig.screen.context.session.muted
    assert rig.live.observer.muted is owner
    return owner.units


def scores(rig: Controlled) -> Floats:
    assert rig.screen.scene is not None
    return rig.screen.scene.tick.scores


def place(rig: Controlled, target: Target) -> tuple[int, int]:
    return scenes.place(rig.screen, target)


def test_it_starts_where_the_layout_says(rig: Controlled) -> None:
    assert focus(rig) == Selection("conv2")


def test_keys_walk_through_the_layers_from_input_to_output(rig: Controlled) -> None:
    rig.press(*["["] * 20)
    assert focus(rig).layer == INPUT
    seen = [focus(rig).layer]
    for _ in range(12):
        rig.press("ctrl+right")
        seen.append(focus(rig).layer)
    nodes = [node.name for node in rig.screen.context.architecture().nodes]
    assert list(dict.fromkeys(seen)) == [INPUT, *nodes, OUTPUT]


def test_a_click_on_a_node_chooses_the_layer(rig: Controlled) -> None:
    rig.press("right")
    rig.click(*place(rig, LayerTarget("conv1")))
    assert (focus(rig).layer, focus(rig).unit) == ("conv1", 0)
    before = rig.screen.pixels()
    rig.click(*place(rig, LayerTarget("ip1")))
    assert focus(rig).layer == "ip1"
    assert (rig.screen.pixels() != before).any()


def test_arrows_walk_through_the_units(rig: Controlled) -> None:
    rig.press("right", "right", "left")
    assert focus(rig).unit == 1
    rig.press("down")
    columns = focus(rig).unit - 1
    assert 1 < columns < 50
    rig.press("up")
    assert focus(rig).unit == 1


def test_a_click_asks_for_explanations_before_anything_is_drawn(rig: Controlled, monkeypatch: pytest.MonkeyPatch) -> None:
    wished: list[Selection] = []
    rig.live.explaining = SimpleNamespace(want=lambda focus, asks, units: wished.append(focus))  # type: ignore[assignment]
    monkeypatch.setattr(rig.live, "refresh", lambda: None)
    rig.click(*place(rig, Unit("conv2", 31)))
    assert [focus.unit for focus in wished] == [31]


def test_a_click_on_a_map_selects_it_and_hovering_enlarges_another(rig: Controlled) -> None:
    rig.click(*place(rig, Unit("conv2", 31)))
    assert focus(rig).unit == 31
    x, y = place(rig, Unit("conv2", 7))
    rig.controls.drag(x, y)
    hovered = focus(rig).hover
    assert hovered is not None
    assert (hovered.layer, hovered.index, focus(rig).unit) == ("conv2", 7, 31)
    assert hovered.position is not None
    drawer = rig.screen.drawers["unit"]
    assert any("7" in label.text for label in labels([drawer.heading, *drawer.still, *drawer.live]))
    rig.controls.drag(0, 0)
    assert focus(rig).hover is None


def test_hovering_tells_beside_what_it_tells_of(rig: Controlled) -> None:
    x, y = place(rig, LayerTarget("conv1"))
    rig.controls.drag(x, y)
    tip = rig.screen.tooltip.tip
    assert tip is not None
    assert tip.lines[0] == "conv1"
    assert "520 parameters" in tip.lines
    rig.live.refresh()
    (box, _), *_ = rig.screen.tooltip._ground.rectangles
    assert not box.contains(x, y)
    rig.controls.drag(0, 0)
    assert rig.screen.tooltip.tip is None


def test_muting_changes_the_scores_at_once_and_one_key_restores_all(rig: Controlled) -> None:
    before = scores(rig).copy()
    rig.press("x")
    assert muted(rig) == {("conv2", 0)}
    for unit in range(1, 50):
        rig.click(*place(rig, Unit("conv2", unit)), ctrl=True)
    assert len(muted(rig)) == 50
    assert focus(rig).unit == 0  # Ctrl does not select
    assert not np.array_equal(scores(rig), before)
    rig.press("z")
    assert muted(rig) == frozenset()
    assert np.array_equal(scores(rig), before)
    assert rig.said == "50 units work again"


def test_neurons_are_muted_like_maps(rig: Controlled) -> None:
    rig.click(*place(rig, LayerTarget("ip1")))
    before = scores(rig).copy()
    rig.press("x")
    assert muted(rig) == {("ip1", 0)}
    rig.press("x")
    assert muted(rig) == frozenset()
    assert np.array_equal(scores(rig), before)


ANNOTATED = "units of layers can be annotated; choose one"


@pytest.mark.parametrize(
    ("layer", "keys", "said"),
    [
        (INPUT, "x", "muted"),
        (OUTPUT, "x", "muted"),
        ("flatten", "x", "muted"),
        (OUTPUT, ["right"], "there are no units here to choose from"),
        (OUTPUT, "ybuna", ANNOTATED),
        ("conv2", ["pagedown"], ""),  # all of it is on show
        ("conv2", ",.", "freeze the picture first (space), then look back"),
        ("conv2", "z", "no unit is muted"),
    ],
    ids=str,
)
def test_what_a_layer_cannot_do_is_told_and_changes_nothing(rig: Controlled, layer: str, keys: list[str], said: str) -> None:
    rig.controls.explorer.attend(focus(rig).at_layer(layer))
    before = focus(rig)
    for key in keys:
        rig.screen.say("")
        rig.press(key)
        assert said in rig.said
        assert (focus(rig), muted(rig), rig.controls.explorer.typed) == (before, frozenset(), None)
    rig.live.refresh()


def test_orders_of_the_grid(rig: Controlled) -> None:
    seen = []
    for _ in range(5):
        rig.press("o")
        seen.append(focus(rig).order)
    assert seen == ["mean", "max", "contribution", "weight", "number"]
    assert rig.said == "units by number"


def test_methods_are_exchanged_added_and_taken_away(rig: Controlled) -> None:
    assert focus(rig).methods == ("activation", "guided_backprop", "occlusion")
    rig.press("w")
    assert focus(rig).methods == ("activation",)
    rig.press("w", "w")
    assert len(set(focus(rig).methods)) == 3
    first = focus(rig).methods
    rig.press("e")
    assert focus(rig).methods[:2] == first[:2]
    assert focus(rig).methods[2] not in first
    rig.controls.act(Action.TOGGLE_METHOD, "integrated_gradients")
    assert focus(rig).methods[-1] == "integrated_gradients"
    assert len(focus(rig).methods) == 3


def test_methods_have_buttons(rig: Controlled) -> None:
    rig.click(*place(rig, ButtonTarget(Action.TOGGLE_METHOD, "gradient")))
    assert "gradient" in focus(rig).methods
    rig.click(*place(rig, ButtonTarget(Action.TOGGLE_METHOD, "gradient")))
    assert "gradient" not in focus(rig).methods
    rig.press("w")
    rig.press("w")
    for kind in focus(rig).methods[1:]:
        rig.click(*place(rig, ButtonTarget(Action.TOGGLE_METHOD, kind)))
    (last,) = focus(rig).methods
    rig.click(*place(rig, ButtonTarget(Action.TOGGLE_METHOD, last)))
    assert focus(rig).methods == (last,)  # one always stays


def test_a_slot_is_given_to_the_next_method(rig: Controlled) -> None:
    rig.controls.act(Action.CHOOSE_METHOD, "activation")
    assert focus(rig).methods[1:] == ("guided_backprop", "occlusion")
    assert focus(rig).methods[0] not in ("activation", "guided_backprop", "occlusion")


def test_the_grid_walks_through_the_quick_methods_of_units(rig: Controlled) -> None:
    seen = []
    for _ in range(5):
        rig.press("g")
        seen.append(focus(rig).grid)
    assert sorted(seen) == ["activation", "deconvnet", "deconvnet_unpooled", "gradient", "guided_backprop"]


def test_digits_and_bars_choose_the_class(rig: Controlled) -> None:
    rig.press("3")
    assert focus(rig).target == 3
    assert rig.said == "class: 3"
    rig.press("3")
    assert focus(rig).target is None
    rig.click(*place(rig, ClassTarget(5)))
    assert focus(rig).target == 5
    rig.click(*place(rig, ClassTarget(5)))
    assert focus(rig).target is None


def test_the_predicted_class_is_kept_and_let_go(rig: Controlled) -> None:
    rig.press("t")
    assert focus(rig).target == int(scores(rig).argmax())
    rig.press("t")
    assert focus(rig).target is None


def test_strongest_images_of_this_session_or_a_collection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIVECNN_TOPS", str(tmp_path / "tops"))
    write_mnist(tmp_path, *typeset(12), "test")
    livecnn.top(tmp_path, layers="conv2", k=3)
    with controlled(Plan.of("explorer", source="demo"), Frame(seven(), 0, 0.0, "seven.png"), tmp_path, box=1.0) as rig:
        first = rig.screen.pixels()
        rig.click(*place(rig, ButtonTarget(Action.CHOOSE_SHOTS, "session")))
        assert focus(rig).collection is False
        assert (rig.screen.pixels() != first).any()
        rig.press("v", "v", "v", "v")  # round all views
        assert focus(rig).collection is False
        rig.click(*place(rig, ButtonTarget(Action.CHOOSE_SHOTS, "collection")))
        rig.controls.drag(0, 0)
        rig.live.refresh()
        assert focus(rig).collection is True
        assert (rig.screen.pixels() == first).all()
        rig.click(*place(rig, ImageRank(0)))  # means nothing
        assert rig.screen.tooltip.tip is not None


def test_marks_by_keys_are_in_the_file_at_once(rig: Controlled, marks: Annotations, tmp_path: Path) -> None:
    rig.press("right", "y")
    assert marks.of("conv2", 1).verdict == "good"
    assert json.loads((tmp_path / "marks.json").read_text())["units"]["conv2"]["1"]["verdict"] == "good"
    rig.press("b")
    assert marks.of("conv2", 1).verdict == "bad"
    rig.press("u")
    assert marks.of("conv2", 1).verdict is None
    assert rig.said == "conv2 1: neither"


def test_marks_by_the_mouse(rig: Controlled, marks: Annotations) -> None:
    rig.press("a")
    assert focus(rig).marking
    x, y = place(rig, Unit("conv2", 12))
    rig.click(x, y)
    assert marks.of("conv2", 12).verdict == "good"
    rig.click(x, y, double=True)
    assert marks.of("conv2", 12).verdict == "bad"
    rig.click(x, y, shift=True)
    assert marks.of("conv2", 12).verdict is None
    rig.press("a")
    rig.click(x, y)
    assert marks.of("conv2", 12).verdict is None


def test_a_note_takes_every_key_until_it_is_kept_or_left(rig: Controlled, marks: Annotations) -> None:
    rig.press("n", "h", "i", " ", "Q", "x", "backspace", "shift")
    assert rig.screen.prompt.text.startswith("note to conv2 0: hi Q▏")
    rig.press("enter")
    assert marks.of("conv2", 0).note == "hi Q"
    assert rig.screen.prompt.text == ""
    rig.press("n", "!", "escape")
    assert marks.of("conv2", 0).note == "hi Q"
    assert rig.host.calls == []  # neither q nor Esc has closed the window
    rig.press("n", *["backspace"] * 9, "enter")
    assert marks.of("conv2", 0).note == ""


def test_marks_that_cannot_be_saved_are_told(rig: Controlled, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    rig.screen.context.session.annotations = Annotations.open(folder / "marks.json", "lenet-mnist", "ana")
    folder.write_text("a file where the folder should be")
    rig.press("y")
    assert "cannot be" in rig.said


@pytest.fixture
def frames(rig: Controlled) -> list[Frame]:
    """Three moments that are kept; the last one is on show."""
    past = rig.screen.context.session.past = FrameBuffer()
    frames = [Frame(np.roll(seven(), 40 * i, axis=1), i, float(i)) for i in range(3)]
    for frame in frames:
        past.add(frame, "camera 0")
        rig.live.frame = frame
        rig.live.refresh()
    return frames


def test_looking_back_steps_through_what_is_kept(rig: Controlled, frames: list[Frame]) -> None:
    present = rig.live.frame = Frame(np.roll(seven(), 7, axis=1), 3, 2.01)
    rig.press(" ", ",")
    assert rig.live.frame is frames[2]
    rig.press(",")
    assert rig.live.frame is frames[1]
    rig.press(",", ",")
    assert rig.said == "nothing before that is kept"
    assert rig.live.frame is frames[0]
    rig.press(".")
    assert rig.live.frame is frames[1]
    rig.press(".", ".")
    assert rig.live.frame is present  # which came too late to be kept
    rig.press(".")
    assert rig.said == "that is the newest picture"


def test_a_click_on_a_moment_freezes_and_shows_it(rig: Controlled, frames: list[Frame]) -> None:
    rig.controls.explorer.click(TimePoint(1.2), ctrl=False, shift=False, double=False)
    assert rig.live.frozen
    assert rig.live.frame is frames[1]


def test_the_wheel_turns_pages(tmp_path: Path) -> None:
    plan = Plan.of("explorer", ["figure.size=[640, 480]"], source="demo")
    with controlled(plan, Frame(seven(), 0, 0.0), tmp_path, box=1.0) as rig:
        x, y, w, h = rig.screen.drawers["layer"].card
        rig.controls.turn(x + w / 2, y + h / 2, -1)
        assert focus(rig).page == 1
        rig.press("pageup")
        assert focus(rig).page == 0
        rig.press("pagedown")
        assert focus(rig).page == 1


def test_the_focus_outlives_a_change_of_the_view(rig: Controlled) -> None:
    rig.press("right", "]", "x")
    before = focus(rig)
    for _ in rig.screen.views:
        rig.press("v")
    assert rig.screen.layout.name == "explorer"
    assert focus(rig) == before


def test_in_other_views_the_keys_say_where_to_go(tmp_path: Path) -> None:
    with controlled(Plan.of("lenet", source="demo"), Frame(seven(), 0, 0.0), tmp_path, box=1.0) as rig:
        for key in ("]", "right", "o", "g", "e", "w", "t", "x", "l", "a", "y", "n", "pagedown", ",", "."):
            rig.screen.say("")
            rig.press(key)
            assert rig.said == NO_EXPLORER, key


def test_a_target_is_never_covered_by_its_words(rig: Controlled) -> None:
    for name, drawer in rig.screen.drawers.items():
        left, top, width, height = drawer.card
        for x in range(left, left + width, 29):
            for y in range(top, top + height, 29):
                target = rig.screen.point(x, y)
                tip = rig.screen.tooltip.tip
                if target is not None and tip is not None:
                    assert isinstance(tip.about, Rect), name
                    rig.screen.draw()
                    (box, _), *_ = rig.screen.tooltip._ground.rectangles
                    assert not box.contains(x, y), (name, target)


@pytest.mark.parametrize(("view", "kept"), [("explorer", 1), ("lenet", 0)])
def test_pictures_are_kept_only_where_one_can_look_back(view: str, kept: int, tmp_path: Path) -> None:
    with controlled(Plan.of(view, source="demo"), Frame(seven(), 0, 0.0), tmp_path, box=1.0) as rig:
        past = rig.screen.context.session.past = FrameBuffer()
        rig.live.refresh()
        assert len(past) == kept

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import MagicMock

import numpy as np
import pytest
from PIL import Image as PillowImage

from livecnn._cv2 import cv2
from livecnn.app.controls import background
from livecnn.app.controls.background import LiveRecording
from livecnn.app.controls.controller import Controls
from livecnn.app.keys import ACTIONS
from livecnn.app.plan import CAMERA_BOX, WHOLE_BOX, Plan
from livecnn.app.screen.figure import FigureView
from livecnn.engine.crop import NO_FACE
from livecnn.errors import OutputError, SourceError
from livecnn.io.recorders import Recorder
from livecnn.panels.base.spec import COLORMAPS
from livecnn.selection import Action
from livecnn.sources import SourceOptions, open_source
from livecnn.sources.demo import DemoSource
from livecnn.sources.pad import PadSource
from livecnn.types import Frame
from tests.helpers import scenes
from tests.helpers.controlled_screen import Controlled, Host, controlled, seven
from tests.helpers.virtual_display import until

DIGITS = "0123456789"


@pytest.fixture(scope="module")
def plan() -> Plan:
    return Plan.of("lenet", source="demo")


@pytest.fixture
def rig(plan: Plan, tmp_path: Path) -> Iterator[Controlled]:
    with controlled(plan, Frame(seven(), 0, 0.0), tmp_path / "recordings", box=0.5) as rig:
        yield rig


def test_a_key_without_a_meaning_does_nothing(rig: Controlled) -> None:
    before, passes = rig.press(), rig.live.refreshed
    for key in ("x", "shift", "f5", "ctrl+s", "", None):
        rig.controls.press(key)
    np.testing.assert_array_equal(rig.press(), before)
    assert rig.live.refreshed == passes
    assert rig.host.calls == []


@pytest.mark.parametrize("action", Action)
def test_every_action_is_carried_out(action: Action) -> None:
    controls = MagicMock()
    Controls.act(controls, action, "1")
    assert len(controls.mock_calls) > 0


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


@pytest.mark.parametrize(("key", "state"), [(" ", "frozen"), ("m", "mirrored")])
def test_frozen_or_mirrored_and_back(rig: Controlled, key: str, state: str) -> None:
    for wanted in (True, False):
        rig.press(key)
        assert getattr(rig.live, state) == wanted
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


NOTHING_TO_SORT = "nothing to sort: this view shows no neurons with weights to the classes"


@pytest.mark.parametrize(
    ("panel", "key", "said"),
    [
        ({"kind": "neurons", "layer": "fc"}, "7", "no class 7: there are 2"),
        ({"kind": "camera"}, "1", NOTHING_TO_SORT),
        ({"kind": "neurons", "layer": "other"}, "1", NOTHING_TO_SORT),
        ({"kind": "camera"}, "k", "this view shows no maps"),
    ],
)
def test_what_a_view_does_not_have_is_told(panel: dict[str, str], key: str, said: str) -> None:
    rig = toy(scenes.layout({"a": panel}, "a"), classes=("cat", "dog"), shapes={**scenes.SHAPES, "other": (1, 7)})
    rig.controls.press(key)
    assert rig.said == said


class Toy:
    """A made-up network."""

    explaining = None

    def __init__(self, screen: FigureView) -> None:
        self.screen = screen
        self.observer = SimpleNamespace(watch=lambda _: None)
        self.capture = SimpleNamespace(source=open_source("demo"))
        self.refresh()

    def refresh(self) -> None:
        self.screen.show(scenes.scene(self.screen))


def toy(layout: object, **of_context: object) -> Controlled:
    rig = Controlled.__new__(Controlled)
    rig.screen = FigureView(layout, scenes.context(**of_context))  # type: ignore[arg-type]
    rig.live, rig.host = Toy(rig.screen), Host(rig.screen)  # type: ignore[assignment]
    plan = SimpleNamespace(layout=layout, views=[layout], files=[])
    rig.controls = Controls(rig.live, rig.screen, rig.host, plan, LiveRecording(Path()))  # type: ignore[arg-type]
    return rig


def test_the_views_go_round(rig: Controlled) -> None:
    names, pictures = [], []
    for _ in range(5):
        names.append(rig.screen.layout.name)
        pictures.append(rig.press("v"))
    assert len(set(names)) == 4
    assert names[0] == names[4]
    assert not np.array_equal(pictures[0], pictures[1])


def test_a_view_keeps_the_class_that_was_chosen(rig: Controlled) -> None:
    rig.press("4", "v")
    assert 4 in [drawer.sorted_by for drawer in rig.screen.drawers.values()]


def test_any_keys_in_any_order_while_old_ticks_come_in(rig: Controlled) -> None:
    keys = [key for key in ACTIONS if key not in ["s", "q", "escape"]]
    rng = np.random.default_rng(1)
    for key in rng.choice(keys, 60):
        stale = rig.screen.scene
        rig.press(str(key))
        assert stale is not None
        rig.screen.show(stale)  # made for the panels as they were before
        rig.screen.draw()


def test_a_layout_without_other_views(plan: Plan, tmp_path: Path) -> None:
    with controlled(replace(plan, views=[plan.layout]), Frame(seven(), 0, 0.0), tmp_path, box=0.5) as rig:
        rig.press("v")
        assert rig.said == "this layout names no other views"


def test_a_click_on_a_views_name_opens_it(rig: Controlled) -> None:
    place, name = next(tab for tab in rig.screen.header.tabs if tab[1] != rig.screen.layout.name)
    rig.controls.point(place.x + place.w // 2, place.y + place.h // 2)
    assert rig.screen.layout.name == name
    rig.controls.point(1, rig.screen.figure.bbox.height - 2)
    assert rig.screen.layout.name == name


def colours(rig: Controlled) -> set[str]:
    return {drawer.colormap for drawer in rig.screen.drawers.values() if drawer.has_maps}


def test_the_colour_maps_go_round(rig: Controlled) -> None:
    own, before, seen = colours(rig), rig.press(), []
    for _ in COLORMAPS:
        picture = rig.press("k")
        (name,) = colours(rig)
        assert rig.said == f"colours: {name}"
        seen.append(name)
    assert seen == list(COLORMAPS)
    assert not np.array_equal(picture, before)
    rig.press("k")
    assert rig.said == "colours: as the layout has them"
    assert colours(rig) == own
    rig.screen.say("", -1)
    rig.live.refresh()
    np.testing.assert_array_equal(rig.press(), before)


def test_the_colours_chosen_hold_for_every_view(rig: Controlled) -> None:
    rig.press("k", "k", "v")
    assert colours(rig) == {COLORMAPS[1]}


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


def test_a_snapshot_is_what_is_on_show(rig: Controlled, tmp_path: Path) -> None:
    before = rig.press()
    rig.press("s", "s")
    first, second = sorted((tmp_path / "recordings").iterdir(), key=lambda path: path.stat().st_mtime_ns)
    assert rig.said == f"saved {second}"
    assert first.suffix == second.suffix == ".png"
    with PillowImage.open(first) as image:
        np.testing.assert_array_equal(np.asarray(image), before)


@pytest.mark.parametrize("key", ["s", "r"])
def test_a_file_that_cannot_be_written_is_told_on_screen(rig: Controlled, tmp_path: Path, key: str) -> None:
    (tmp_path / "recordings").write_text("a file")
    rig.press(key)
    assert "recordings is not a folder" in rig.said
    assert rig.screen.mark.since is None


def test_help_and_what_the_window_does(rig: Controlled) -> None:
    before = rig.press()
    assert not np.array_equal(rig.press("h"), before)
    np.testing.assert_array_equal(rig.press("h"), before)
    rig.press("f", "q", "escape")
    assert rig.host.calls == ["fullscreen", "quit", "quit"]


def poll_until(rig: Controlled, condition: Callable[[], object], what: str) -> None:
    def polled() -> bool:
        rig.controls.poll()
        return bool(condition())

    until(polled, what)


def on_the_pad(rig: Controlled, x: float, y: float) -> tuple[float, float]:
    """Where in the figure a point of the sheet is, both from 0 to 1."""
    rig.live.refresh()
    drawer = rig.screen.drawers["camera"]
    picture = drawer.live[0]
    height, width = picture.picture.shape[:2]  # type: ignore[attr-defined]
    return picture.x + x * width, picture.y + y * height  # type: ignore[attr-defined]


@pytest.fixture
def pad(rig: Controlled) -> PadSource:
    rig.press("p")
    poll_until(rig, lambda: isinstance(rig.live.capture.source, PadSource), "the pad is there")
    source: PadSource = rig.live.capture.source
    rig.live.frame = source.read()  # type: ignore[assignment]
    return source


def test_the_pad_comes_goes_and_remembers(rig: Controlled, pad: PadSource) -> None:
    assert rig.said == pad.note
    assert (rig.observer.cropper.share, rig.observer.cropper.sequential) == (WHOLE_BOX, False)
    assert pad.open  # the loop owns it now
    pad.press(100, 100)
    rig.press("p")
    poll_until(rig, lambda: rig.live.capture.source is not pad, "the demo is back")
    assert isinstance(rig.live.capture.source, DemoSource)
    assert (rig.observer.cropper.share, rig.observer.cropper.sequential) == (CAMERA_BOX, True)
    pad.close()  # as the loop does
    rig.press("p")
    poll_until(rig, lambda: rig.live.capture.source is pad, "the pad is back")
    frame = pad.read()
    assert frame is not None
    assert frame.image.min() < 60


def test_drawing_with_the_mouse(rig: Controlled, pad: PadSource) -> None:
    def ink() -> int:
        frame = pad.read()
        assert frame is not None
        return int((frame.image < 128).all(axis=2).sum())

    rig.controls.point(*on_the_pad(rig, 0.3, 0.5))
    dot = ink()
    assert dot > 0
    rig.controls.drag(*on_the_pad(rig, 0.7, 0.5))
    line = ink()
    assert line > 5 * dot
    rig.controls.lift()
    rig.controls.drag(*on_the_pad(rig, 0.7, 0.9))
    rig.controls.turn(0, 0, 1)
    assert rig.said.startswith("pen: ")
    rig.controls.point(*on_the_pad(rig, 0.7, 0.5), right=True)
    assert ink() < line  # the right button erases
    rig.controls.lift()
    rig.press("c")
    assert ink() == 0
    rig.controls.point(*on_the_pad(rig, 1.5, 0.5))  # beside the sheet: nothing, the pen is not on it
    rig.controls.drag(*on_the_pad(rig, 0.5, 0.5))
    rig.controls.point(*on_the_pad(rig, 0.5, 0.5))
    assert 0 < ink() < 3 * dot


def test_the_mouse_without_the_pad(rig: Controlled) -> None:
    before = rig.press()
    rig.controls.point(*on_the_pad(rig, 0.5, 0.5))
    rig.controls.drag(*on_the_pad(rig, 0.6, 0.5))
    rig.controls.lift()
    rig.controls.turn(0, 0, -1)
    np.testing.assert_array_equal(rig.press(), before)
    rig.press("c")
    assert rig.said == "c clears the sheet that you draw on; key p brings it"


def test_a_run_that_began_with_the_pad(plan: Plan, tmp_path: Path) -> None:
    begun = replace(plan, source=open_source("pad"))
    with controlled(begun, Frame(seven(), 0, 0.0), tmp_path, box=0.5) as rig:
        rig.press("p")
        assert rig.said == "the run began with the pad; d goes over to a camera"


class FakeCamera(DemoSource):
    """Answers if its address is even."""

    def __init__(self, address: str, options: SourceOptions) -> None:
        super().__init__("", options)
        self.address, self.name, self.note = address, f"camera {address}", ""

    def open(self) -> None:
        if int(self.address) % 2:
            raise SourceError(f"{self.name}: held")
        super().open()


def test_the_cameras_go_round(rig: Controlled, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "CameraSource", FakeCamera)
    monkeypatch.setattr(background, "candidates", lambda: [0, 1, 2, 3])
    for name in ("camera 0", "camera 2", "camera 0"):
        rig.press("d")
        assert rig.said == "looking for another camera …"
        poll_until(rig, lambda name=name: rig.said == name, name)  # type: ignore[misc]
        assert rig.live.capture.source.name == name


def test_no_other_camera(rig: Controlled, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "CameraSource", FakeCamera)
    monkeypatch.setattr(background, "candidates", lambda: [1])
    before = rig.live.capture.source
    rig.press("d")
    poll_until(rig, lambda: rig.said == "camera 1: held", "the reason is told")
    assert rig.live.capture.source is before
    monkeypatch.setattr(background, "candidates", list)
    rig.press("d")
    assert rig.said == "no other camera found"


def test_record_and_stop(rig: Controlled, tmp_path: Path) -> None:
    rig.press("r")
    assert rig.screen.mark.since is not None
    rig.film.add(rig.screen.pixels(), time.monotonic())
    rig.press("r")
    assert rig.screen.mark.since is None
    poll_until(rig, lambda: rig.said.startswith("recorded "), "the film is finished")
    (film,) = (tmp_path / "recordings").iterdir()
    assert str(film) in rig.said
    video = cv2.VideoCapture(str(film))
    assert video.read()[0]
    video.release()


def test_a_film_that_fills_the_disk_ends_and_says_so(rig: Controlled, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OutputError("film: No space left on device after 3 pictures")

    monkeypatch.setattr(Recorder, "add", full)
    rig.press("r")

    def told() -> bool:
        rig.film.add(rig.screen.pixels(), time.monotonic())
        return "No space left" in rig.said

    poll_until(rig, told, "the reason is told")
    assert rig.screen.mark.since is None


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Controlled]:
    """Around a layout of the user's own, which is looked at at every poll."""
    monkeypatch.setattr(background, "PAUSE_TO_LOOK", 0)
    path = tmp_path / "own.yaml"
    path.write_text("name: mine\nlayout: a\npanels:\n  a: {kind: feature_maps, layer: conv1}\n")
    plan = Plan.of(str(path), source="demo")
    with controlled(plan, Frame(seven(), 0, 0.0), tmp_path, box=0.5) as rig:
        yield rig


def edit(rig: Controlled, old: str, new: str) -> None:
    path = rig.screen.layout.path
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    for _ in range(2):
        rig.controls.poll()


def test_a_saved_layout_is_shown_at_once(own: Controlled) -> None:
    own.press("k")
    before = own.press()
    edit(own, "layer: conv1", "layer: conv2, channels: 0-3")
    assert own.said == "own.yaml: read anew"
    assert own.screen.drawers["a"].channels == (0, 1, 2, 3)  # type: ignore[attr-defined]
    assert own.screen.scene is not None
    assert own.screen.scene.tick.views["a"].cell == (8, 8)
    assert own.screen.drawers["a"].colormap == COLORMAPS[1]  # type: ignore[attr-defined]
    assert not np.array_equal(own.press(), before)


@pytest.mark.parametrize(
    ("new", "message"),
    [
        ("layer: conv7", "own.yaml:4: panels.a.layer: unknown layer 'conv7'"),
        ("layer: [", "own.yaml:4: not valid YAML"),
        ("kind: maps", "own.yaml:4: "),
    ],
)
def test_an_error_in_a_saved_layout_is_shown_and_healed(own: Controlled, new: str, message: str) -> None:
    layout = own.screen.layout
    edit(own, "layer: conv1", new)
    assert message in own.screen.overlay_text
    assert own.screen.layout is layout
    edit(own, new, "layer: conv2")
    assert message not in own.screen.overlay_text
    assert own.screen.layout is not layout


def test_another_network_has_to_wait_for_the_next_start(own: Controlled) -> None:
    edit(own, "name: mine", "model: other")
    assert "own.yaml:1: model: found 'other'; start livecnn again for another network" in own.screen.overlay_text


def test_the_box_and_the_size_of_the_figure_follow_the_layout(own: Controlled) -> None:
    edit(own, "name: mine", "box: {size: 0.3, finder: face, margin: 0.4}\nfigure: {size: [800, 600]}")
    assert (own.observer.cropper.share, own.observer.cropper.margin) == (0.3, 0.4)
    assert own.screen.scene is not None
    assert own.screen.scene.tick.patch.note == NO_FACE
    assert "800x600" in own.host.calls
    edit(own, "layer: conv1", "layer: conv2")
    own.observer.cropper.share = 0.7
    edit(own, "layer: conv2", "layer: conv1")
    assert own.observer.cropper.share == 0.7  # what the keys did stays, while the layout's box does


def test_views_of_a_saved_layout(own: Controlled) -> None:
    edit(own, "name: mine", "name: mine\nviews: [own, lenet]")
    assert [name for _, name in own.screen.header.tabs] == list(own.screen.views) == ["mine", "generic"]
    own.press("v")
    assert own.screen.layout.name == "generic"

import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from livecnn import paths
from livecnn.app.plan import load_views, make_context
from livecnn.app.screen.figure import REFRESH_TICKS, FigureView, Header, grid
from livecnn.drawing.artists import Label, renderer_buffer
from livecnn.drawing.theme import THEMES, Metrics
from livecnn.engine.crop import Cropper
from livecnn.engine.observer import Observer
from livecnn.geometry import Rect
from livecnn.layout.layout import Layout, check_layout, load_layout
from livecnn.networks import bundle as bundles
from livecnn.networks.bundle import Bundle
from livecnn.panels.base.drawer import Drawer
from livecnn.sources import open_source
from livecnn.types import Frame, LoopStatus, Scene, SourceStatus
from tests.helpers.scenes import MEASURED, context, ink, inside, labels, layout, overlap, scene

LAYOUTS = tuple(name for name in paths.layouts() if load_layout(name).model == "lenet-mnist")  # the others: test_age.py
VIEWS = load_layout("lenet").views  # of one another
STATUS = LoopStatus(SourceStatus("live", "demo", "no camera answered: the built-in demo plays"), 25.0, 24.0, 3.1, 21.0, 40.0)
A, B = (800, 600), (1000, 640)

shipped = pytest.mark.parametrize("name", LAYOUTS)


def load(name: str, size: tuple[int, int] = A, theme: str = "dark", *changes: str) -> Layout:
    return load_layout(name, [f"figure.size={list(size)}", f"figure.theme={theme}", *changes])


class Demo:
    """The digits of the demo, passed through the network that ships."""

    def __init__(self, bundle: Bundle, observer: Observer) -> None:
        self.bundle, self._observer = bundle, observer
        with open_source("demo") as source:
            frames = [source.read() for _ in range(60)]
        self.frames = [frame for frame in (frames[0], frames[55]) if frame is not None]  # the bare sheet, and a digit

    def screen(self, name: str, size: tuple[int, int] = A, theme: str = "dark", *changes: str) -> FigureView:
        made = load(name, size, theme, *changes)
        return FigureView(made, make_context(self.bundle), [view.name for view in load_views(made)])

    def look(self, screen: FigureView, index: int = 1, status: LoopStatus = STATUS) -> Any:
        """What the live loop does with a frame; returns the pixels."""
        self._observer.watch(screen.reducers)
        frame = self.frames[index]
        screen.show(Scene(frame, self._observer(frame), status))
        screen.draw()
        return screen.pixels()


@pytest.fixture(scope="module")
def demo() -> Iterator[Demo]:
    bundle = bundles.load("lenet-mnist")
    with Observer(bundle.module, Cropper(bundle.pipeline, 0.55), torch.device("cpu")) as observer:
        yield Demo(bundle, observer)


def resize(screen: FigureView, size: tuple[int, int]) -> None:
    screen.figure.set_size_inches(size[0] / screen.figure.dpi, size[1] / screen.figure.dpi)


def cards(screen: FigureView) -> dict[str, Rect]:
    width, height = (int(side) for side in screen.figure.bbox.size)
    metrics = Metrics.of(width, height)
    area = Rect(metrics.gap, metrics.header, width - 2 * metrics.gap, height - metrics.header - metrics.gap)
    return grid(screen.layout, area, metrics.gap)


# Without a map, which everybody makes, the panel of maps says so; strongest shots lie a second apart.
STILL = ("status", "architecture", "embedding", "strongest")


@shipped
@pytest.mark.parametrize("theme", THEMES)
def test_shipped_layouts_fit_the_bundle_and_show_something_in_every_panel(name: str, theme: str, demo: Demo) -> None:
    made = load(name, theme=theme)
    check_layout(made, demo.bundle.shapes(), demo.bundle.classes)
    screen = demo.screen(name, theme=theme)
    before, after = demo.look(screen, 0), demo.look(screen)
    assert after.shape == (600, 800, 3)
    assert (after[3, 3] == THEMES[theme].background).all()
    assert screen.scene is not None
    assert screen.scene.tick.scores.argmax() == 3
    for panel, card in cards(screen).items():
        part = slice(card.y, card.y + card.h), slice(card.x, card.x + card.w)
        assert (after[part] == THEMES[theme].card).all(axis=2).any()
        still = screen.layout.panels[panel].kind in STILL
        assert still or (before[part] != after[part]).any(), panel


def texts_of(drawer: Drawer, size: tuple[int, int]) -> list[tuple[Label, Rect]]:
    return [(label, place) for label in labels([*drawer.still, *drawer.live]) if label.text and (place := ink(label, size))]


@shipped
@pytest.mark.parametrize("size", [(800, 600), (1280, 720), (1920, 1080)], ids=str)
def test_no_text_of_a_shipped_layout_is_clipped_or_overlaps_another(name: str, size: tuple[int, int], demo: Demo) -> None:
    screen = demo.screen(name, size)
    for index, status in itertools.product((0, 1), (STATUS, LoopStatus())):
        demo.look(screen, index, status)
        for panel, card in cards(screen).items():
            seen = texts_of(screen.drawers[panel], size)
            assert seen, panel
            for i, (label, place) in enumerate(seen):
                assert inside(place, card.inset(4, 4, 4, 4)), (panel, label.text)
                for other, there in seen[:i]:
                    assert not overlap(place, there), (panel, label.text, other.text)
    for sorted_by in (None, 8):
        screen.sort_by(sorted_by)
        screen.lay_out()
        for drawer in screen.drawers.values():
            for label in (drawer.heading, drawer.caption):
                assert label.width is None or label.advance() <= label.width, label.text


@pytest.mark.parametrize("size", [(320, 240), (801, 599), (1283, 717)], ids=str)
def test_a_figure_is_exactly_as_large_as_asked_for(size: tuple[int, int], demo: Demo) -> None:
    screen = demo.screen("lenet", size)
    screen.draw()
    assert screen.pixels().shape == (size[1], size[0], 3)


@pytest.mark.parametrize("width", [width for width in range(320, 7681) if int(width / 100 * 100) != width][::40])
def test_widths_that_inches_cannot_tell_exactly(width: int) -> None:
    figure = FigureView(layout({"it": {"kind": "status"}}, "it", (width, 240)), context()).figure
    assert int(figure.bbox.width) == width


@shipped
def test_drawing_twice_gives_the_same_pixels(name: str, demo: Demo) -> None:
    screen = demo.screen(name)
    first = demo.look(screen)
    assert (demo.look(screen) == first).all()
    screen.canvas.draw()
    assert (screen.pixels() == first).all()


@shipped
@pytest.mark.parametrize("sizes", [(A, B), (B, A)], ids=str)
def test_after_resizing_nothing_of_the_old_size_is_left(
    name: str, sizes: tuple[tuple[int, int], tuple[int, int]], demo: Demo
) -> None:
    screen, fresh = demo.screen(name, sizes[0]), demo.screen(name, sizes[1])
    for each in (screen, fresh):  # both, as some panels show what has been
        demo.look(each, 0)
    resize(screen, sizes[1])
    screen.draw()
    assert screen.pixels().shape[:2] == sizes[1][::-1]
    # A screen that has had another size gives what one that never had gives.
    for index in (0, 1):
        assert (demo.look(screen, index) == demo.look(fresh, index)).all()


@pytest.mark.parametrize(("before", "after"), list(itertools.permutations(VIEWS, 2)))
def test_opening_another_layout_equals_a_fresh_screen_of_it(before: str, after: str, demo: Demo) -> None:
    screen, fresh = demo.screen(before), demo.screen(after)
    demo.look(screen)
    screen.open(load(after))
    screen.draw()  # the tick on show was made for the other layout
    assert (demo.look(screen) == demo.look(fresh)).all()


def test_a_layout_may_bring_its_own_theme(demo: Demo) -> None:
    screen, fresh = demo.screen("lenet"), demo.screen("lenet", theme="light")
    demo.look(screen)
    screen.open(load("lenet", theme="light"))
    assert (demo.look(screen) == demo.look(fresh)).all()


def test_sorting_is_drawn_at_once(demo: Demo) -> None:
    screen = demo.screen("lenet-sorted")
    demo.look(screen)
    assert screen.sort_by(7)
    fresh = demo.screen("lenet-sorted", A, "dark", "panels.ip1.sort_by_class=7")
    assert (demo.look(screen) == demo.look(fresh)).all()
    overview = demo.screen("lenet-overview")
    assert overview.sort_by(7)  # of its three neurons panels one can be sorted
    assert not FigureView(layout({"it": {"kind": "status"}}, "it"), context()).sort_by(7)


def test_pixels_are_a_copy(demo: Demo) -> None:
    screen = demo.screen("lenet")
    screen.draw()
    taken = screen.pixels()
    taken[:] = 0
    assert screen.pixels().any()


def test_a_screen_without_a_scene_can_be_drawn_and_shows_its_headings(demo: Demo) -> None:
    screen = demo.screen("lenet")
    screen.draw()
    for panel, card in cards(screen).items():
        part = screen.pixels()[card.y : card.y + card.h, card.x : card.x + card.w]
        assert len(np.unique(part.reshape(-1, 3), axis=0)) > 3 or panel == "camera"


def test_reducers_are_those_of_the_panels_with_a_layer(demo: Demo) -> None:
    screen = demo.screen("lenet")
    assert {name: reducer.layer for name, reducer in screen.reducers.items()} == {
        "conv1": "conv1",
        "conv2": "conv2",
        "ip1": "ip1",
    }


@pytest.mark.parametrize("size", [(320, 240), (801, 599), (1920, 1080)], ids=str)
def test_panels_of_a_column_and_of_a_row_share_their_edges(size: tuple[int, int]) -> None:
    panels = {name: {"kind": "status"} for name in "abcdefg"}
    made = layout(panels, "a a b\nc d b\ne f g", size)
    made = made.model_copy(update={"figure": made.figure.model_copy(update={"widths": (1.0, 2.3, 1.7), "heights": (3, 1, 2.5)})})
    area = Rect(10, 20, size[0] - 20, size[1] - 40)
    place = grid(made, area, 7)
    assert place["c"].x == place["e"].x == place["a"].x == area.x
    assert place["d"].x == place["f"].x == place["c"].x + place["c"].w + 7
    assert place["b"].x == place["g"].x
    assert place["d"].x + place["d"].w == place["f"].x + place["f"].w == place["a"].x + place["a"].w == place["b"].x - 7
    assert place["b"].x + place["b"].w == place["g"].x + place["g"].w == area.x + area.w
    assert place["b"].y + place["b"].h == place["c"].y + place["c"].h == place["g"].y - 7
    assert place["e"].y + place["e"].h == place["g"].y + place["g"].h == area.y + area.h
    ratios = [place[name].w for name in "efg"]
    assert np.array(ratios) == pytest.approx(np.array([1, 2.3, 1.7]) / 5 * (area.w - 14), abs=1)


def test_equal_shares_without_widths_and_heights() -> None:
    made = layout({name: {"kind": "status"} for name in "abcd"}, "a b\nc d")
    place = grid(made, Rect(0, 0, 100, 60), 10)
    assert [tuple(place[name]) for name in "abcd"] == [(0, 0, 45, 25), (55, 0, 45, 25), (0, 35, 45, 25), (55, 35, 45, 25)]


@pytest.mark.parametrize(
    ("put", "take_away"),
    [
        (lambda screen: screen.say("saved", 2.0), lambda _screen: None),  # its time comes
        (lambda screen: screen.help.set_visible(True), lambda screen: screen.help.set_visible(False)),
        (lambda screen: screen.prompt.write("note to conv1 3: a▏"), lambda screen: screen.prompt.write("")),
        (lambda screen: screen.banner.write("lenet.yaml:12: unknown key"), lambda screen: screen.banner.write("")),
    ],
    ids=["message", "help", "note", "banner"],
)
def test_what_lies_over_the_panels_goes_again(
    put: Callable[[FigureView], None],
    take_away: Callable[[FigureView], None],
    demo: Demo,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [10.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    screen = demo.screen("lenet")
    before = demo.look(screen)
    put(screen)
    changed = np.flatnonzero((demo.look(screen) != before).any(axis=(1, 2)))
    assert changed[0] >= Metrics.of(*A).header
    now[0] = 12.0
    take_away(screen)
    demo.look(screen, 0)
    assert (demo.look(screen) == before).all()


def shown(shape: tuple[int, int], size: tuple[int, int], *, mirrored: bool) -> tuple[FigureView, Rect]:
    """A screen with a frame in it whose columns and rows are told by its red and green, and where the frame lies."""
    screen = FigureView(layout({"a": {"kind": "camera"}, "b": {"kind": "status"}}, "a b", size), context())
    rows, columns = np.indices(shape)
    frame = Frame(np.dstack([columns, rows, np.full(shape, 255)]).astype(np.uint8), 0, 0.0)
    screen.show(scene(screen, frame=frame, status=LoopStatus(mirrored=mirrored), empty=True))
    screen.draw()
    rows, columns = np.nonzero(screen.pixels()[:, :, 2] == 255)
    return screen, Rect(columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1)


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("shape", [(90, 120), (120, 90), (20, 200), (190, 200)], ids=str)
@pytest.mark.parametrize("size", [(640, 480), (1283, 717)], ids=str)
def test_a_place_in_the_window_is_a_place_in_the_frame(shape: tuple[int, int], size: tuple[int, int], mirrored: bool) -> None:
    screen, place = shown(shape, size, mirrored=mirrored)
    pixels, right, bottom = screen.pixels(), place.x + place.w - 1, place.y + place.h - 1
    zoom = place.w / shape[1]
    for x, y in itertools.product(np.linspace(place.x, right, 9).round(), np.linspace(place.y, bottom, 9).round()):
        found = screen.frame_at(x, y)
        assert found is not None
        color = pixels[int(y), int(x)]
        if color[2] == 255:  # not of the box's line
            assert found == pytest.approx(color[:2], abs=1 + 1 / zoom)
    far = [(-0.5, shape[1] - 0.5), (-0.5, shape[0] - 0.5)]
    for x, y in itertools.product((0, 1), (0, 1)):
        corner = screen.frame_at(place.x + x * (place.w - 1), place.y + y * (place.h - 1))
        assert corner == pytest.approx((far[0][x != mirrored], far[1][y]), abs=0.51 / zoom)
    middle = screen.frame_at((place.x + right) / 2, (place.y + bottom) / 2)
    assert middle == pytest.approx(((shape[1] - 1) / 2, (shape[0] - 1) / 2))


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("shape", [(90, 120), (20, 200)], ids=str)
def test_outside_the_picture_there_is_no_place_in_the_frame(shape: tuple[int, int], mirrored: bool) -> None:
    screen, place = shown(shape, (640, 480), mirrored=mirrored)
    right, bottom = place.x + place.w, place.y + place.h
    for x, y in [(place.x - 1, place.y), (place.x, place.y - 1), (right, place.y), (place.x, bottom), (0, 0), (639, 240)]:
        assert screen.frame_at(x, y) is None
        assert screen.frame_at(x + 0.3, y + 0.3) is None
    assert FigureView(screen.layout, context()).frame_at(place.x, place.y) is None  # nothing is shown yet


def test_a_recording_is_marked_in_the_window_only(demo: Demo) -> None:
    screen = demo.screen("lenet")
    before = demo.look(screen)
    screen.mark.since = time.monotonic()
    assert screen.mark.since is not None
    for _ in range(2):
        assert (demo.look(screen) == before).all()
        on_screen = renderer_buffer(screen.canvas.get_renderer())[:, :, :3]
        rows, columns = np.nonzero((on_screen != before).any(axis=2))
        assert rows.min() == Metrics.of(*A).header
        assert columns.min() > 600
        screen.canvas.draw()
    screen.help.set_visible(True)  # the mark lies over it
    demo.look(screen)
    screen.help.set_visible(False)
    screen.mark.since = None
    assert (demo.look(screen) == before).all()
    assert (renderer_buffer(screen.canvas.get_renderer())[:, :, :3] == before).all()


def test_a_picture_taken_right_after_a_resize(demo: Demo) -> None:
    screen = demo.screen("lenet")
    screen.mark.since = time.monotonic()
    demo.look(screen)
    resize(screen, (400, 300))
    assert screen.pixels().shape == (300, 400, 3)  # not drawn yet


def test_what_is_written_over_the_panels_tells_when_to_draw_again(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [10.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    screen = FigureView(layout({"it": {"kind": "status"}}, "it"), context())
    seen = [screen.overlay_text]

    def changes() -> bool:
        seen.append(screen.overlay_text)
        return seen[-1] != seen[-2]

    assert not changes()
    screen.say("saved", 2.0)
    assert changes()
    screen.banner.write("saved")
    assert changes()
    now[0] = 12.0
    assert changes()
    screen.mark.since = 12.0
    assert changes()
    now[0] = 12.9
    assert not changes()
    now[0] = 13.0
    assert changes()
    screen.mark.since = None
    assert changes()
    screen.banner.write("")
    assert changes()
    assert seen[-1] == seen[0]


def test_another_view_keeps_what_lies_over_the_panels(demo: Demo) -> None:
    screen, fresh = demo.screen("lenet"), demo.screen("lenet-sorted", theme="light")
    for each in (screen, fresh):
        each.say("saved", 1000.0)
        each.banner.write("lenet.yaml:12: unknown key")
        each.mark.since = time.monotonic() + 1000.0
        each.help.set_visible(True)
    demo.look(screen)
    screen.open(load("lenet-sorted", theme="light"))
    assert screen.overlay_text == fresh.overlay_text
    assert screen.help.get_visible()
    assert (demo.look(screen) == demo.look(fresh)).all()
    marked, expected = (renderer_buffer(each.canvas.get_renderer()) for each in (screen, fresh))
    assert (marked == expected).all()


def test_another_view_keeps_the_colours_that_were_chosen(demo: Demo) -> None:
    screen = demo.screen("lenet")
    gray = demo.look(screen)
    assert screen.colormap is None
    screen.open(load("lenet"))
    assert (demo.look(screen) == gray).all()
    screen.colormap = "magma"
    for name, panels in (("lenet", ("conv1", "conv2", "ip1")), ("lenet-sorted", ("ip1",))):
        screen.open(load(name))
        colors = [f"panels.{panel}.colormap=magma" for panel in panels]
        fresh = demo.screen(name, A, "dark", *colors)
        assert (demo.look(screen) == demo.look(fresh)).all()
    assert screen.colormap == "magma"


def test_chosen_colours_are_drawn_at_once(demo: Demo) -> None:
    screen = demo.screen("lenet")
    demo.look(screen)
    screen.colormap = "magma"
    colored = demo.look(screen)
    screen.canvas.draw()
    assert (screen.pixels() == colored).all()


def test_the_scene_on_show_survives_a_full_draw() -> None:
    screen = FigureView(layout({"it": {"kind": "scores"}}, "it"), context())
    given = scene(screen, scores=[1.0, *[0.0] * 9])
    screen.show(given)
    screen.canvas.draw()
    first = screen.pixels()
    assert screen.scene is given
    screen.show(replace(given, status=given.status))
    screen.draw()
    assert (screen.pixels() == first).all()


DARK = THEMES["dark"]
TABS = ("generic", "sorted", "overview")


def header_of(width: int, status: LoopStatus = MEASURED, model: str = "lenet-mnist", views: tuple[str, ...] = TABS) -> Header:
    header = Header(DARK, model, views, "sorted")
    metrics = Metrics.of(width, width * 9 // 16)
    header.lay_out(Rect(metrics.gap, 0, width - 2 * metrics.gap, metrics.header), metrics)
    header.show(scene_with(status))
    return header


def scene_with(status: LoopStatus) -> Scene:
    return scene(FigureView(layout({"it": {"kind": "status"}}, "it"), context()), status=status)


def texts_in(header: Header) -> list[str]:
    return [label.text for label in labels([*header.still, *reversed(header.live)]) if label.text]


def test_everything_fits_a_usual_window() -> None:
    facts = ["● camera 0", "25 fps", "model 3.1 ms", "picture 21 ms old", "h  help"]
    assert texts_in(header_of(1280)) == ["livecnn", "lenet-mnist", *TABS, *facts]


def test_a_network_that_is_behind_is_told() -> None:
    def told(network: float) -> str:
        status = LoopStatus(SourceStatus("live", "camera 0"), picture_age=21.0, model_age=network)
        return next(text for text in texts_in(header_of(1280, status)) if text.endswith("old"))

    assert told(70.0) == "picture 21 ms old"  # nobody sees that
    assert told(320.0) == "picture 21, network 320 ms old"


@pytest.mark.parametrize("width", [320, 500, 640, 800, 1280, 1920, 3840])
@pytest.mark.parametrize("model", ["lenet-mnist", "my.own.package.of.networks:a_factory_of_networks"])
@pytest.mark.parametrize("name", ["camera 0", "https://user@camera.example/" + "x" * 300])
def test_texts_never_overlap_nor_leave_the_figure(width: int, model: str, name: str) -> None:
    header = header_of(width, LoopStatus(SourceStatus("lost", name), 25.0, 24.0, 3.1, 21.0), model)
    size = (width, 150)
    seen = [(label.text, place) for label in labels([*header.still, *header.live]) if (place := ink(label, size))]
    margin = Metrics.of(width, width * 9 // 16).px(6)
    for i, (text, place) in enumerate(seen):
        assert inside(place, Rect(margin, 0, width - 2 * margin, 150)), text
        for other, there in seen[:i]:
            assert not overlap(place, there), (text, other)


def test_in_a_narrow_strip_the_source_is_the_last_to_go() -> None:
    status = LoopStatus(SourceStatus("live", "camera 0"), 25.0, 24.0, 3.1, 21.0)
    shown = [set(texts_in(header_of(width, status, views=("only",)))) for width in range(1280, 300, -40)]
    for wider, narrower in itertools.pairwise(shown):
        assert narrower <= wider
    order = ["picture 21 ms old", "model 3.1 ms", "25 fps", "h  help"]
    gone = [next(i for i, words in enumerate(shown) if fact not in words) for fact in order if any(fact not in w for w in shown)]
    assert gone == sorted(gone)
    assert len(gone) >= 2
    assert "● camera 0" in shown[-1]


@pytest.mark.parametrize(
    ("status", "text", "color"),
    [
        (LoopStatus(SourceStatus("live", "demo")), "● demo", DARK.good),
        (LoopStatus(SourceStatus("stale", "camera 0")), "● camera 0: stale", DARK.accent),
        (LoopStatus(SourceStatus("frozen", "camera 0")), "● camera 0: frozen", DARK.accent),
        (LoopStatus(SourceStatus("lost", "camera 0")), "● camera 0: lost", DARK.bad),
        (LoopStatus(SourceStatus("failed", "camera 0")), "● camera 0: failed", DARK.bad),
        (LoopStatus(SourceStatus("ended", "clip.mp4")), "● clip.mp4: ended", DARK.muted),
        (LoopStatus(SourceStatus("live", "demo"), frozen=True), "● frozen", DARK.accent),
    ],
)
def test_the_state_of_the_source(status: LoopStatus, text: str, color: tuple[int, int, int]) -> None:
    state = next(label for label in labels(header_of(1280, status).live) if label.text.startswith("●"))
    assert (state.text, state.color) == (text, color)


def test_tabs_lie_under_their_names_and_the_open_one_is_underlined() -> None:
    header = header_of(1280)
    assert [name for _, name in header.tabs] == list(TABS)
    for place, name in header.tabs:
        label = next(label for label in labels(header.still) if label.text == name)
        where = ink(label, (1280, 100))
        assert where is not None
        assert inside(where, place.inset(-2, 0, -2, 0))
        assert label.weight == ("bold" if name == "sorted" else "normal")
    line = ink(header.still[-1], (1280, 100))
    assert not isinstance(header.still[-1], Label)
    assert line is not None
    assert (line.x, line.w) == (header.tabs[1][0].x, header.tabs[1][0].w)


@pytest.mark.parametrize(("views", "help"), [(("only",), ["h  help"]), ((), [])])
def test_a_single_view_needs_no_tabs_and_none_no_help(views: tuple[str, ...], help: list[str]) -> None:
    header = header_of(1280, views=views)
    assert header.tabs == []
    assert texts_in(header) == ["livecnn", "lenet-mnist", "● camera 0", "25 fps", "model 3.1 ms", "picture 21 ms old", *help]


def test_numbers_stand_long_enough_to_be_read_but_another_state_is_told_at_once() -> None:
    header = header_of(1280, LoopStatus(SourceStatus("live", "demo"), display_fps=10))
    for fps in range(11, 10 + REFRESH_TICKS):
        header.show(scene_with(LoopStatus(SourceStatus("live", "demo"), display_fps=fps)))
        assert "10 fps" in texts_in(header)
    header.show(scene_with(LoopStatus(SourceStatus("live", "demo"), display_fps=99)))
    assert "99 fps" in texts_in(header)
    header.show(scene_with(LoopStatus(SourceStatus("live", "demo"), frozen=True)))
    assert "● frozen" in texts_in(header)
    for state, words in (("lost", "● demo: lost"), ("live", "● demo")):
        header.show(scene_with(LoopStatus(SourceStatus(state, "demo"))))
        assert words in texts_in(header)

import itertools
import time
from typing import TypeVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import RendererAgg

from livecnn.app.keys import GESTURES, KEYS
from livecnn.app.screen.overlays import (
    Banner,
    Help,
    Overlay,
    Prompt,
    RecMark,
    Toast,
    TooltipOverlay,
    bordered_box,
    place_tooltip,
)
from livecnn.drawing.artists import renderer_buffer
from livecnn.drawing.theme import THEMES, Metrics, Theme
from livecnn.geometry import Rect
from livecnn.panels.base.targets import Tooltip
from livecnn.types import Image
from tests.helpers.scenes import ink, inside, overlap

Overlaid = TypeVar("Overlaid", bound=Overlay)
DARK = THEMES["dark"]
SIZES = [(320, 240), (800, 600), (1280, 720), (3840, 2160)]
LINES = ("conv1", "20 maps of 24×24", "5×5, stride 1")
sizes = pytest.mark.parametrize("size", SIZES, ids=str)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def panels(size: tuple[int, int]) -> Rect:
    """What the header leaves of a figure."""
    metrics = Metrics.of(*size)
    return Rect(metrics.gap, metrics.header, size[0] - 2 * metrics.gap, size[1] - metrics.header - metrics.gap)


def laid_out(overlay: Overlaid, size: tuple[int, int], theme: Theme = DARK) -> Overlaid:
    area = panels(size) if isinstance(overlay, (Banner, RecMark)) else Rect(0, 0, *size)
    overlay.lay_out(area, Metrics.of(*size), theme)
    return overlay


def filled(made: type[Overlaid], words: str = "saved", now: float = 100.0) -> Overlaid:
    """An overlay that shows something."""
    overlay = made()
    if isinstance(overlay, Toast):
        overlay.say(words, now + 1)
    elif isinstance(overlay, RecMark):
        overlay.since = now
    elif isinstance(overlay, TooltipOverlay):
        overlay.tip = Tooltip((words,), Rect(10, 10, 20, 20))
    else:
        overlay.write(words)
    overlay.set_visible(True)
    return overlay


def on(overlay: Overlay, size: tuple[int, int], ground: int = 7) -> Image:
    """The overlay on a figure of one gray."""
    renderer = RendererAgg(*size, 100)
    renderer_buffer(renderer)[:] = ground
    overlay.draw(renderer)
    return renderer_buffer(renderer)[:, :, :3].copy()


def place_of(overlay: Artist, size: tuple[int, int]) -> Rect:
    place = ink(overlay, size)
    assert place is not None
    return place


@pytest.mark.parametrize("made", [Toast, Prompt, Banner, RecMark, TooltipOverlay, Help])
def test_it_is_drawn_while_there_is_something_to_say_in_the_theme_of_the_layout(made: type[Overlay], clock: list[float]) -> None:
    size, light = (800, 600), THEMES["light"]
    assert ink(laid_out(made(), size), size) is None
    changed = laid_out(filled(made), size)
    dark = on(changed, size)
    assert (on(laid_out(changed, size, light), size) != dark).any()
    assert (on(changed, size) == on(laid_out(filled(made), size, light), size)).all()


def test_a_message_is_there_until_its_time_has_come(clock: list[float]) -> None:
    toast = laid_out(Toast(), (640, 480))
    toast.say("saved a.png", 104.0)
    assert toast.text == "saved a.png"
    short = place_of(toast, (640, 480))
    toast.say("rather a long message", 104.0)
    assert place_of(toast, (640, 480)).w > short.w
    clock[0] = 104.0
    assert toast.text == ""
    assert ink(toast, (640, 480)) is None


@sizes
@pytest.mark.parametrize("made", [Toast, Prompt])
@pytest.mark.parametrize("words", ["note to conv2 31: ", "a message of many words " * 30])
def test_a_line_lies_inside_near_the_bottom(size: tuple[int, int], made: type[Overlay], words: str, clock: list[float]) -> None:
    place = place_of(laid_out(filled(made, words), size), size)
    assert inside(place, Rect(0, size[1] // 2, size[0], size[1] - size[1] // 2))
    assert place.x == pytest.approx(size[0] - place.x - place.w, abs=1)


@pytest.mark.parametrize(("size", "theme"), [*zip(SIZES, 2 * list(THEMES.values()), strict=True)], ids=str)
@pytest.mark.parametrize("words", ["lenet.yaml:12: unknown key", "a message of many words " * 30])
def test_a_banner_lies_along_the_top_of_the_panels(size: tuple[int, int], theme: Theme, words: str) -> None:
    banner = laid_out(filled(Banner, words), size, theme)
    place, area = place_of(banner, size), panels(size)
    assert (place.x, place.y, place.w) == (area.x, area.y, area.w)
    assert place.h < size[1] / 6
    assert inside(place_of(banner._labels[0], size), place)
    shown = on(banner, size)[place.y : place.y + place.h, place.x : place.x + place.w]
    assert (shown == theme.bad).all(axis=2).any()
    assert (shown == theme.background).all(axis=2).any()
    banner.write("")
    assert ink(banner, size) is None


def test_a_banner_of_several_lines_is_one_line() -> None:
    one, two = (on(laid_out(filled(Banner, words), (800, 600)), (800, 600)) for words in ("one two", "one\n  two"))
    assert (one == two).all()


@pytest.mark.parametrize(("size", "theme"), [*zip(SIZES, 2 * list(THEMES.values()), strict=True)], ids=str)
@pytest.mark.parametrize("seconds", [0, 12, 6000])
def test_a_recording_is_marked_at_the_top_right_of_the_panels(
    size: tuple[int, int], theme: Theme, seconds: int, clock: list[float]
) -> None:
    mark = laid_out(filled(RecMark, now=clock[0] - seconds), size, theme)
    place, area = place_of(mark, size), panels(size)
    assert (place.x + place.w, place.y) == (area.x + area.w, area.y)
    assert place.w < size[0] / 2
    disc, letters = (place_of(label, size) for label in mark._labels)
    assert inside(disc, place)
    assert inside(letters, place)
    assert disc.x + disc.w < letters.x


@sizes
def test_a_mark_leaves_a_banner_readable(size: tuple[int, int], clock: list[float]) -> None:
    banner, mark = laid_out(filled(Banner, "a message of many words " * 30), size), laid_out(filled(RecMark), size)
    letters = ink(banner._labels[0], size)
    assert letters is None or not overlap(letters, place_of(mark, size))
    assert letters is not None or size[0] < 400


def test_the_mark_tells_the_time(clock: list[float]) -> None:
    mark = RecMark()
    assert mark.text == ""
    mark.since = 100.0
    told = []
    for now in (100.0, 100.99, 112.0, 160.0, 4000.0):
        clock[0] = now
        told.append(mark.text)
    assert told == ["REC 0:00", "REC 0:00", "REC 0:12", "REC 1:00", "REC 65:00"]


def test_the_mark_can_be_taken_off(clock: list[float]) -> None:
    mark = laid_out(filled(RecMark), (640, 480))
    marked = on(mark, (640, 480), ground=40)
    assert (marked != 40).any()
    assert (mark.taken_off(marked) == 40).all()
    other = np.full((100, 100, 3), 9, np.uint8)
    assert (mark.taken_off(other) == 9).all()  # nothing was drawn on that one
    mark.since = None
    plain = on(mark, (640, 480), ground=50)
    assert (mark.taken_off(plain) == 50).all()


def test_a_frame_is_a_box_in_a_box() -> None:
    outer, inner = bordered_box(Rect(0, 0, 10, 8), DARK, 2)
    assert outer == (Rect(0, 0, 10, 8), DARK.accent)
    assert inner == (Rect(2, 2, 6, 4), DARK.card)


def told(size: tuple[int, int], tip: Tooltip) -> TooltipOverlay:
    tooltip = laid_out(TooltipOverlay(), size)
    tooltip.tip = tip
    return tooltip


@sizes
@pytest.mark.parametrize("x", [0.0, 0.5, 0.95])
@pytest.mark.parametrize("y", [0.0, 0.5, 0.95])
def test_a_tooltip_is_beside_what_it_is_about_and_on_the_figure(size: tuple[int, int], x: float, y: float) -> None:
    width, height = size
    about = Rect(round(x * width), round(y * height), width // 25, height // 25)
    place = place_of(told(size, Tooltip(LINES, about)), size)
    assert inside(place, Rect(0, 0, *size))
    assert not overlap(place, about)


def test_another_tip_is_another_text() -> None:
    one, other = Tooltip(LINES, Rect(0, 0, 5, 5)), Tooltip(LINES[:1], Rect(0, 0, 5, 5))
    assert told((640, 480), one).text != told((640, 480), other).text


def test_long_words_of_a_tooltip_are_shortened() -> None:
    place = place_of(told((320, 240), Tooltip(("very long words " * 30,), Rect(10, 10, 20, 20))), (320, 240))
    assert inside(place, Rect(0, 0, 320, 240))


@given(
    about=st.tuples(st.integers(0, 600), st.integers(0, 440), st.integers(1, 40), st.integers(1, 40)),
    size=st.tuples(st.integers(1, 300), st.integers(1, 180)),
)
def test_what_fits_beside_it_never_covers_it(about: tuple[int, int, int, int], size: tuple[int, int]) -> None:
    area, place = Rect(0, 0, 640, 480), Rect(*about)
    box = place_tooltip(place, *size, area, 6)
    assert inside(box, area)
    assert not overlap(box, place)


def test_where_nothing_is_free_a_tooltip_stays_on_the_figure() -> None:
    area = Rect(0, 0, 200, 100)
    assert inside(place_tooltip(area, 80, 40, area, 6), area)


def test_the_help_lists_all_keys_and_what_the_mouse_does() -> None:
    assert sorted(Help().rows) == sorted((each.shown, each.meaning) for each in (*KEYS, *GESTURES))


@pytest.mark.parametrize("size", SIZES[:3], ids=str)
def test_nothing_leaves_the_box_of_the_help(size: tuple[int, int]) -> None:
    overlay = laid_out(filled(Help), size)
    box = ink(overlay._ground, size)
    assert box is not None
    assert ink(overlay, size) == box  # no letter outside of it
    assert inside(box, Rect(0, 0, *size))


@pytest.mark.parametrize("size", SIZES[1:3], ids=str)
def test_no_two_words_of_the_help_overlap(size: tuple[int, int]) -> None:
    labels = [label for label in laid_out(filled(Help), size)._labels if label.text]
    places = [(label.text, place_of(label, size)) for label in labels]
    for (text, one), (other, another) in itertools.combinations(places, 2):
        assert not overlap(one, another), (text, other)


def test_where_there_is_room_no_word_of_the_help_is_shortened() -> None:
    for label in laid_out(filled(Help), (1280, 720))._labels:
        assert label.width is None or label.advance() <= label.width, label.text

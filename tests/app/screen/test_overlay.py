import time
from typing import TypeVar

import numpy as np
import pytest
from matplotlib.backends.backend_agg import RendererAgg

from livecnn.app.screen.help import Help
from livecnn.app.screen.overlay import Banner, Overlay, Prompt, RecMark, Toast, bordered_box
from livecnn.drawing.artists import renderer_buffer
from livecnn.drawing.theme import THEMES, Metrics, Theme
from livecnn.geometry import Rect
from livecnn.types import Image
from tests.helpers.scenes import ink, inside, overlap

Overlaid = TypeVar("Overlaid", bound=Overlay)
DARK = THEMES["dark"]
SIZES = [(320, 240), (800, 600), (1280, 720), (3840, 2160)]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_a_message_is_there_until_its_time_has_come(clock: list[float]) -> None:
    toast = Toast()
    toast.lay_out(Rect(0, 0, 640, 480), Metrics(1.0), DARK)
    assert toast.text == ""
    assert ink(toast, (640, 480)) is None
    toast.say("saved a.png", 104.0)
    assert toast.text == "saved a.png"
    assert ink(toast, (640, 480)) is not None
    clock[0] = 104.0
    assert toast.text == ""
    assert ink(toast, (640, 480)) is None


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("words", ["saved", "a message of many words " * 30])
def test_a_message_lies_inside_near_the_bottom(size: tuple[int, int], words: str, clock: list[float]) -> None:
    toast = Toast()
    toast.say(words, clock[0] + 1)
    toast.lay_out(Rect(0, 0, *size), Metrics.of(*size), DARK)
    place = ink(toast, size)
    assert place is not None
    assert inside(place, Rect(0, size[1] // 2, size[0], size[1] - size[1] // 2))
    assert place.x == pytest.approx(size[0] - place.x - place.w, abs=1)


def test_a_later_message_replaces_the_earlier_one_and_its_box(clock: list[float]) -> None:
    toast = Toast()
    toast.lay_out(Rect(0, 0, 640, 480), Metrics(1.0), DARK)
    toast.say("short", clock[0] + 1)
    short = ink(toast, (640, 480))
    toast.say("rather a long message", clock[0] + 1)
    long = ink(toast, (640, 480))
    assert short is not None
    assert long is not None
    assert long.w > short.w


def laid_out(overlay: Overlaid, size: tuple[int, int], theme: Theme = DARK) -> Overlaid:
    metrics = Metrics.of(*size)
    overlay.lay_out(panels(size), metrics, theme)
    return overlay


def panels(size: tuple[int, int]) -> Rect:
    """What the header leaves of a figure."""
    metrics = Metrics.of(*size)
    return Rect(metrics.gap, metrics.header, size[0] - 2 * metrics.gap, size[1] - metrics.header - metrics.gap)


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("theme", THEMES.values(), ids=list(THEMES))
@pytest.mark.parametrize("words", ["lenet.yaml:12: unknown key", "a message of many words " * 30])
def test_a_banner_lies_along_the_top_of_the_panels(size: tuple[int, int], theme: Theme, words: str) -> None:
    banner = laid_out(Banner(), size, theme)
    assert ink(banner, size) is None
    banner.text = words
    place, area = ink(banner, size), panels(size)
    assert place is not None
    assert (place.x, place.y, place.w) == (area.x, area.y, area.w)
    assert place.h < size[1] / 6
    letters = ink(banner._label, size)
    assert letters is not None
    assert inside(letters, place)
    shown = on(banner, size)[place.y : place.y + place.h, place.x : place.x + place.w]
    assert (shown == theme.bad).all(axis=2).any()
    assert (shown == theme.background).all(axis=2).any()
    banner.text = ""
    assert ink(banner, size) is None


def test_a_banner_of_several_lines_is_one_line() -> None:
    pictures = []
    for words in ("one two", "one\n  two"):
        banner = laid_out(Banner(), (800, 600))
        banner.text = words
        pictures.append(on(banner, (800, 600)))
    assert (pictures[0] == pictures[1]).all()


def on(overlay: Overlay, size: tuple[int, int], ground: int = 7) -> Image:
    """The overlay on a figure of one gray."""
    renderer = RendererAgg(*size, 100)
    renderer_buffer(renderer)[:] = ground
    overlay.draw(renderer)
    return renderer_buffer(renderer)[:, :, :3].copy()


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("theme", THEMES.values(), ids=list(THEMES))
@pytest.mark.parametrize("seconds", [0, 12, 6000])
def test_a_recording_is_marked_at_the_top_right_of_the_panels(
    size: tuple[int, int], theme: Theme, seconds: int, clock: list[float]
) -> None:
    mark = laid_out(RecMark(), size, theme)
    assert ink(mark, size) is None
    mark.since = clock[0] - seconds
    place, area = ink(mark, size), panels(size)
    assert place is not None
    assert (place.x + place.w, place.y) == (area.x + area.w, area.y)
    assert place.w < size[0] / 2
    disc, letters = ink(mark._disc, size), ink(mark._label, size)
    assert disc is not None
    assert letters is not None
    assert inside(disc, place)
    assert inside(letters, place)
    assert disc.x + disc.w < letters.x


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_a_mark_leaves_a_banner_readable(size: tuple[int, int], clock: list[float]) -> None:
    banner, mark = laid_out(Banner(), size), laid_out(RecMark(), size)
    banner.text, mark.since = "a message of many words " * 30, clock[0] - 12
    ink(banner, size)
    letters, box = ink(banner._label, size), ink(mark, size)
    assert box is not None
    assert letters is None or not overlap(letters, box)
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
    mark = laid_out(RecMark(), (640, 480))
    mark.since = clock[0]
    marked = on(mark, (640, 480), ground=40)
    assert (marked != 40).any()
    assert (mark.taken_off(marked) == 40).all()
    other = np.full((100, 100, 3), 9, np.uint8)
    assert (mark.taken_off(other) == 9).all()  # nothing was drawn on that one
    mark.since = None
    plain = on(mark, (640, 480), ground=50)
    assert (mark.taken_off(plain) == 50).all()


@pytest.mark.parametrize("made", [Toast, Banner, Prompt, RecMark, Help])
def test_what_lies_over_the_panels_takes_another_theme(made: type[Overlay], clock: list[float]) -> None:
    size = (800, 600)

    def fresh() -> Overlay:
        overlay = made()
        if isinstance(overlay, Toast):
            overlay.say("saved", clock[0] + 1)
        elif isinstance(overlay, Banner):
            overlay.text = "wrong"
        elif isinstance(overlay, RecMark):
            overlay.since = clock[0]
        elif isinstance(overlay, Prompt):
            overlay.text = "note to conv2 31: "
        overlay.set_visible(True)
        return overlay

    changed = laid_out(fresh(), size, DARK)
    dark = on(changed, size)
    light = on(laid_out(changed, size, THEMES["light"]), size)
    assert (light != dark).any()
    assert (light == on(laid_out(fresh(), size, THEMES["light"]), size)).all()


def test_a_frame_is_a_box_in_a_box() -> None:
    outer, inner = bordered_box(Rect(0, 0, 10, 8), DARK, 2)
    assert outer == (Rect(0, 0, 10, 8), DARK.accent)
    assert inner == (Rect(2, 2, 6, 4), DARK.card)


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("words", ["note to conv2 31: ", "note to conv2 31: many words " * 30])
def test_what_is_being_written_stands_near_the_bottom(size: tuple[int, int], words: str) -> None:
    prompt = laid_out(Prompt(), size)
    assert ink(prompt, size) is None
    prompt.text = words
    prompt.arrange()
    place = ink(prompt, size)
    assert place is not None
    assert inside(place, Rect(0, size[1] // 2, size[0], size[1] - size[1] // 2))

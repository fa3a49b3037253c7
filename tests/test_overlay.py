from __future__ import annotations

import itertools
import time

import pytest

from livecnn.geometry import Rect
from livecnn.keys import KEYS
from livecnn.overlay import Help, Toast, framed
from livecnn.theme import THEMES, Metrics
from tests.drawing import ink, inside

DARK = THEMES["dark"]
SIZES = [(320, 240), (800, 600), (1280, 720), (3840, 2160)]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_a_message_is_there_until_its_time_has_come(clock: list[float]) -> None:
    toast = Toast(DARK)
    toast.lay_out(Rect(0, 0, 640, 480), Metrics(1.0))
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
    toast = Toast(DARK)
    toast.say(words, clock[0] + 1)
    toast.lay_out(Rect(0, 0, *size), Metrics.of(*size))
    place = ink(toast, size)
    assert place is not None
    assert inside(place, Rect(0, size[1] // 2, size[0], size[1] - size[1] // 2))
    assert place.x == pytest.approx(size[0] - place.x - place.w, abs=1)


def test_a_later_message_replaces_the_earlier_one_and_its_box(clock: list[float]) -> None:
    toast = Toast(DARK)
    toast.lay_out(Rect(0, 0, 640, 480), Metrics(1.0))
    toast.say("short", clock[0] + 1)
    short = ink(toast, (640, 480))
    toast.say("rather a long message", clock[0] + 1)
    long = ink(toast, (640, 480))
    assert short is not None
    assert long is not None
    assert long.w > short.w


def test_a_frame_is_a_box_in_a_box() -> None:
    outer, inner = framed(Rect(0, 0, 10, 8), DARK, 2)
    assert outer == (Rect(0, 0, 10, 8), DARK.accent)
    assert inner == (Rect(2, 2, 6, 4), DARK.card)


def test_help_is_hidden_until_it_is_asked_for() -> None:
    overlay = Help(DARK)
    overlay.lay_out(Rect(0, 0, 800, 600), Metrics(0.8))
    assert ink(overlay, (800, 600)) is None
    overlay.set_visible(True)
    assert ink(overlay, (800, 600)) is not None


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_help_lists_every_key_inside_its_box(size: tuple[int, int]) -> None:
    overlay = Help(DARK)
    overlay.set_visible(True)
    overlay.lay_out(Rect(0, 0, *size), Metrics.of(*size))
    box = ink(overlay._ground, size)
    whole = ink(overlay, size)
    assert box is not None
    assert whole == box  # no letter outside of it
    assert inside(box, Rect(0, 0, *size))
    rows = [ink(name, size) for name, _ in overlay._rows]
    assert len(rows) == len(KEYS)
    assert all(row is not None for row in rows)
    assert all(b.y >= a.y + a.h for a, b in itertools.pairwise(rows) if a and b)

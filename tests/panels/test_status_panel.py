from __future__ import annotations

from dataclasses import replace

import pytest

from livecnn.figure import Screen
from livecnn.panels.status import LINES, REFRESH_TICKS, facts
from livecnn.types import LoopStatus, SourceStatus
from tests.drawing import MEASURED, context, ink, inside, labels, layout, scene


def screen_of(size: tuple[int, int] = (640, 480)) -> Screen:
    return Screen(layout({"it": {"kind": "status"}}, "it", size), context())


def lines(screen: Screen, status: LoopStatus = MEASURED) -> dict[str, str]:
    screen.show(scene(screen, status=status))
    texts = [label.text for label in labels(screen.drawers["it"].live)]
    return {what: value for what, value in zip(texts[::2], texts[1::2], strict=True) if what}


def test_what_has_been_measured() -> None:
    assert lines(screen_of()) == {
        "source": "camera 0",
        "state": "live",
        "display": "25 fps",
        "model rate": "24 fps",
        "model time": "3.1 ms",
        "picture age": "21 ms",
        "network's age": "40 ms",
    }
    assert len(lines(screen_of())) <= LINES


def test_what_has_not_been_measured_is_left_out() -> None:
    assert lines(screen_of(), LoopStatus()) == {"source": "", "state": "live"}
    assert facts(LoopStatus(display_fps=0.0)) == [("display", "0 fps")]


def test_numbers_stand_long_enough_to_be_read() -> None:
    screen = screen_of()
    seen = [lines(screen, replace(MEASURED, display_fps=float(tick)))["display"] for tick in range(2 * REFRESH_TICKS)]
    assert seen == ["0 fps"] * REFRESH_TICKS + [f"{REFRESH_TICKS} fps"] * REFRESH_TICKS


@pytest.mark.parametrize(
    ("status", "state"),
    [(replace(MEASURED, frozen=True), "frozen (space)"), (replace(MEASURED, source=SourceStatus("lost", "camera 0")), "lost")],
)
def test_a_new_state_is_told_at_once(status: LoopStatus, state: str) -> None:
    screen = screen_of()
    assert lines(screen)["state"] == "live"
    assert lines(screen, status)["state"] == state
    assert lines(screen)["state"] == "live"


@pytest.mark.parametrize("size", [(320, 240), (320, 1000), (1920, 1080)], ids=str)
def test_lines_that_do_not_fit_are_left_out(size: tuple[int, int]) -> None:
    screen = screen_of(size)
    lines(screen)
    drawer = screen.drawers["it"]
    places = [place for label in labels(drawer.live) if (place := ink(label, size))]
    assert places
    assert all(inside(place, drawer.body) for place in places)

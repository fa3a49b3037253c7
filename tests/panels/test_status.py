from dataclasses import replace

import pytest

from livecnn.app.screen.figure import FigureView
from livecnn.panels.status import LINES, REFRESH_TICKS
from livecnn.types import LoopStatus, SourceStatus
from tests.helpers.panel_screen import it, panel
from tests.helpers.scenes import MEASURED, ink, inside, labels, overlap, scene


def screen_of(size: tuple[int, int] = (640, 480), grid: str = "it") -> FigureView:
    return panel("status", size, grid=grid)


def lines(screen: FigureView, status: LoopStatus = MEASURED) -> dict[str, str]:
    screen.show(scene(screen, status=status))
    texts = [label.text for label in labels(it(screen).live)]
    return {what: value for what, value in zip(texts[::2], texts[1::2], strict=True) if what}


TROUBLE = SourceStatus(
    "lost", "camera 0", "trying again in 4 s (3rd time): it gives no more pictures; is it still plugged in?", 2
)
LIVE = {"source": "camera 0", "state": "live"}
RATES = {"display": "25 fps", "model rate": "24 fps", "model time": "3.1 ms", "picture age": "21 ms", "network's age": "40 ms"}


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (MEASURED, {**LIVE, **RATES}),
        (LoopStatus(), {"source": "", "state": "live"}),
        (LoopStatus(display_fps=0.0), {"source": "", "state": "live", "display": "0 fps"}),
        (LoopStatus(TROUBLE), {"source": "camera 0", "state": "lost", TROUBLE.note: "", "reconnected": "2 times"}),
        (LoopStatus(SourceStatus("live", "camera 0", "a note for the camera panel", 1)), {**LIVE, "reconnected": "once"}),
    ],
    ids=["measured", "not measured", "nothing drawn yet", "a trouble with its reason", "one that was overcome"],
)
def test_what_is_told(status: LoopStatus, told: dict[str, str]) -> None:
    found = lines(screen_of((800, 600)), status)
    assert found == told
    assert list(found) == list(told)
    assert len(found) <= LINES


def test_numbers_stand_long_enough_to_be_read() -> None:
    screen = screen_of()
    seen = [lines(screen, replace(MEASURED, display_fps=float(tick)))["display"] for tick in range(2 * REFRESH_TICKS)]
    assert seen == ["0 fps"] * REFRESH_TICKS + [f"{REFRESH_TICKS} fps"] * REFRESH_TICKS


@pytest.mark.parametrize(
    ("status", "state"),
    [(replace(MEASURED, frozen=True), "frozen (space)"), (replace(MEASURED, source=SourceStatus("lost", "camera 0")), "lost")],
)
def test_a_new_state_or_reason_is_told_at_once(status: LoopStatus, state: str) -> None:
    screen = screen_of()
    assert lines(screen)["state"] == "live"
    assert lines(screen, status)["state"] == state
    assert lines(screen)["state"] == "live"
    for note in ("no new picture for 3 s", "no new picture for 4 s"):
        assert note in lines(screen, LoopStatus(SourceStatus("stale", "camera 0", note)))


@pytest.mark.parametrize("size", [(320, 240), (320, 1000), (1920, 1080)], ids=str)
def test_lines_that_do_not_fit_are_left_out(size: tuple[int, int]) -> None:
    screen = screen_of(size)
    lines(screen)
    drawer = it(screen)
    places = [place for label in labels(drawer.live) if (place := ink(label, size))]
    assert places
    assert all(inside(place, drawer.body) for place in places)


@pytest.mark.parametrize("size", [(320, 240), (320, 1000), (640, 480)], ids=str)
@pytest.mark.parametrize("source", [TROUBLE, SourceStatus("stale", "camera 0", "no new picture for 3 s")], ids=["lost", "stale"])
def test_a_reason_goes_on_in_the_next_line(size: tuple[int, int], source: SourceStatus) -> None:
    screen = screen_of(size)
    told = list(lines(screen, replace(MEASURED, source=source)))
    reason = told[told.index("state") + 1 : told.index("reconnected" if source.reconnects else "display")]
    assert " ".join(reason) == source.note
    drawer = it(screen)
    shown = [label for label in labels(drawer.live) if ink(label, size)]
    assert all(label.advance() <= drawer.body.w for label in shown)
    for what, value in zip(drawer.live[::2], drawer.live[1::2], strict=True):
        places = [ink(label, size) for label in (what, value)]
        assert all(inside(place, drawer.body) for place in places if place)
        assert None in places or not overlap(*places)  # type: ignore[arg-type]


def test_a_value_is_told_in_full_and_a_long_name_shortened() -> None:
    screen = screen_of((320, 240), "it .")
    told = lines(screen, replace(MEASURED, source=SourceStatus("live", "http://camera.example/" + "x" * 200)))
    assert told["picture age"] == "21 ms"
    for label in labels(it(screen).live):
        if label.text in ("21 ms", "25 fps", "live"):
            assert label.width is not None
            assert label.advance() <= label.width

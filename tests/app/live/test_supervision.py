from dataclasses import replace
from typing import Any

import pytest

from livecnn.app.live.supervision import ConnectionMonitor, Timeouts

PATIENCE = Timeouts()
MS = 0.001
START = 1000.0
LOST = [("picture", 0), ("fails", 0, "unplugged?"), ("step", 1, "connect")]  # and the first attempt is under way


def play(*script: tuple[Any, ...], patience: Timeouts = PATIENCE, may_stand_still: bool = False) -> ConnectionMonitor:
    """Carry out a script; seconds are counted from the start. Steps that are no event are what has to be so then:

    ("picture", second), ("pictures", first, last, fps), ("same", first, last): other pictures, or the same at 10 a second;
    ("fails", second, reason), ("step", second, result), ("deadline", second), ("reconnects", count), (state, second, note).
    """
    monitor = ConnectionMonitor(patience, START, may_stand_still=may_stand_still)
    for event, second, *more in script:
        match event:
            case "picture":
                monitor.frame(START + second)
            case "pictures" | "same":
                last, fps = [*more, 10][:2]
                for i in range(round((last - second) * fps) + 1):
                    monitor.frame(START + second + i / fps, event == "same")
            case "fails":
                monitor.failed(START + second, *more)
            case "step":
                assert [monitor.step(START + second)] == more, second
            case "deadline":
                assert monitor.deadline == pytest.approx(START + second, abs=1e-9)
            case "reconnects":
                assert monitor.reconnects == second
            case state:
                assert [monitor.state(START + second), monitor.note(START + second)] == [state, *more], second
    return monitor


SCRIPTS: dict[str, list[tuple[Any, ...]]] = {
    "stale after two seconds": [
        ("pictures", -1, 0, 30), ("live", 1.9, ""), ("live", 2 - MS, ""),
        ("stale", 2 + MS, "no new picture for 2 s"), ("stale", 4.9, "no new picture for 4 s"),
    ],
    "of a slow device twice its usual interval is stale": [
        ("pictures", 1.5, 60, 1 / 1.5), ("live", 63 - 2 * MS, ""), ("stale", 63 + 2 * MS, "no new picture for 3 s"),
    ],
    "one picture makes a stale device live again": [
        ("picture", 0), ("stale", 3, "no new picture for 3 s"), ("picture", 3), ("live", 3, ""), ("reconnects", 0),
    ],
    "lost after five seconds without a picture": [
        ("picture", 1), ("deadline", 6), ("step", 6 - MS, None), ("stale", 6 - MS, "no new picture for 4 s"),
        ("step", 6 + MS, "leave"), ("lost", 6 + MS, "trying again in 1 s (1st time): no more pictures came"),
    ],
    "a failed read is a loss at once": [
        ("picture", 0), ("fails", 0.1, "unplugged?"), ("lost", 0.1, "trying again in 1 s (1st time): unplugged?"),
    ],
    "not frozen before five seconds of the same picture": [("picture", 0), ("same", 0.1, 5 - MS), ("live", 5 - MS, "")],
    "frozen after five seconds of the same picture, until another one comes": [
        ("picture", 0), ("same", 0.1, 5 + MS), ("frozen", 5 + MS, "the same picture for 5 s"),
        ("same", 5.1, 9), ("frozen", 9, "the same picture for 9 s"), ("picture", 9.1), ("live", 9.1, ""),
    ],
    "a frozen picture that stays away is stale first of all": [
        ("picture", 0), ("same", 0.1, 6), ("stale", 8.1, "no new picture for 2 s"),
    ],
    "a camera is lost after ten seconds of the same picture": [
        ("picture", 0), ("same", 0.1, 9.9), ("deadline", 10), ("step", 10 - MS, None), ("step", 10 + MS, "leave"),
        ("lost", 10 + MS, "trying again in 1 s (1st time): the picture stood still"),
    ],
    "a fresh connection with the same picture proves that it just looks so there": [
        ("picture", 0), ("same", 0.1, 9.9), ("step", 10, "leave"), ("step", 11, "connect"),
        ("same", 11.1, 60), ("step", 60, None), ("frozen", 60, "the same picture for 48 s"),
        ("picture", 60.1), ("same", 60.2, 70), ("step", 70.1 + MS, "leave"),
    ],
    "what is told of the attempts": [
        *LOST, ("lost", 1, "trying again now (1st time): unplugged?"), ("fails", 1.5, "no such device"),
        *(("lost", second, f"trying again in {left} s (2nd time): no such device")
          for second, left in ((1.5, 2), (2.4, 2), (2.6, 1), (3.4, 1))),
    ],
    "an attempt succeeds with its first picture": [*LOST, ("picture", 2), ("live", 2, ""), ("reconnects", 1), ("deadline", 7)],
    "an attempt without an answer is given up": [
        *LOST, ("deadline", 21), ("step", 21 - MS, None), ("step", 21 + MS, "leave"),
        ("lost", 21 + MS, "trying again in 2 s (2nd time): does not answer"),
    ],
    "after less than a minute of health the next loss is the second one": [
        *LOST, ("pictures", 2, 61.5), ("picture", 62 - MS), ("fails", 62.1, "unplugged?"), ("deadline", 64.1),
    ],
    "after a minute of health the next loss is the first one": [
        *LOST, ("pictures", 2, 61.5), ("picture", 62 + MS), ("fails", 62.1, "unplugged?"), ("deadline", 63.1),
    ],
    "health is counted from when it was stale": [
        *LOST, ("pictures", 2, 40), ("picture", 43), ("pictures", 46.1, 103), ("fails", 103, "unplugged?"), ("deadline", 105),
    ],
    "health is counted from when it was frozen": [
        *LOST, ("pictures", 2, 40), ("same", 40.1, 46), ("pictures", 46.1, 103), ("fails", 103, "unplugged?"), ("deadline", 105),
    ],
    "a gap that is a loss does not make the device a slow one": [
        ("pictures", 0, 10), ("fails", 10, "unplugged?"), ("step", 11, "connect"), ("picture", 500), ("picture", 500.1),
        ("stale", 502.2, "no new picture for 2 s"),
    ],
}  # fmt: skip


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
def test_a_device_over_time(script: list[tuple[Any, ...]]) -> None:
    play(*script)


def test_what_may_stand_still_is_frozen_for_ever() -> None:
    frozen = ("frozen", 600, "the same picture for 600 s")
    play(("picture", 0), ("same", 0.1, 600), ("step", 600, None), ("deadline", 605), frozen, may_stand_still=True)


def attempts(patience: Timeouts, count: int) -> tuple[list[float], str]:
    """The seconds waited before each of so many attempts that fail, and what is told of the last one."""
    monitor, now, waits = play(("picture", 0), patience=patience), START, []
    for _ in range(count):
        monitor.failed(now, "unplugged?")
        waits.append(round(monitor.deadline - now, 6))
        now = monitor.deadline
        assert monitor.step(now - MS) is None
        assert monitor.step(now + MS) == "connect"
        now += MS
    return waits, monitor.note(now)


def test_attempts_are_made_after_ever_longer_waits_for_ever() -> None:
    assert attempts(PATIENCE, 8)[0] == [1, 2, 4, 8, 10, 10, 10, 10]


@pytest.mark.parametrize(
    ("count", "words"), [(1, "1st"), (2, "2nd"), (3, "3rd"), (4, "4th"), (11, "11th"), (12, "12th"), (21, "21st"), (111, "111th")]
)
def test_attempts_are_counted(count: int, words: str) -> None:
    assert f"({words} time)" in attempts(replace(PATIENCE, delays=(0.5,)), count)[1]

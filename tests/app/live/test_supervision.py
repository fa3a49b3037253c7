from collections.abc import Iterator
from dataclasses import replace

import pytest

from livecnn.app.live.supervision import ConnectionMonitor, Timeouts

PATIENCE = Timeouts()
MS = 0.001
START = 1000.0


class Told:
    """A supervision with a clock that the test moves; seconds are counted from the start."""

    def __init__(self, patience: Timeouts = PATIENCE, *, may_stand_still: bool = False) -> None:
        self.patience = patience
        self.it = ConnectionMonitor(patience, START, may_stand_still=may_stand_still)

    def frame(self, second: float, same: bool = False) -> None:
        self.it.frame(START + second, same)

    def frames(self, first: float, last: float, fps: float = 10, same: bool = False) -> None:
        """Pictures at a steady rate, `first` and `last` included."""
        for i in range(round((last - first) * fps) + 1):
            self.frame(first + i / fps, same)

    def failed(self, second: float, reason: str = "unplugged?") -> None:
        self.it.failed(START + second, reason)

    def step(self, second: float) -> str | None:
        return self.it.step(START + second)

    def state(self, second: float) -> str:
        return self.it.state(START + second)

    def note(self, second: float) -> str:
        return self.it.note(START + second)

    @property
    def deadline(self) -> float:
        return self.it.deadline - START

    def tries(self, second: float, count: int) -> Iterator[float]:
        """Fail at `second` and at each of so many attempts; gives the seconds waited before them."""
        for _ in range(count):
            self.failed(second)
            wait = self.deadline - second
            assert self.step(second + wait - MS) is None
            assert self.step(second + wait + MS) == "connect"
            second += wait + MS
            yield round(wait, 6)


@pytest.mark.parametrize(("second", "state"), [(1.9, "live"), (2 - MS, "live"), (2 + MS, "stale"), (4.9, "stale")])
def test_stale_after_two_seconds(second: float, state: str) -> None:
    told = Told()
    told.frames(-1, 0, fps=30)
    assert told.state(second) == state
    assert told.note(second) == ("" if state == "live" else f"no new picture for {int(second)} s")


def test_of_a_slow_device_twice_its_usual_interval_is_stale() -> None:
    told = Told()
    told.frames(1.5, 60, fps=1 / 1.5)
    assert told.state(60 + 3 - 2 * MS) == "live"
    assert told.state(60 + 3 + 2 * MS) == "stale"


def test_one_picture_makes_a_stale_device_live_again() -> None:
    told = Told()
    told.frame(0)
    assert told.state(3) == "stale"
    told.frame(3)
    assert told.state(3) == "live"
    assert told.note(3) == ""
    assert told.it.reconnects == 0


def test_lost_after_five_seconds_without_a_picture() -> None:
    told = Told()
    told.frame(1)
    assert told.deadline == 6
    assert told.step(6 - MS) is None
    assert told.state(6 - MS) == "stale"
    assert told.step(6 + MS) == "leave"
    assert told.state(6 + MS) == "lost"
    assert told.note(6 + MS) == "trying again in 1 s (1st time): no more pictures came"


def test_a_failed_read_is_a_loss_at_once() -> None:
    told = Told()
    told.frame(0)
    told.failed(0.1)
    assert told.state(0.1) == "lost"
    assert told.note(0.1) == "trying again in 1 s (1st time): unplugged?"


@pytest.mark.parametrize(("second", "state"), [(5 - MS, "live"), (5 + MS, "frozen"), (9, "frozen")])
def test_frozen_after_five_seconds_of_the_same_picture(second: float, state: str) -> None:
    told = Told()
    told.frame(0)
    told.frames(0.1, second, same=True)
    assert told.state(second) == state
    assert told.note(second) == ("" if state == "live" else f"the same picture for {int(second)} s")


def test_another_picture_ends_the_frost() -> None:
    told = Told()
    told.frame(0)
    told.frames(0.1, 7, same=True)
    told.frame(7.1)
    assert told.state(7.1) == "live"


def test_a_frozen_picture_that_stays_away_is_stale_first_of_all() -> None:
    told = Told()
    told.frame(0)
    told.frames(0.1, 6, same=True)
    assert told.state(8.1) == "stale"


def test_a_camera_is_lost_after_ten_seconds_of_the_same_picture() -> None:
    told = Told()
    told.frame(0)
    told.frames(0.1, 9.9, same=True)
    assert told.deadline == 10
    assert told.step(10 - MS) is None
    assert told.step(10 + MS) == "leave"
    assert told.note(10 + MS) == "trying again in 1 s (1st time): the picture stood still"


def test_what_may_stand_still_is_frozen_for_ever() -> None:
    told = Told(may_stand_still=True)
    told.frame(0)
    told.frames(0.1, 600, same=True)
    assert told.step(600) is None
    assert told.deadline == 605
    assert told.state(600) == "frozen"


def test_a_fresh_connection_with_the_same_picture_proves_that_it_just_looks_so_there() -> None:
    told = Told()
    told.frame(0)
    told.frames(0.1, 9.9, same=True)
    assert [told.step(10), told.step(11)] == ["leave", "connect"]
    told.frames(11.1, 60, same=True)
    assert told.step(60) is None
    assert told.state(60) == "frozen"
    told.frame(60.1)
    told.frames(60.2, 70, same=True)
    assert told.step(70.1 + MS) == "leave"


def test_attempts_are_made_after_ever_longer_waits_for_ever() -> None:
    told = Told()
    told.frame(0)
    assert list(told.tries(0, 8)) == [1, 2, 4, 8, 10, 10, 10, 10]


def test_what_is_told_of_the_attempts() -> None:
    told = Told()
    told.frame(0)
    told.failed(0, "unplugged?")
    assert told.step(1) == "connect"
    assert told.state(1) == "lost"
    assert told.note(1) == "trying again now (1st time): unplugged?"
    told.failed(1.5, "no such device")
    notes = [told.note(second) for second in (1.5, 2.4, 2.6, 3.4)]
    words = "trying again in {} s (2nd time): no such device"
    assert notes == [words.format(2), words.format(2), words.format(1), words.format(1)]


@pytest.mark.parametrize(
    ("count", "words"), [(1, "1st"), (2, "2nd"), (3, "3rd"), (4, "4th"), (11, "11th"), (12, "12th"), (21, "21st"), (111, "111th")]
)
def test_attempts_are_counted(count: int, words: str) -> None:
    told = Told(replace(PATIENCE, delays=(0.5,)))
    told.frame(0)
    list(told.tries(0, count))
    assert f"({words} time)" in told.note(9999)


def test_an_attempt_succeeds_with_its_first_picture() -> None:
    told = Told()
    told.frame(0)
    told.failed(0)
    told.step(1)
    told.frame(2)
    assert (told.state(2), told.note(2), told.it.reconnects) == ("live", "", 1)
    assert told.deadline == 7


def test_an_attempt_without_an_answer_is_given_up() -> None:
    told = Told()
    told.frame(0)
    told.failed(0)
    told.step(1)
    assert told.deadline == 21
    assert told.step(21 - MS) is None
    assert told.step(21 + MS) == "leave"
    assert told.note(21 + MS) == "trying again in 2 s (2nd time): does not answer"


@pytest.mark.parametrize(("healthy", "delay"), [(60 - MS, 2), (60 + MS, 1)])
def test_after_a_minute_of_health_the_next_loss_is_the_first_one(healthy: float, delay: float) -> None:
    told = Told()
    told.frame(0)
    told.failed(0)
    told.step(1)
    told.frames(2, 61.5)
    told.frame(2 + healthy)
    told.failed(62.1)
    assert told.deadline == pytest.approx(62.1 + delay)


@pytest.mark.parametrize("trouble", ["stale", "frozen"])
def test_health_is_counted_from_the_last_trouble(trouble: str) -> None:
    told = Told()
    told.frame(0)
    told.failed(0)
    told.step(1)
    told.frames(2, 40)
    told.frames(40.1, 46, same=True) if trouble == "frozen" else told.frame(43)
    told.frames(46.1, 103)
    told.failed(103)
    assert told.deadline == 105


def test_a_gap_that_is_a_loss_does_not_make_the_device_a_slow_one() -> None:
    told = Told()
    told.frames(0, 10)
    told.failed(10)
    told.step(11)
    told.frame(500)
    told.frame(500.1)
    assert told.state(502.2) == "stale"

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livecnn.panels.time.history import BINS, History

STEP = 1 / 30


def filled(seconds: float = 10, count: int = 600) -> History:
    history = History(seconds)
    for index in range(count):
        history.add(index * STEP, float(index))
    return history


def test_it_reaches_back_as_far_as_it_was_told() -> None:
    history = filled()
    (run,) = history.stretches()
    assert max(map(history.ago, run)) == pytest.approx(10, abs=0.1)
    assert min(map(history.ago, run)) < 0.1
    low, high = history.ends() or (0, 0)
    assert (low, high) == (pytest.approx(299, abs=2), 599)


@given(st.lists(st.tuples(st.floats(0, 5), st.floats(-9, 9) | st.just(math.nan)), max_size=60), st.integers(1, 20))
def test_memory_is_bounded_whatever_comes(samples: list[tuple[float, float]], seconds: int) -> None:
    history = History(seconds)
    for time, value in samples * 20:
        history.add(time, value)
    assert sum(map(len, history.stretches())) <= BINS + 1
    assert all(run for run in history.stretches())


def test_memory_does_not_grow_with_the_rate() -> None:
    history = History(1)
    for index in range(20_000):
        history.add(index / 5000, 1.0 if index % 7 else math.nan)
    assert sum(map(len, history.stretches())) <= 2 * BINS


def test_samples_of_one_moment_are_put_together() -> None:
    history = History(BINS)
    for value, spread in ((1.0, 0.5), (4.0, 1.0), (4.0, 0.0)):
        history.add(0.5, value, spread)
    ((each,),) = history.stretches()
    assert (each.mean, each.low, each.high) == (3, 0.5, 5)


def test_a_gap_parts_the_line() -> None:
    history = History(10)
    for index, value in enumerate([1.0, 2.0, math.nan, math.nan, 3.0, math.inf, 4.0]):
        history.add(index * 0.5, value)
    assert [[each.mean for each in run] for run in history.stretches()] == [[1, 2], [3], [4]]


def test_a_silence_parts_the_line_and_slow_samples_do_not() -> None:
    history = History(30)
    for time in (0.0, 1.5, 3.0, 6.5):
        history.add(time, time)
    assert [len(run) for run in history.stretches()] == [3, 1]


def test_a_time_before_the_last_one_starts_anew() -> None:
    history = filled()
    history.add(0.0, 7.0)
    assert history.ends() == (7, 7)


def test_without_a_sample() -> None:
    history = History(10)
    assert (history.ends(), history.stretches()) == (None, [])
    history.add(0.0, math.nan)
    assert (history.ends(), history.stretches()) == (None, [])

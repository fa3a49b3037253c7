import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from livecnn.panels.base.history import BINS, KEPT, History, ScoreHistory, ScoreSeries

STEP = 1 / 30
ALL = np.arange(3)


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


def certain(index: int, classes: int = 3) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    return np.eye(classes, dtype=np.float32)[index]


def filled_scores(*classes: int | None, seconds: float = 10, fps: float = 5) -> ScoreHistory:
    shares = ScoreHistory(3, seconds)
    for step, index in enumerate(classes):
        shares.add(step / fps, None if index is None else certain(index))
    return shares


def runs(course: ScoreSeries) -> list[int]:
    """How many bins each has."""
    return [int((course.run == run).sum()) for run in dict.fromkeys(course.run)]


def test_scores_come_back_the_oldest_first() -> None:
    course = filled_scores(0, 1, 2).course(ALL)
    assert course.ago == pytest.approx([0.4, 0.2, 0], abs=0.03)
    assert course.shares.tolist() == [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]]
    assert runs(course) == [3]


def test_what_is_not_chosen_are_others() -> None:
    assert filled_scores(0, 1, 2).course(np.array([1])).shares.tolist() == [[0, 1], [1, 0], [0, 1]]


def test_scores_samples_of_one_moment_are_put_together() -> None:
    shares = ScoreHistory(3, BINS)
    for index in (0, 0, 0, 1):
        shares.add(0.5, certain(index))
    assert shares.course(ALL).shares.tolist() == [[0.75, 0.25, 0, 0]]


def test_an_empty_box_and_a_silence_are_gaps() -> None:
    assert runs(filled_scores(0, 0, None, None, 1, 1, 1).course(ALL)) == [2, 3]
    shares = filled_scores(0, 0)
    shares.add(5.0, certain(1))
    assert runs(shares.course(ALL)) == [2, 1]
    assert runs(filled_scores(0, 1, 2, fps=0.6).course(ALL)) == [3]  # slow, but no silence


def test_scores_a_time_before_the_last_one_starts_anew() -> None:
    shares = filled_scores(0, 1, 2)
    shares.add(0.1, certain(1))
    assert shares.course(ALL).shares.tolist() == [[0, 1, 0, 0]]


def test_what_is_older_is_forgotten() -> None:
    course = filled_scores(*[0] * 300, seconds=10).course(ALL)
    assert course.ago.max() == pytest.approx(10, abs=0.3)


@given(st.lists(st.tuples(st.floats(0, 5), st.integers(0, 2) | st.none()), max_size=60), st.integers(1, 20))
def test_bounded_and_in_order_whatever_comes(samples: list[tuple[float, int | None]], seconds: int) -> None:
    shares = ScoreHistory(3, seconds)
    for time, index in samples * 5:
        shares.add(time, None if index is None else certain(index))
    course = shares.course(ALL)
    assert len(course.ago) <= KEPT
    assert (np.diff(course.ago) <= 0).all()
    assert (np.diff(course.run) >= 0).all()
    assert course.shares.sum(axis=1) == pytest.approx(np.ones(len(course.ago)))
    assert not course.shares[:, -1].any()


def test_the_strongest_of_all_the_time() -> None:
    shares = filled_scores(2, 2, 2, 0, 0, 1)
    assert shares.strongest(1).tolist() == [2]
    assert shares.strongest(2).tolist() == [0, 2]
    assert shares.strongest(3).tolist() == shares.strongest(9).tolist() == [0, 1, 2]


def test_the_scores_at_a_time() -> None:
    shares = filled_scores(0, 1, None, None, None, 2)
    for time, top in ((0.02, 0), (0.08, 0), (0.12, 1), (0.21, 1), (1.0, 2)):
        found = shares.at(time)
        assert found is not None
        assert found.argmax() == top, time
    assert shares.at(0.5) is None
    assert shares.at(-1) is None
    assert ScoreHistory(3, 10).at(0) is None


def test_scores_without_a_sample() -> None:
    for shares in (ScoreHistory(3, 10), filled_scores(None, None)):
        course = shares.course(ALL)
        assert course.shares.shape == (0, 4)
        assert len(shares.strongest(2)) == 2

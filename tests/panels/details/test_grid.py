import numpy as np

from livecnn.panels.details.grid import Ranking
from livecnn.types import Floats


def values(*numbers: float) -> Floats:
    return np.array(numbers, np.float32)


def test_by_number_at_first_and_again() -> None:
    ranking = Ranking(3)
    assert ranking.order.tolist() == [0, 1, 2]
    ranking.take("mean", values(1, 2, 3), 0.0)
    assert ranking.order.tolist() == [2, 1, 0]
    ranking.take("number", None, 0.0)
    assert ranking.order.tolist() == [0, 1, 2]


def test_equal_ones_by_number_and_what_is_not_a_number_last() -> None:
    ranking = Ranking(5)
    ranking.take("max", values(1, np.nan, 5, 1, 5), 0.0)
    assert ranking.order.tolist() == [2, 4, 0, 3, 1]


def test_sorted_anew_after_a_second_and_not_before() -> None:
    ranking = Ranking(2)
    ranking.take("mean", values(1, 0), 10.0)
    for moment in np.linspace(10.03, 10.99, 30):
        ranking.take("mean", values(0, 1), float(moment))
        assert ranking.order.tolist() == [0, 1]
    ranking.take("mean", values(0, 1), 11.0)
    assert ranking.order.tolist() == [1, 0]


def test_one_odd_tick_changes_little() -> None:
    ranking = Ranking(2)
    for second in range(10):
        ranking.take("mean", values(1, 0), float(second))
    ranking.take("mean", values(0, 1), 10.0)
    assert ranking.order.tolist() == [0, 1]


def test_another_order_counts_at_once_and_forgets_the_values_of_the_one_before() -> None:
    ranking = Ranking(2)
    ranking.take("mean", values(100, 0), 0.0)
    ranking.take("max", values(0, 1), 0.01)
    assert ranking.order.tolist() == [1, 0]


def test_values_that_come_late() -> None:
    ranking = Ranking(2)
    ranking.take("mean", values(0, 1), 0.0)
    ranking.take("contribution", None, 0.01)
    assert ranking.order.tolist() == [0, 1]
    ranking.take("contribution", values(-1, 1), 0.02)
    assert ranking.order.tolist() == [1, 0]


def test_a_unit_recovers_from_what_is_not_a_number() -> None:
    ranking = Ranking(2)
    ranking.take("mean", values(0, np.nan), 0.0)
    ranking.take("mean", values(0, 5), 2.0)
    assert ranking.order.tolist() == [1, 0]


def test_a_clock_that_was_set_back_sorts() -> None:
    ranking = Ranking(2)
    ranking.take("mean", values(1, 0), 100.0)
    ranking.take("mean", values(-50, 1), 0.0)
    assert ranking.order.tolist() == [1, 0]

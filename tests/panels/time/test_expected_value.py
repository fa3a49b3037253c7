import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from livecnn.panels.time.expected_value import expected, numbers

YEARS = numbers([str(year) for year in range(101)])


def test_classes_as_numbers() -> None:
    assert numbers(["0", "2.5", "-1e2", " 7 "]).tolist() == [0, 2.5, -100, 7]


@pytest.mark.parametrize("name", ["seven", "", "nan", "inf", "(25, 32)"])
def test_classes_that_are_none(name: str) -> None:
    with pytest.raises(ValueError, match=r"the class .* is no number; classes such as 0, 1, 2"):
        numbers(["1", name])


@given(st.lists(st.floats(0, 1), min_size=101, max_size=101).filter(lambda weights: sum(weights) > 1e-3))
def test_mean_and_standard_deviation_by_definition(weights: list[float]) -> None:
    scores = np.array(weights, np.float32) / np.float32(sum(weights))
    mean, spread = expected(scores, YEARS)
    rounds = np.repeat(np.arange(101.0), np.maximum(0, np.round(scores * 1e5)).astype(int))
    assert mean == pytest.approx(rounds.mean(), abs=0.1)
    assert spread == pytest.approx(rounds.std(), abs=0.2)


def test_a_certain_class_has_no_spread() -> None:
    assert expected(np.eye(101, dtype=np.float32)[40], YEARS) == (40, 0)


@pytest.mark.parametrize("value", [0.0, math.nan, math.inf])
def test_scores_without_an_expected_value(value: float) -> None:
    assert all(math.isnan(number) for number in expected(np.full(101, value, np.float32), YEARS))

import numpy as np
import pytest

from livecnn.explain.results import minmax, signed
from livecnn.types import Floats


def maps(*rows: list[float]) -> Floats:
    return np.array(rows, np.float32)[:, None, None]


def test_minmax_and_back() -> None:
    values = maps([-1, 0, 3], [5, 6, 10])
    levels, low, high = minmax(values)
    assert levels.dtype == np.uint8
    assert levels.tolist() == [[[[0, 64, 255]]], [[[0, 51, 255]]]]
    assert (low.tolist(), high.tolist()) == ([-1, 5], [3, 10])
    back = low[:, None, None, None] + levels / 255 * (high - low)[:, None, None, None]
    assert np.abs(back - values).max() <= 0.5 / 255 * 5


def test_signed_and_back() -> None:
    values = maps([-1, 0, 4], [0.5, -10, 5])
    levels, low, high = signed(values)
    assert levels.tolist() == [[[[96, 128, 255]]], [[[134, 1, 192]]]]
    assert (low.tolist(), high.tolist()) == ([-4, -10], [4, 10])
    back = (levels.astype(float) - 128) / 127 * high[:, None, None, None]
    assert np.abs(back - values).max() <= 0.5 / 127 * 10


@pytest.mark.parametrize("value", [0, 7, -7])
def test_maps_that_are_even(value: float) -> None:
    assert minmax(maps([value, value]))[0].tolist() == [[[[0, 0]]]]
    assert signed(maps([value, value]))[0].tolist() == [[[[128 + 127 * np.sign(value)] * 2]]]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_what_is_not_finite_counts_as_zero(value: float) -> None:
    for scale in (minmax, signed):
        levels, low, high = scale(maps([value, 2, -1], [value, value, value]))
        expected, *ends = scale(maps([0, 2, -1], [0, 0, 0]))
        assert (levels == expected).all()
        assert ([low.tolist(), high.tolist()]) == [end.tolist() for end in ends]


@pytest.mark.parametrize("most", [1e-44, 1e-38, 1e-34])
def test_values_next_to_nothing(most: float) -> None:
    for scale, zero in ((minmax, 0), (signed, 128)):
        levels, _, high = scale(maps([0, most]))
        assert levels[0, 0, 0].tolist() == [zero, 255 if most > 1e-36 else zero]
        assert high[0] == np.float32(most)

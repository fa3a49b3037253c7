import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livecnn.drawing.ticks import format_number, format_tick, round_limits, round_step, three_digits, ticks

ends = st.floats(-1e9, 1e9).filter(lambda value: value == 0 or abs(value) > 1e-6)


@pytest.mark.parametrize(
    ("low", "high", "most", "wanted"),
    [
        (0, 100, 11, tuple(range(0, 101, 10))),
        (0, 100, 10, tuple(range(0, 101, 20))),
        (0, 100, 3, (0, 50, 100)),
        (0, 30, 4, (0, 10, 20, 30)),
        (-1, 1, 5, (-1, -0.5, 0, 0.5, 1)),
        (3, 17, 4, (5, 10, 15)),
        (0, 1, 1, (0,)),
    ],
)
def test_ticks(low: float, high: float, most: int, wanted: tuple[float, ...]) -> None:
    assert ticks(low, high, most) == pytest.approx(wanted)


@given(ends, ends, st.integers(1, 30))
def test_ticks_are_few_on_the_axis_and_evenly_spaced(one: float, other: float, most: int) -> None:
    low, high = sorted((one, other))
    if high - low < 1e-6 * max(abs(low), abs(high), 1):
        return
    found = ticks(low, high, most)
    slack = (high - low) * 1e-6
    assert len(found) <= most
    assert all(low - slack <= value <= high + slack for value in found)
    distances = [after - before for before, after in itertools.pairwise(found)]
    assert distances == pytest.approx([distances[0]] * len(distances) if distances else [])


@given(st.floats(1e-9, 1e9))
def test_a_round_step_is_the_next_one_upwards(least: float) -> None:
    step = round_step(least)
    assert least * (1 - 1e-6) <= step < 2.5 * least * (1 + 1e-6)
    assert float(f"{step:.0e}"[0]) in (1, 2, 5)


@given(ends, ends)
def test_around_holds_both_and_little_more(one: float, other: float) -> None:
    low, high = sorted((one, other))
    start, end = round_limits(low, high)
    slack = max(abs(low), abs(high), 1e-6) * 1e-6
    assert start < end
    assert start <= low + slack
    assert end >= high - slack
    if high - low > slack:
        assert end - start <= 2.5 * (high - low)


def test_around_by_hand() -> None:
    assert round_limits(0, 0) == (0, 1)
    assert round_limits(13, 27) == (10, 30)
    assert round_limits(-1e9, -999_999_999.9999999) == (-1.5e9, -0.5e9)  # as good as equal
    assert round_limits(0, 100) == (0, 100)


def test_numbers_in_few_digits() -> None:
    assert [format_tick(value) for value in (0.0, -0.0, 50.0, 0.1 + 0.2, -2.5, 1e7)] == ["0", "0", "50", "0.3", "-2.5", "1e+07"]
    assert [three_digits(value) for value in (34.249, 99.96, 342.4, 0.3421, -7.0, 0.0, 1e7)] == [
        "34.2", "100", "342", "0.342", "-7.0", "0", "1e+07",
    ]  # fmt: skip
    assert three_digits(math.pi) == "3.1"


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (0.0, "0"),
        (-1.844, "−1.84"),
        (0.0708, "0.0708"),
        (12.34, "12.3"),
        (-1234.5, "−1234"),
        (1e6, "1.0e+06"),
        (-2e-5, "−2.0e−05"),
        (math.nan, "not finite"),
        (-math.inf, "not finite"),
    ],
)
def test_numbers_in_about_three_digits(value: float, told: str) -> None:
    assert format_number(value) == told

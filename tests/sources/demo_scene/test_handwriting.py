import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livecnn.sources.demo_scene.handwriting import Points, Writing, write

writings = st.builds(lambda digit, seed: write(digit, np.random.default_rng(seed)), st.integers(0, 9), st.integers(0, 10**6))


def length(lines: list[Points]) -> float:
    return float(sum(np.linalg.norm(np.diff(line, axis=0), axis=1).sum() for line in lines))


@settings(max_examples=50, deadline=None)
@given(writing=writings, shares=st.tuples(st.floats(0, 1), st.floats(0, 1)))
def test_ink_only_grows_and_ends_at_the_pen(writing: Writing, shares: tuple[float, float]) -> None:
    early, late = sorted(shares)
    assert length(writing.lines(early)) <= length(writing.lines(late)) + 1e-9
    assert length(writing.lines(late)) <= length(writing.lines(1.0)) + 1e-9


@settings(max_examples=50, deadline=None)
@given(writing=writings)
def test_a_digit_fits_its_square_and_a_pen(writing: Writing) -> None:
    ink = np.vstack(writing.lines(1.0))
    assert np.abs(ink).max() + writing.thickness / 2 < 128
    assert 120 < np.ptp(ink[:, 1]) < 200
    assert 6 <= writing.thickness <= 14
    assert writing.tip(1.0) == pytest.approx(ink[-1])
    assert np.all(np.diff(writing.clock) >= 0)
    assert (writing.clock[0], writing.clock[-1]) == (0.0, 1.0)


@pytest.mark.parametrize(("digit", "strokes"), [(0, 1), (4, 2), (5, 2), (7, 1)])
def test_pens_are_lifted_between_strokes(digit: int, strokes: int) -> None:
    writing = write(digit, np.random.default_rng(0))
    assert len(writing.lines(1.0)) == strokes
    assert len(writing.lines(0.05)) == 1


def test_nothing_is_written_while_the_pen_is_up() -> None:
    writing = write(4, np.random.default_rng(0))
    lifted = int(np.flatnonzero(~writing.drawn)[1])
    before, after = writing.clock[lifted - 1], writing.clock[lifted]
    middle = (before + after) / 2
    assert length(writing.lines(middle)) == pytest.approx(length(writing.lines(before)))
    assert writing.tip(middle) == pytest.approx((writing.path[lifted - 1] + writing.path[lifted]) / 2)


def test_every_writing_is_another_one() -> None:
    first, second = (write(3, np.random.default_rng(seed)) for seed in (1, 2))
    assert not np.allclose(first.path, second.path)
    np.testing.assert_array_equal(first.path, write(3, np.random.default_rng(1)).path)

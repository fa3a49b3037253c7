import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from livecnn.analysis.top.scan import ACCURACY, LEAST, MOST, QuantileSketch

SHARES = (0.0, 0.01, 0.25, 0.5, 0.9, 1.0)


@given(arrays(np.float64, st.tuples(st.integers(1, 40), st.just(2)), elements=st.floats(-1e15, 1e15)), st.data())
def test_quantiles_are_as_accurate_as_promised(values: np.ndarray, data: st.DataObject) -> None:
    group = np.array(data.draw(st.lists(st.integers(0, 1), min_size=len(values), max_size=len(values))))
    sketch = QuantileSketch(2, 2)
    for start in range(0, len(values), 7):
        sketch.add(values[start : start + 7], group[start : start + 7])
    for share in SHARES:
        found, whole = sketch.quantile(share), sketch.total().quantile(share)
        for unit in range(2):
            assert whole[0, unit] == pytest.approx(rank(values[:, unit], share), rel=ACCURACY * 1.0001, abs=LEAST)
            for each in range(2):
                chosen = values[group == each, unit]
                expected = rank(chosen, share) if len(chosen) else np.nan
                assert found[each, unit] == pytest.approx(expected, rel=ACCURACY * 1.0001, abs=LEAST, nan_ok=True)


def rank(values: np.ndarray, share: float) -> float:
    return float(np.sort(values)[int(np.floor(share * (len(values) - 1)))])


def test_what_is_not_finite_or_beyond_the_scale() -> None:
    sketch = QuantileSketch(1, 1)
    assert np.isnan(sketch.quantile(0.5)).all()
    sketch.add(np.array([[np.nan], [np.inf], [1e30]]), np.zeros(3, int))
    assert sketch.quantile(0.5)[0, 0] == pytest.approx(MOST, rel=ACCURACY * 1.001)


def test_what_is_kept_does_not_grow_with_the_number_of_values() -> None:
    sketch, random = QuantileSketch(1, 3), np.random.default_rng(0)
    for _ in range(40):
        sketch.add(random.uniform(1, 2, (20_000, 3)), np.zeros(20_000, int))
    assert len(sketch.keys) < 3 * 40
    assert sketch.counts.sum() == 40 * 60_000


def test_counting_takes_no_more_memory_than_some_batches() -> None:
    sketch, values = QuantileSketch(1, 100), np.random.default_rng(0).uniform(1, 2, (1000, 100))
    tracemalloc.start()
    for _ in range(30):
        sketch.add(values, np.zeros(1000, int))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 30e6  # of 48 MB that are counted

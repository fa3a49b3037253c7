"""What is gathered of units: parts merged in any order are the whole."""

import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from livecnn.analysis.top import CollectionStats, Covariance, TopK, scan
from livecnn.analysis.top.scan import ACCURACY, LEAST, MOST, NONE, QuantileSketch

UNITS = {"conv": 5, "fc": 4}
GROUPS = 3
SHARES = (0.0, 0.01, 0.25, 0.5, 0.9, 1.0)


def images(count: int, seed: int = 0) -> tuple[dict[str, torch.Tensor], list[int]]:
    """Activations with many equal values and some that are not finite, and the images' groups."""
    random = np.random.default_rng(seed)
    maps = np.round(random.normal(0, 2, (count, 5, 2, 3)))
    units = np.maximum(random.normal(0, 1e3, (count, 4)), 0)
    units[:, 2] = 0
    maps[random.random(maps.shape) < 0.02] = np.nan
    return {"conv": torch.tensor(maps, dtype=torch.float32), "fc": torch.tensor(units)}, random.integers(
        0, GROUPS, count
    ).tolist()


def scanned(whole: tuple[dict[str, torch.Tensor], list[int]], places: list[int]) -> CollectionStats:
    """Of some of the images, two at a time."""
    activations, groups = whole
    found = CollectionStats.none(UNITS, GROUPS, 3)
    for start in range(0, len(places), 2):
        rows = places[start : start + 2]
        found.add({layer: values[rows] for layer, values in activations.items()}, rows, [groups[row] for row in rows])
    found.skipped = [f"{place}.png" for place in places if place % 5 == 4]
    return found


def assert_same(one: CollectionStats, other: CollectionStats) -> None:
    assert one.sizes.tolist() == other.sizes.tolist()
    assert sorted(one.skipped) == sorted(other.skipped)
    for name, layer in one.layers.items():
        mine, theirs = layer.arrays(), other.layers[name].arrays()
        assert mine.keys() == theirs.keys()
        for key, array in mine.items():
            if array.dtype.kind == "i" or key.startswith("best"):
                assert np.array_equal(array, theirs[key]), key
            else:
                assert array == pytest.approx(theirs[key], rel=1e-6, abs=1e-6), key


@settings(max_examples=40)
@given(st.data())
def test_parts_merged_in_any_order_are_the_whole(data: st.DataObject) -> None:
    whole = images(24, data.draw(st.integers(0, 50)))
    order = data.draw(st.permutations(range(24)))
    ends = sorted(data.draw(st.sets(st.integers(1, 23), max_size=6)))
    parts = [scanned(whole, order[start:end]) for start, end in zip([0, *ends], [*ends, 24], strict=True)]
    while len(parts) > 1:
        one = parts.pop(data.draw(st.integers(0, len(parts) - 1)))
        other = parts.pop(data.draw(st.integers(0, len(parts) - 1)))
        one.merge(CollectionStats.unpacked(other.packed()))
        parts.append(one)
    assert_same(parts[0], scanned(whole, list(range(24))))


def test_the_figures_agree_with_a_direct_computation() -> None:
    activations, groups = images(200)
    layer = scanned((activations, groups), list(range(200))).layers["conv"]
    maps = activations["conv"].double().numpy().reshape(200, 5, 6)
    finite = np.isfinite(maps).all(2)
    for unit in range(5):
        values, peaks = maps[finite[:, unit], unit].mean(1), np.where(finite[:, unit], maps[:, unit].max(1), -np.inf)
        assert layer.moments.total().mean[0, unit] == pytest.approx(values.mean())
        strongest = sorted(range(200), key=lambda image, peaks=peaks: (-peaks[image], image))[:3]
        assert layer.best.images[:, unit].tolist() == strongest
        assert layer.best.values[:, unit].tolist() == peaks[strongest].tolist()
        for image, value, position in zip(strongest, layer.best.values[:, unit], layer.best.positions[:, unit], strict=True):
            assert maps[image, unit, position] == value
    means = maps[finite.all(1)].mean(2)
    assert layer.covariance is not None
    assert layer.covariance.correlation() == pytest.approx(np.corrcoef(means.T), abs=1e-12)


def test_a_unit_that_never_changes_has_no_correlation() -> None:
    layer = scanned(images(50), list(range(50))).layers["fc"]
    assert layer.covariance is not None
    correlation = layer.covariance.correlation()
    assert np.isnan(correlation[2]).all()
    assert np.diag(correlation)[[0, 1, 3]] == pytest.approx(1)


def test_large_layers_have_no_correlation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan, "MOST_CORRELATED", 4)
    found = scanned(images(6), [0, 1, 2])
    found.merge(CollectionStats.unpacked(scanned(images(6), [3, 4, 5]).packed()))
    assert found.layers["conv"].covariance is None
    assert found.layers["fc"].covariance is not None


def test_fewer_images_than_asked_for() -> None:
    best = TopK.none(3, 2)
    best.add(np.array([[1, np.nan], [4, -np.inf]]), np.array([7, 3]), np.zeros((2, 2), int))
    assert best.images.T.tolist() == [[3, 7, NONE], [NONE] * 3]
    assert best.values[:, 0].tolist() == [4, 1, -np.inf]


def test_nothing_finite_changes_nothing() -> None:
    covariance = Covariance.none(2)
    covariance.add(np.array([[1, np.nan]]))
    assert covariance.count == 0
    assert np.isnan(covariance.correlation()).all()


@pytest.mark.parametrize("data", [b"", b"broken", b"PK\x03\x04rest"])
def test_a_file_that_is_none(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        CollectionStats.unpacked(data)


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

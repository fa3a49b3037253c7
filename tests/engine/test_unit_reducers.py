import numpy as np
import pytest
import torch

from livecnn.engine.unit_reducers import PeaksReducer, UnitActivation, UnitReducer


def test_a_map_with_its_numbers() -> None:
    maps = torch.randn(1, 5, 4, 3)
    view = UnitReducer("conv", 2)(maps)
    assert (view.layer, view.index) == ("conv", 2)
    np.testing.assert_array_equal(view.map, maps[0, 2])
    assert view.min == maps[0, 2].min()
    assert view.max == maps[0, 2].max() == view.map[view.peak]
    assert view.mean == pytest.approx(float(maps[0, 2].mean()), abs=1e-6)


def test_what_comes_later_does_not_write_over_it() -> None:
    maps, values = torch.full((1, 2, 3, 3), -1.0), torch.full((1, 4), -1.0)
    seen = UnitReducer("conv", 0).reduce(maps, 0)[0], PeaksReducer("fc").reduce(values, None)[0]
    maps.relu_(), values.relu_()
    assert all((each == -1).all() for each in seen)


@pytest.mark.parametrize("shape", [(1, 6), (1, 6, 1, 1)], ids=str)
def test_a_neuron_is_one_value(shape: tuple[int, ...]) -> None:
    view = UnitReducer("fc", 4)(torch.arange(6.0).reshape(shape))
    assert view.map.tolist() == [[4.0]]
    assert (view.min, view.max, view.mean, view.peak) == (4.0, 4.0, 4.0, (0, 0))


def test_the_index_may_change_between_two_ticks() -> None:
    reducer, maps = UnitReducer("conv", 0), torch.arange(12.0).reshape(1, 3, 2, 2)
    assert reducer(maps).max == 3
    reducer.index = 2
    assert reducer(maps).max == 11
    assert reducer.settings == 2


def test_values_that_are_not_finite_do_not_count() -> None:
    view = UnitActivation.of("conv", 0, np.array([[np.nan, 2.0], [np.inf, 1.0]], np.float32))
    assert (view.min, view.max, view.mean, view.peak) == (1.0, 2.0, 1.5, (0, 1))
    none = UnitActivation.of("conv", 0, np.full((2, 2), np.nan, np.float32))
    assert np.isnan([none.min, none.max, none.mean]).all()
    assert none.peak == (0, 0)


@pytest.mark.parametrize("shape", [(1, 6), (1, 6, 1, 1), (1, 6, 5, 4), (1, 6, 5)], ids=str)
def test_the_peaks_of_all_units(shape: tuple[int, ...]) -> None:
    values = torch.randn(shape)
    peaks = PeaksReducer("layer")(values)
    assert peaks.dtype == np.float32
    np.testing.assert_array_equal(peaks, values.reshape(6, -1).amax(1))


def test_a_peak_is_not_finite_where_a_value_is_not() -> None:
    maps = torch.zeros(1, 2, 3, 3)
    maps[0, 1, 1, 1] = torch.nan
    peaks = PeaksReducer("conv")(maps)
    assert peaks[0] == 0
    assert np.isnan(peaks[1])

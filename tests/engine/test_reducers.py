import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from torch.nn import functional as F

from livecnn.engine.reducers import (
    RUNNING_SHARE,
    MapsReducer,
    MosaicReducer,
    NeuronsReducer,
    PeaksReducer,
    ScaleRange,
    UnitActivation,
    UnitReducer,
    ValueReducer,
    average_down,
    to_levels,
)
from livecnn.types import EMPTY, NOT_FINITE, ScaleValue

Array = npt.NDArray[Any]
MIDDLE, LOWEST, HIGHEST = 129, 2, 255

# Numbers that differ by less than reduce.LEAST_SPAN count as the same; these never come that close, and float32 holds them.
finite = st.integers(-(2**20), 2**20).map(lambda n: n / 1024)
anything = finite | st.sampled_from([math.nan, math.inf, -math.inf])


def expected(values: Array, low: float, high: float) -> Array:
    """Codes by the definition, in double precision and one by one."""
    codes = np.empty(values.shape, np.uint8)
    for at, value in np.ndenumerate(values.astype(float)):
        if not math.isfinite(value):
            codes[at] = NOT_FINITE
        elif low == high:
            codes[at] = MIDDLE if low else LOWEST
        else:
            codes[at] = LOWEST + math.floor(min(max((value - low) / (high - low), 0), 1) * 253 + 0.5)
    return codes


def ends(values: Array) -> tuple[float, float]:
    good = values[np.isfinite(values)]
    return (float(good.min()), float(good.max())) if good.size else (0.0, 0.0)


def near(codes: Array, wanted: Array) -> bool:
    """Equal but for a step where single precision rounds the other way; codes with a meaning of their own exactly."""
    special = (codes < LOWEST) | (wanted < LOWEST)
    return bool((codes[special] == wanted[special]).all() and (np.abs(codes.astype(int) - wanted) <= 1).all())


def mosaic(values: Any, scale: ScaleValue, channels: Any = None, grid: tuple[int, int] | None = None) -> Any:
    maps = torch.as_tensor(np.asarray(values, np.float32))[None]
    reducer = MosaicReducer("conv", tuple(range(maps.shape[1])) if channels is None else channels, maps.shape[1], scale)
    if grid:
        reducer.grid = grid
    return reducer(maps)


def test_a_map_by_hand() -> None:
    result = mosaic([[[0.0, 1.0], [2.0, 4.0]]], "map")
    assert result.codes.tolist() == [[2, 65], [129, 255]]  # 253 * 0.25 = 63.25, 253 * 0.5 = 126.5
    assert (result.grid, result.cell, result.broken) == ((1, 1), (2, 2), 0)


def test_every_map_by_its_own_range_or_by_the_layers() -> None:
    maps = [[[0.0, 10.0]], [[0.0, 1.0]]]
    assert mosaic(maps, "map").codes.tolist() == [[2, 255, 2, 255]]
    assert mosaic(maps, "layer").codes.tolist() == [[2, 255, 2, 27]]
    assert mosaic(maps, (0.0, 2.0)).codes.tolist() == [[2, 255, 2, 129]]
    assert mosaic([[[-5.0, 9.0]]], (0.0, 1.0)).codes.tolist() == [[LOWEST, HIGHEST]]


@pytest.mark.parametrize(("value", "code"), [(0.0, LOWEST), (3.5, MIDDLE), (-2.0, MIDDLE)])
@pytest.mark.parametrize("scale", ["map", "layer", "running"])
def test_a_flat_map_is_the_middle_and_a_silent_one_the_lowest(value: float, code: int, scale: ScaleValue) -> None:
    assert (mosaic(np.full((2, 3, 3), value), scale).codes == code).all()


def test_a_running_range_moves_by_its_share_of_the_way() -> None:
    ranger = ScaleRange("running")
    assert [end.item() for end in ranger(torch.tensor([[0.0, 1.0]]))] == [0, 1]
    low, high = ranger(torch.tensor([[-10.0, 21.0]]))
    assert low.item() == pytest.approx(-10 * RUNNING_SHARE)
    assert high.item() == pytest.approx(1 + 20 * RUNNING_SHARE)


def test_a_tick_without_a_finite_value_leaves_the_running_range() -> None:
    ranger = ScaleRange("running")
    ranger(torch.tensor([[math.nan]]))
    ranger(torch.tensor([[0.0, 1.0]]))
    before = [end.item() for end in ranger(torch.full((1, 4), math.nan))]
    assert before == [0, 1]
    after = [end.item() for end in ranger(torch.tensor([[0.0, math.inf, 1.0]]))]
    assert after == [0, 1]


def test_encode_keeps_what_it_was_given() -> None:
    maps = torch.tensor([[0.0, 1.0]])
    to_levels(maps, torch.tensor(0.0), torch.tensor(1.0))
    assert maps.tolist() == [[0, 1]]


@given(arrays.arrays(np.float32, arrays.array_shapes(min_dims=3, max_dims=3, max_side=5), elements=anything), st.data())
def test_a_mosaic_of_any_shape(maps: Array, data: st.DataObject) -> None:
    count, h, w = maps.shape
    channels = data.draw(st.lists(st.integers(0, count - 1), min_size=1, max_size=count, unique=True))
    columns = data.draw(st.integers(1, len(channels)))
    rows = -(-len(channels) // columns)
    scale = data.draw(st.sampled_from(["map", "layer", "running", (-1.0, 2.5)]))
    result = mosaic(maps, scale, tuple(channels), (rows, columns))
    wanted = np.full((rows * h, columns * w), EMPTY, np.uint8)
    for place, channel in enumerate(channels):
        shown = {"map": maps[channel], "layer": maps[channels], "running": maps[channels]}
        low, high = ends(shown[scale]) if isinstance(scale, str) else scale
        top, left = place // columns * h, place % columns * w
        wanted[top : top + h, left : left + w] = expected(maps[channel], low, high)
    assert result.codes.dtype == np.uint8
    assert result.codes.shape == wanted.shape
    assert near(result.codes, wanted)
    assert result.broken == sum(not np.isfinite(maps[channel]).all() for channel in channels)
    assert (result.grid, result.cell) == ((rows, columns), (h, w))


def test_large_maps_are_averaged_down_to_their_room() -> None:
    reducer = MosaicReducer("conv", (0,), 1, "map")
    reducer.room = (2, 3)
    codes = reducer(torch.arange(24.0).reshape(1, 1, 4, 6)).codes
    means = np.arange(24.0).reshape(2, 2, 3, 2).mean((1, 3))
    assert near(codes, expected(means, *ends(means)))
    reducer.room = (100, 3)
    assert reducer(torch.zeros(1, 1, 4, 6)).codes.shape == (4, 3)
    reducer.room = (100, 100)
    assert reducer(torch.zeros(1, 1, 4, 6)).codes.shape == (4, 6)


@settings(deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 40), st.integers(1, 40))
def test_averaging_covers_maps_of_any_size(h: int, w: int, high: int, wide: int) -> None:
    maps = torch.arange(2.0 * h * w).reshape(2, h, w)
    windows = max(1, round(h / high)), max(1, round(w / wide))
    torch.testing.assert_close(average_down(maps, (high, wide)), F.avg_pool2d(maps, windows, ceil_mode=True))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.int64])
def test_activations_of_any_type_of_number(dtype: torch.dtype) -> None:
    values = torch.tensor([[0, 1, 2, 4]], dtype=dtype)
    assert NeuronsReducer("fc", range(4), 1, "layer")(values).codes.tolist() == [[2, 65, 129, 255]]
    assert MosaicReducer("conv", (0,), 1, "map")(values.reshape(1, 1, 2, 2)).codes.tolist() == [[2, 65], [129, 255]]


def test_neurons_in_order_with_the_mean_of_each_row() -> None:
    reducer = NeuronsReducer("fc", [4, 3, 2, 1, 0], 2, "layer")
    result = reducer(torch.tensor([[0.0, 1.0, 2.0, 3.0, 4.0]]))
    assert result.codes.tolist() == [[255, 192, 129], [65, 2, EMPTY]]
    assert result.means.tolist() == [3.0, 0.5]  # the incomplete row: of the two units that are there
    assert result.mean_codes.tolist() == [192, 34]
    assert result.broken == 0


def test_neurons_can_be_reordered_and_given_other_rows() -> None:
    reducer = NeuronsReducer("fc", [0, 1, 2, 3], 1, "layer")
    reducer.reorder([2, 0])
    reducer.rows = 2
    assert reducer(torch.tensor([[0.0, 1.0, 2.0, 3.0]])).means.tolist() == [2.0, 0.0]


def test_neurons_that_are_not_finite() -> None:
    result = NeuronsReducer("fc", range(4), 2, "layer")(torch.tensor([[0.0, math.nan, 1.0, math.inf]]))
    assert result.codes.tolist() == [[2, NOT_FINITE], [255, NOT_FINITE]]
    assert result.broken == 2
    assert result.means.tolist() == [0.0, math.inf]  # of a row, NaN does not count
    assert result.mean_codes.tolist() == [2, NOT_FINITE]


@given(arrays.arrays(np.float32, st.integers(1, 40), elements=finite), st.integers(1, 45), st.data())
def test_neurons_of_any_number(values: Array, rows: int, data: st.DataObject) -> None:
    order = data.draw(st.permutations(range(len(values))))
    result = NeuronsReducer("fc", order, rows, "map")(torch.from_numpy(values)[None, :, None, None])
    columns = math.ceil(len(values) / rows)
    wanted = np.full(rows * columns, EMPTY, np.uint8)
    wanted[: len(values)] = expected(values[order], *ends(values))
    assert near(result.codes, wanted.reshape(rows, columns))
    for row, mean in enumerate(result.means):
        inside = values[order][row * columns : (row + 1) * columns]
        assert np.isnan(mean) if not inside.size else mean == pytest.approx(inside.astype(float).mean(), abs=0.5)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no CUDA device")
def test_the_device_makes_no_difference() -> None:
    maps, units = torch.randn(1, 9, 6, 5), torch.randn(1, 33)
    for reducer, values in (
        (NeuronsReducer("fc", range(32, -1, -1), 4, "layer"), units), (MosaicReducer("conv", (3, 1, 8), 9, "map"), maps)
    ):  # fmt: skip
        assert near(reducer(values.cuda()).codes, reducer(values).codes)


@pytest.mark.parametrize("shape", [(1, 5), (1, 5, 1, 1)], ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_a_single_value(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    value = ValueReducer("fc", 3)(torch.arange(5).reshape(shape).to(dtype))
    assert (type(value), value) == (float, 3.0)


def reducer_of(units: tuple[int, ...], room: tuple[int, int] = (100, 100), scale: str = "map") -> MapsReducer:
    reducer = MapsReducer("it", scale)  # type: ignore[arg-type]
    reducer.units, reducer.room = units, room
    return reducer


def test_codes_of_some_maps_and_figures_of_all() -> None:
    activation = torch.randn(1, 6, 5, 4, generator=torch.Generator().manual_seed(0))
    maps = reducer_of((4, 1))(activation)
    assert (maps.layer, maps.units, maps.codes.shape) == ("it", (4, 1), (2, 5, 4))
    values = activation[0].numpy()
    np.testing.assert_allclose(maps.mean, values.mean((1, 2)), atol=1e-6)
    np.testing.assert_array_equal(maps.high, values.max((1, 2)))
    np.testing.assert_array_equal(maps.low, values.min((1, 2)))
    for codes, unit in zip(maps.codes, (4, 1), strict=True):
        assert (codes.min(), codes.max()) == (LOWEST, 255)
        assert np.unravel_index(codes.argmax(), codes.shape) == np.unravel_index(values[unit].argmax(), (5, 4))


@pytest.mark.parametrize("shape", [(1, 7), (1, 7, 1, 1)], ids=str)
def test_single_values_share_a_scale(shape: tuple[int, ...]) -> None:
    maps = reducer_of((0, 3, 6))(torch.arange(7.0).view(shape))
    assert maps.codes.ravel().tolist() == [LOWEST, 129, 255]
    assert maps.mean.tolist() == maps.high.tolist() == maps.low.tolist() == list(range(7))


def test_large_maps_are_averaged_down_but_their_figures_are_those_of_all_pixels() -> None:
    activation = torch.zeros(1, 2, 64, 64)
    activation[0, 1, 0, 0] = 9
    maps = reducer_of((1,), (16, 16))(activation)
    assert maps.codes.shape == (1, 16, 16)
    assert maps.high.tolist() == [0, 9]


def test_units_may_change_between_two_ticks() -> None:
    reducer = reducer_of((0,))
    activation = torch.arange(12.0).view(1, 3, 2, 2)
    assert reducer(activation).units == (0,)
    reducer.units = (2, 0)
    maps = reducer(activation)
    assert maps.units == (2, 0)
    assert maps.codes.shape == (2, 2, 2)


def test_values_that_are_not_finite() -> None:
    activation = torch.ones(1, 2, 2, 2)
    activation[0, 1, 0, 0] = torch.nan
    maps = reducer_of((0, 1))(activation)
    assert maps.codes[1, 0, 0] == NOT_FINITE
    assert np.isfinite(maps.mean).tolist() == [True, False]


@pytest.mark.parametrize("scale", ["layer", "running", (0.0, 3.0)], ids=str)
def test_a_scale_for_all_maps(scale: str) -> None:
    activation = torch.stack((torch.zeros(2, 2), torch.full((2, 2), 3.0)))[None]
    codes = reducer_of((0, 1), scale=scale)(activation).codes
    assert codes[0].max() == LOWEST
    assert codes[1].min() == 255


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

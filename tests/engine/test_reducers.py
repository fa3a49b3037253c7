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
    MosaicReducer,
    NeuronsReducer,
    ScaleRange,
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


def test_what_is_not_finite_has_its_own_code_and_does_not_stretch_the_range() -> None:
    maps = np.array([[[0, 1, 2]], [[0, math.nan, 2]], [[math.inf, 0, -math.inf]], [[math.nan] * 3]])
    by_map = mosaic(maps, "map", grid=(4, 1))
    assert by_map.codes.tolist() == [[2, 129, 255], [2, 1, 255], [1, 2, 1], [1, 1, 1]]
    assert by_map.broken == 3
    assert mosaic(maps, "layer", grid=(4, 1)).codes.tolist() == [[2, 129, 255], [2, 1, 255], [1, 2, 1], [1, 1, 1]]
    assert mosaic(maps, (0.0, 2.0), grid=(4, 1)).codes.tolist() == [[2, 129, 255], [2, 1, 255], [1, 2, 1], [1, 1, 1]]


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


def test_rows_beyond_the_units_are_empty() -> None:
    result = NeuronsReducer("fc", [0, 1], 3, (0.0, 1.0))(torch.tensor([[0.0, 1.0]]))
    assert result.codes.tolist() == [[2], [255], [EMPTY]]
    assert np.isnan(result.means[2])


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
    for device in ("cpu", "cuda"):
        neurons = NeuronsReducer("fc", range(32, -1, -1), 4, "layer")(units.to(device))
        codes = MosaicReducer("conv", (3, 1, 8), 9, "map")(maps.to(device)).codes
        if device == "cpu":
            before = codes, neurons.codes
    assert near(codes, before[0])
    assert near(neurons.codes, before[1])


@pytest.mark.parametrize("shape", [(1, 5), (1, 5, 1, 1)], ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_a_single_value(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    value = ValueReducer("fc", 3)(torch.arange(5).reshape(shape).to(dtype))
    assert (type(value), value) == (float, 3.0)

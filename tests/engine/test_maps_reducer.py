import numpy as np
import pytest
import torch

from livecnn.engine.maps_reducer import MapsReducer
from livecnn.types import LOWEST, NOT_FINITE


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

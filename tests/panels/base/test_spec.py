from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from livecnn.panels.base.spec import Colormap, Range, Scale, parse_range, parse_scale


def test_a_colour_map_with_false_edges_is_refused() -> None:
    with pytest.raises(ValidationError, match="Input should be 'gray'"):
        TypeAdapter(Colormap).validate_python("jet")


@pytest.mark.parametrize(
    ("written", "scale"),
    [("map", "map"), ("layer", "layer"), ("running", "running"), ([-1, 2.5], (-1.0, 2.5)), ((0, 1), (0.0, 1.0))],
)
def test_scales(written: Any, scale: Any) -> None:
    assert parse_scale(written) == scale
    adapter: TypeAdapter[Any] = TypeAdapter(Scale)
    assert adapter.validate_python(written, strict=True) == scale


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("maps", r"found 'maps'; did you mean 'map'\? allowed: map, layer, running, \[lo, hi\]"),
        ([1, 0], r"found \[1, 0\]; the first number has to be the lower one"),
        ([1, 1], r"found \[1, 1\]; the first number has to be the lower one"),
        ([1], r"found \[1\]; allowed: map, layer, running, or two numbers"),
        ([0, 1, 2], r"found \[0, 1, 2\]; allowed"),
        ([0, float("inf")], r"found \[0, inf\]; allowed"),
        ([float("nan"), 1], r"found \[nan, 1\]; allowed"),
        ([False, True], r"found \[False, True\]; allowed"),
        (["0", "1"], r"found \['0', '1'\]; allowed"),
        ([0, 10**400], r"allowed: map"),
        (None, r"found None; allowed"),
        (3, r"found 3; allowed"),
    ],
)
def test_scales_that_are_refused(written: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_scale(written)


def test_ranges() -> None:
    assert parse_range([-1, 2.5]) == (-1.0, 2.5)
    assert TypeAdapter(Range).validate_python([0, 100], strict=True) == (0.0, 100.0)


@pytest.mark.parametrize("written", ["layer", [1, 0], [1], None, [0, float("nan")]])
def test_ranges_that_are_refused(written: Any) -> None:
    with pytest.raises(ValueError, match=r"found .*; (allowed: two numbers \[lo, hi\]|the first number has to be the lower one)"):
        parse_range(written)

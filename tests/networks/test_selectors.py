from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

import livecnn
from livecnn.errors import UsageError
from livecnn.networks.selectors import (
    Units,
    check_positive_int,
    class_index,
    expand_units,
    parse_units,
    resolve_classes,
    resolve_layers,
    resolve_units,
)


def test_a_class_by_number_or_name() -> None:
    assert [class_index(wanted, ["cat", "dog"]) for wanted in (1, "cat")] == [1, 0]
    assert class_index(30, ["20", "30"]) == 1  # no such number, but a name


@pytest.mark.parametrize(
    ("wanted", "message"),
    [(2, "no class 2; allowed: 0-1, or allowed: cat, dog"), ("dogs", "no class 'dogs'; allowed: 0-1, or did you mean 'dog'?")],
)
def test_no_such_class(wanted: int | str, message: str) -> None:
    with pytest.raises(ValueError, match=message.replace("?", r"\?")):
        class_index(wanted, ["cat", "dog"])


def test_other_words_are_allowed_in_place_of_a_class() -> None:
    with pytest.raises(ValueError, match="did you mean 'expected'"):
        class_index("expecte", ["cat", "dog"], "expected")


def test_units_and_classes_of_a_network() -> None:
    bundle = livecnn.load("lenet-mnist")
    assert resolve_units(bundle, "conv1", "all") == tuple(range(20))
    assert resolve_units(bundle, "conv1", "3,0-1") == (3, 0, 1)
    assert resolve_classes(bundle, "7, 3") == (7, 3)
    assert resolve_classes(bundle, "all") == tuple(range(10))
    with pytest.raises(UsageError, match="unknown class 'seven'"):
        resolve_classes(bundle, "seven")


def test_names_and_numbers() -> None:
    assert resolve_layers("layers", ["a", "b", "a"]) == ("a", "b")
    with pytest.raises(UsageError, match="layers: found 5; allowed: a name or a list of names"):
        resolve_layers("layers", 5)  # type: ignore[arg-type]
    check_positive_int("k", None, 1)
    with pytest.raises(UsageError, match="k: found 0; allowed: 1 to 9"):
        check_positive_int("k", 0, 1, 9)


@pytest.mark.parametrize(
    ("written", "units"),
    [
        ("all", "all"),
        (5, (5,)),
        ("5", (5,)),
        ("0-3", (0, 1, 2, 3)),
        (" 7 - 8 ", (7, 8)),
        ("4-4", (4,)),
        ("0,3,10-12", (0, 3, 10, 11, 12)),
        ([0, 3, "10-12"], (0, 3, 10, 11, 12)),
        ([9, 2, "4-5"], (9, 2, 4, 5)),
        ((1, 2), (1, 2)),
        (range(2, 5), (2, 3, 4)),
        (np.int64(5), (5,)),
        (np.array([9, 2]), (9, 2)),
    ],
)
def test_what_may_be_written(written: Any, units: Any) -> None:
    assert parse_units(written) == units


@pytest.mark.parametrize(
    ("written", "message"),
    [
        (-1, r"found -1; numbers count from 0"),
        ("-1", r"found '-1'; allowed: a number \(5\), a range"),
        ("3-1", r"found '3-1', which runs backwards; did you mean '1-3'\?"),
        (1.0, r"found 1\.0; allowed"),
        (True, r"found True; allowed"),
        (None, r"found None; allowed"),
        ("", r"found ''; allowed"),
        ("1,,2", r"found ''; allowed"),
        ("a-b", r"found 'a-b'; allowed"),
        ("٣", r"found '٣'; allowed"),
        ([], r"found an empty list; allowed"),
        ([[1]], r"found \[1\]; allowed"),
        (["all"], r"found 'all'; allowed"),
        ({"a": 1}, r"found {'a': 1}; allowed"),
        ([3, "0-5"], r"found 3 twice; once is allowed"),
        ("0-999999999", r"found more than 100000 numbers"),
        ("9" * 500, r"found '9+\.\.\.9+'; allowed"),
    ],
)
def test_what_is_refused(written: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_units(written)


def test_resolve() -> None:
    assert expand_units("all", 3) == (0, 1, 2)
    assert expand_units((4, 0), 5) == (4, 0)


def test_out_of_range_names_the_layer() -> None:
    with pytest.raises(ValueError, match=r"^channel 20: conv1 has 20 \(0-19\)$"):
        expand_units((3, 20, 21), 20, "channel", "conv1")


@given(st.lists(st.integers(0, 200), unique=True, min_size=1))
def test_numbers_stay_in_order_and_a_parsed_value_parses_to_itself(numbers: list[int]) -> None:
    assert parse_units(numbers) == parse_units(parse_units(numbers)) == parse_units(",".join(map(str, numbers))) == tuple(numbers)


@given(st.integers(0, 500), st.integers(0, 500))
def test_a_range_has_both_its_ends(first: int, length: int) -> None:
    assert parse_units(f"{first}-{first + length}") == tuple(range(first, first + length + 1))


def test_as_the_type_of_a_field() -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(Units)
    assert adapter.validate_python([0, "2-3"]) == adapter.validate_json('[0, "2-3"]', strict=True) == (0, 2, 3)
    with pytest.raises(ValidationError, match="found -2; numbers count from 0"):
        adapter.validate_python(-2)

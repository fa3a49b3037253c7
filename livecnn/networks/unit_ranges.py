"""Which units of a layer: `5`, `"0-19"`, `[0, 3, "10-19"]` or `all`, in the order given, counted from 0."""

from __future__ import annotations

import re
import reprlib
from collections.abc import Iterable, Mapping
from numbers import Integral
from typing import Annotated, Any, Literal

from pydantic import PlainValidator, WithJsonSchema

MOST = 100_000  # far above any layer; a slip of the finger must not fill the memory

UnitSet = Literal["all"] | tuple[int, ...]

_ALLOWED = 'allowed: a number (5), a range ("0-19"), a list of both ([0, 3, "10-19"]) or "all"'
_RANGE = re.compile(r"\s*([0-9]{1,9})\s*(?:-\s*([0-9]{1,9})\s*)?")


def parse(value: Any) -> UnitSet:
    """Turn what a user writes into unit numbers; text may hold commas ("0,3,10-19"). Raises ValueError: what is wrong with it."""
    if isinstance(value, str) and value == "all":
        return "all"
    items = list(value) if isinstance(value, Iterable) and not isinstance(value, (str, bytes, Mapping)) else [value]
    parts = [part for item in items for part in (item.split(",") if isinstance(item, str) else [item])]
    spans = [_span(part) for part in parts]
    if not spans:
        raise ValueError(f"found an empty list; {_ALLOWED}")
    if sum(last - first + 1 for first, last in spans) > MOST:
        raise ValueError(f"found more than {MOST} numbers; {_ALLOWED}")
    units = tuple(unit for first, last in spans for unit in range(first, last + 1))
    seen: set[int] = set()
    for unit in units:
        if unit in seen:
            raise ValueError(f"found {unit} twice; once is allowed")
        seen.add(unit)
    return units


def resolve(units: UnitSet, count: int, noun: str = "unit", layer: str = "the layer") -> tuple[int, ...]:
    """Return unit numbers for a layer that has `count`. Raises ValueError: "channel 20: conv1 has 20 (0-19)"."""
    if units == "all":
        return tuple(range(count))
    beyond = next((unit for unit in units if unit >= count), None)
    if beyond is not None:
        raise ValueError(f"{noun} {beyond}: {layer} has {count} (0-{count - 1})")
    return units


def _span(part: Any) -> tuple[int, int]:
    if isinstance(part, Integral) and not isinstance(part, bool):  # of NumPy, too
        if part < 0:
            raise ValueError(f"found {part}; numbers count from 0")
        return int(part), int(part)
    match = _RANGE.fullmatch(part) if isinstance(part, str) else None
    if match is None:
        raise ValueError(f"found {reprlib.repr(part)}; {_ALLOWED}")
    first, last = int(match[1]), int(match[2] or match[1])
    if last < first:
        raise ValueError(f"found {part!r}, which runs backwards; did you mean '{last}-{first}'?")
    return first, last


_SCHEMA = {
    "examples": ["all", 5, "0-19", [0, 3, "10-19"]],
    "anyOf": [
        {"const": "all"},
        {"type": "integer", "minimum": 0},
        {"type": "string", "pattern": r"^\s*\d+(\s*-\s*\d+)?(\s*,\s*\d+(\s*-\s*\d+)?)*\s*$"},
        {"type": "array", "minItems": 1, "items": {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string"}]}},
    ],
}

Units = Annotated[UnitSet, PlainValidator(parse), WithJsonSchema(_SCHEMA)]  # the type of a panel's field

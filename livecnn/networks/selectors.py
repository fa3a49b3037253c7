"""Resolve what a user asks for: the network itself, units of its layers, classes; each in the ways it may be named."""

import re
import reprlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from numbers import Integral
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import PlainValidator, WithJsonSchema
from torch import nn

from livecnn.errors import UsageError, nearest
from livecnn.networks import bundle as bundles
from livecnn.networks.bundle import Bundle
from livecnn.networks.device import copy_sharing_weights, pick_device

Wanted = str | int | Sequence[str | int] | npt.NDArray[np.integer[Any]]  # units as `parse_units` takes them
MOST = 100_000  # far above any layer; a slip of the finger must not fill the memory

UnitSet = Literal["all"] | tuple[int, ...]

_ALLOWED = 'allowed: a number (5), a range ("0-19"), a list of both ([0, 3, "10-19"]) or "all"'
_RANGE = re.compile(r"\s*([0-9]{1,9})\s*(?:-\s*([0-9]{1,9})\s*)?")


def parse_units(value: Any) -> UnitSet:
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


def expand_units(units: UnitSet, count: int, noun: str = "unit", layer: str = "the layer") -> tuple[int, ...]:
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

Units = Annotated[UnitSet, PlainValidator(parse_units), WithJsonSchema(_SCHEMA)]  # the type of a panel's field


def as_bundle(model: str | Path | Bundle | nn.Module, device: str | None, allow_code: bool) -> Bundle:
    """With a network of its own, in evaluation mode: over the same weights, if they are on the device that is given."""
    place = None if device is None else pick_device(device)
    if isinstance(model, (str, Path)):
        bundle = bundles.load(model, allow_code=allow_code)
    else:
        module = model.module if isinstance(model, Bundle) else as_module(model)
        apart = copy_sharing_weights(module, place).eval()
        if isinstance(model, Bundle):
            bundle = replace(model, module=apart)
        else:
            bundle = bundles.bundle_from_module(apart, type(model).__name__)
    if place is not None:
        bundle.module.to(place)
    return bundle


def as_module(model: object) -> nn.Module:
    """Return the module itself. Raises UsageError if it is none."""
    if isinstance(model, nn.Module):
        return model
    allowed = "a name or folder, what livecnn.load gives, a torch.nn.Module"
    raise UsageError(f"model: found {type(model).__name__}; allowed: {allowed}")


def resolve_layers(what: str, names: str | Iterable[str]) -> tuple[str, ...]:
    """Each once. Raises UsageError for what is no name."""
    found = list(names) if isinstance(names, Iterable) and not isinstance(names, str) else [names]
    if not all(isinstance(name, str) for name in found):
        raise UsageError(f"{what}: found {names!r}; allowed: a name or a list of names")
    return tuple(dict.fromkeys(found))


def check_positive_int(name: str, value: object, least: int, most: int | None = None) -> None:
    """Raise UsageError for anything but a whole number from the least to the most; None is left to the default."""
    whole = isinstance(value, Integral) and not isinstance(value, bool)
    if value is not None and not (whole and least <= value and (most is None or value <= most)):  # type: ignore[operator]
        span = f"{least} or more" if most is None else f"{least} to {most}"
        raise UsageError(f"{name}: found {value!r}; allowed: {'' if whole else 'whole numbers, '}{span}")


def resolve_units(bundle: Bundle, layer: str | None, units: Wanted | None) -> tuple[int, ...]:
    """Return the numbers of units of a layer. Raises UsageError."""
    try:
        parsed = parse_units(units)
    except ValueError as error:
        raise UsageError(f"units: {error}") from error
    if parsed != "all":
        return parsed
    shape = bundle.shapes([str(layer)]).get(str(layer), (1, 1))  # of an unknown layer the network itself will tell
    return tuple(range(shape[1]))


def class_index(wanted: int | str, classes: Sequence[str], *others: str) -> int:
    """Find a class by its number, or else by its name.

    Args:
        wanted: Number, counted from 0, or name; a number that is out of range may be a name, too.
        classes: Names in the order of the scores.
        *others: Further words that are allowed in place of a class; for the message only.

    Returns:
        The number of the class.

    Raises:
        ValueError: There is no such class; the message says what is allowed.
    """
    if isinstance(wanted, int) and 0 <= wanted < len(classes):
        return wanted
    if str(wanted) in classes:
        return list(classes).index(str(wanted))
    raise ValueError(f"no class {wanted!r}; allowed: 0-{len(classes) - 1}, or {nearest(str(wanted), [*others, *classes])}")


def resolve_classes(bundle: Bundle, classes: Wanted) -> tuple[int, ...]:
    """Return the numbers of classes that are given by name, else by number. Raises UsageError."""
    items = classes.split(",") if isinstance(classes, str) else list(classes) if isinstance(classes, Iterable) else [classes]
    if all(isinstance(item, str) and item.strip() in bundle.classes for item in items):
        items = [class_index(str(item).strip(), bundle.classes) for item in items]
    try:
        parsed = parse_units("all" if items == ["all"] else items)
    except ValueError:
        raise UsageError(f"unknown class {str(classes)!r}; {nearest(str(classes), bundle.classes)}") from None
    try:
        return expand_units(parsed, len(bundle.classes), "class", bundle.name)
    except ValueError as error:
        raise UsageError(str(error)) from error

"""Options of explanations' methods: each takes those that it knows, and one that none knows is a mistake."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real
from typing import Any, TypedDict

from livecnn import registry
from livecnn.errors import UsageError, nearest
from livecnn.explain._method import Method
from livecnn.explain._objective import At

AT = "at"
NUMBERS = ("patch", "stride", "fill", "baseline", "steps")


class Options(TypedDict, total=False):
    """All that there are; see the methods' classes. What is None is as by default."""

    at: At | None
    patch: int | None
    stride: int | None
    fill: float | None
    baseline: float | None
    steps: int | None


def options_of(methods: Mapping[str, type[Method]], options: Mapping[str, Any], of_units: bool) -> dict[str, dict[str, Any]]:
    """By method all options that it takes, as given or as by default. Raises UsageError for one that none of them takes."""
    given = {name: value for name, value in options.items() if value is not None}
    if AT in given and not of_units:
        raise UsageError("at tells which value of a unit's map counts; found classes")
    for name, value in given.items():
        if name in NUMBERS and not isinstance(value, Real):
            raise UsageError(f"{name}: found {value!r}; a number is needed")
    known = {
        kind: {name: value for name, value in method.options().items() if of_units or name != AT}
        for kind, method in methods.items()
    }
    for name in given:
        if not any(name in own for own in known.values()):
            raise UsageError(_untaken(name, methods))
    return {kind: {name: given.get(name, value) for name, value in own.items()} for kind, own in known.items()}


def _untaken(name: str, methods: Mapping[str, type[Method]]) -> str:
    if name not in Options.__annotations__:
        return f"unknown option {name!r}; {nearest(name, Options.__annotations__)}"
    kinds = registry.kinds("explain")
    takers = [kind for kind in kinds if name in registry.find("explain", kind, UsageError).options()]
    return f"{name} is an option of {', '.join(takers)}; found {', '.join(methods)}"


def plain(options: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """As they come back from JSON."""
    return {
        kind: {name: list(value) if isinstance(value, tuple) else value for name, value in own.items()}
        for kind, own in options.items()
    }

"""From pydantic's errors to the one line that a user reads: where, which key, what was found, what is allowed."""

import re
import reprlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from livecnn.errors import LivecnnError, nearest
from livecnn.io.yaml_document import Document, Location


@dataclass(frozen=True)
class Problem:
    """A problem with the value at a location and, for a text of several lines, its row."""

    location: Location
    message: str
    row: int | None = None


class ValidationProblem(ValueError):
    """An error for a validator to raise: what is wrong, at which location below its value, in which row of a text."""

    def __init__(self, message: str, location: Location = (), row: int | None = None) -> None:
        super().__init__(message)
        self.location = location
        self.row = row


def explain(error: ValidationError, model: type[BaseModel], data: Any, at: Location = ()) -> list[Problem]:
    """Return the problems, one a location; `data` was validated as `model` and is at the location `at` of the document."""
    merged: dict[Location, Problem] = {}
    for details in error.errors(include_url=False):
        problem = _problem(details, model, data)
        location = (*at, *problem.location)
        earlier = merged.get(location)  # pydantic tells every member of a union that did not fit
        message = f"{earlier.message} or {problem.message.rpartition('allowed: ')[2]}" if earlier else problem.message
        merged[location] = Problem(location, message, problem.row)
    return list(merged.values())


def report(document: Document, problems: Iterable[Problem]) -> LivecnnError:
    """Return the error to raise for the problems of a document: the first by line, and how many more there are."""
    ordered = sorted(problems, key=lambda problem: document.line_of(_place(problem)))
    first, more = ordered[0], len(ordered) - 1
    key = ".".join(map(str, first.location))
    tail = f" (and {more} more)" if more else ""
    return document.error(f"{document.where(_place(first))}: {key}: {first.message}{tail}")


def _place(problem: Problem) -> Location:
    return problem.location if problem.row is None else (*problem.location, problem.row)


def _problem(details: ErrorDetails, model: type[BaseModel], data: Any) -> Problem:
    location = details["loc"]
    if details["type"] == "missing":
        return Problem(location, "nothing found; it is needed")
    location = _within(location, data)
    found, context = details["input"], details.get("ctx", {})
    if isinstance(cause := context.get("error"), ValidationProblem):
        return Problem((*location, *cause.location), str(cause), cause.row)
    if cause is not None:
        return Problem(location, str(cause))
    if details["type"] == "extra_forbidden":
        keys = _keys(model, location[:-1])
        return Problem(location, f"unknown key; {nearest(str(location[-1]), keys)}" if keys else "unknown key")
    if details["type"] == "literal_error":
        options = re.findall(r"'([^']*)'", context["expected"]) or re.findall(r"\d+", context["expected"])
        return Problem(location, f"found {reprlib.repr(found)}; {nearest(str(found), options)}")
    return Problem(location, f"found {reprlib.repr(found)}; {_allowed(details)}")


def _allowed(details: ErrorDetails) -> str:
    if details["type"] in ("dict_type", "model_type"):
        return "allowed: a mapping (`key: value` lines)"
    message = re.sub(r"^\w+ should (be |have )?", "allowed: ", details["msg"])
    return message.replace("array", "list").replace("tuple", "list")


def _within(location: Location, data: Any) -> Location:
    """Return the part of a location that the data has; pydantic adds its own words, such as the member of a union."""
    kept: list[str | int] = []
    for part in location:
        known = range(len(data)) if isinstance(data, list) else data if isinstance(data, dict) else ()
        if part not in known:
            break
        data = data[part]
        kept.append(part)
    return tuple(kept)


def _keys(model: type[BaseModel], location: Location) -> list[str]:
    """Return the keys of the model at a location; none where a list or mapping of models is on the way."""
    for part in location:
        field = model.model_fields.get(str(part))
        choices = (field.annotation, *get_args(field.annotation)) if field else ()
        inner = next((choice for choice in choices if hasattr(choice, "model_fields")), None)
        if inner is None:
            return []
        model = inner
    return list(model.model_fields)

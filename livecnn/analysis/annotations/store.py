"""Keep the verdicts of a person on units, good or bad and a note, in a JSON file that is written at every change."""

from __future__ import annotations

import getpass
import json
import re
import reprlib
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError
from pydantic_core import to_json

from livecnn import paths
from livecnn.errors import OutputError
from livecnn.io.files import locked, write_atomically
from livecnn.io.validation import ValidationProblem, explain, report
from livecnn.io.yaml_document import Document

Verdict = Literal["good", "bad"]

SUFFIX = ".annotations.json"
MOST_BYTES = 1 << 26


@dataclass(frozen=True)
class Mark:
    """The verdict of a person on one unit."""

    verdict: Verdict | None = None  # "good", "bad" or None
    note: str = ""  # text, "" for none
    time: str = ""  # of the last change, UTC, as 2026-01-31T14:23:55Z
    annotator: str = ""  # who made it


Units = Mapping[str, Mapping[int, Mark]]  # by layer and number
_Change = tuple[str, int, dict[str, Any]]  # layer, unit, fields of Mark


class Annotations:
    """Marks of units in a JSON file, written at once at every change.

    A change is made to what the file holds at that moment, so that several windows may share one. A method that changes raises
    OutputError if the file cannot be written, or holds what no version known here would write (it then stays as it is); the
    change holds all the same and goes into the file with the next one.

    Attributes:
        path: Of the file.
        model: Name of the network.
        annotator: Who marks now.
        units: Every mark by layer, in the order in which the layers were first marked, and unit.
    """

    def __init__(self, path: Path, model: str, annotator: str, units: Units) -> None:
        self.path, self.model, self.annotator = path, model, annotator
        self._unsaved: list[_Change] = []
        self._hold(units)

    @classmethod
    def open(cls, path: Path, model: str, annotator: str = "") -> Annotations:
        """Open a file, or begin with no marks if there is none; it is made with the first change.

        `annotator`: who marks now; by default the login name.
        Raises OutputError if the file is damaged, of another model, or of a later version.
        """
        file = _File.read(path)
        annotations = cls(path, model, _text(annotator) or _login_name(), {} if file is None else file.marks())
        annotations._check(file)
        return annotations

    @classmethod
    def read(cls, path: Path) -> Annotations:
        """Read a file, of whatever model and annotator. Raises OutputError as `open`, and if there is no such file."""
        file = _File.read(path)
        if file is None:
            raise OutputError(f"{path}: no such file; allowed: a file of annotations")
        return cls(path, file.model, file.annotator, file.marks())

    def mark(self, layer: str, unit: int, verdict: Verdict | None) -> None:
        """Call a unit good or bad; None takes that away, a note stays. Raises OutputError."""
        self._change(layer, unit, verdict=verdict)

    def note(self, layer: str, unit: int, text: str) -> None:
        """Write a note to a unit; "" takes it away. Raises OutputError."""
        self._change(layer, unit, note=_text(text))

    def of(self, layer: str, unit: int) -> Mark:
        """Return the mark of a unit, Mark() where there is none."""
        return self.units.get(layer, {}).get(unit, Mark())

    def counts(self, layer: str, units: int) -> tuple[int, int, int]:
        """Return how many of a layer's units are good, bad, neither."""
        found = self._tallies.get(layer) or count_verdicts(())
        return found["good"], found["bad"], units - found["good"] - found["bad"]

    def _hold(self, units: Units) -> None:
        self.units = units  # replaced, never changed: another thread may be reading it
        self._tallies = {layer: count_verdicts(marks.values()) for layer, marks in units.items()}

    def _change(self, layer: str, unit: int, **fields: Any) -> None:
        if unit < 0:
            raise ValueError(f"unit {unit}: units count from 0")
        stamp = {"time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "annotator": self.annotator}
        self._unsaved.append((layer, int(unit), {**fields, **stamp}))
        self._hold(_changed(self.units, self._unsaved[-1:]))
        path = self.path.resolve()  # a link is written through, not replaced
        with locked(path):
            file = _File.read(path)
            self._check(file)
            units = _changed(self.units if file is None else file.marks(), self._unsaved)  # a file that is gone is written anew
            owner = self.annotator if file is None else file.annotator
            write_atomically(path, as_json(self.model, owner, units))
        self._unsaved.clear()
        self._hold(units)

    def _check(self, file: _File | None) -> None:
        if file is not None and file.model != self.model:
            raise OutputError(f"{self.path}: model: found {file.model!r}; allowed: {self.model!r}")


def annotations_path(layout_path: Path, from_file: bool, model: str) -> Path:
    """Return the file of the annotations that are made in a layout, see Layout.path and Layout.from_file, on a model.

    Beside a user's own layout; those of a layout that ships, or was made in Python, in `paths.user_annotations()`.
    """
    own = from_file and not layout_path.resolve().is_relative_to(paths.shipped("configs").resolve())
    folder = layout_path.parent if own else paths.user_annotations()
    stem = layout_path.stem if from_file else paths.file_name(str(layout_path))
    return folder / f"{stem}.{paths.file_name(model)}{SUFFIX}"


def count_verdicts(marks: Iterable[Mark]) -> dict[str, int]:
    """Count how many are good, bad, noted."""
    kinds = Counter(kind for mark in marks for kind in (mark.verdict, mark.note and "noted"))
    return {kind: kinds[kind] for kind in (*get_args(Verdict), "noted")}


def as_json(model: str, annotator: str, units: Units) -> bytes:
    """Return the content of a file; a mark says who made it if that is not `annotator`."""
    data = {
        "version": 1,
        "model": model,
        "annotator": annotator,
        "units": {
            layer: {str(unit): _fields(marks[unit], annotator) for unit in sorted(marks)} for layer, marks in units.items()
        },
    }
    return to_json(data, indent=1) + b"\n"  # indented, the json module takes five times as long


def _fields(mark: Mark, owner: str) -> dict[str, str]:
    return {key: value for key, value in vars(mark).items() if value and (key, value) != ("annotator", owner)}


def _like(pattern: str, example: str) -> AfterValidator:
    def check(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValidationProblem(f"found {reprlib.repr(text)}; allowed: {example}")
        return text

    return AfterValidator(check)


_Number = Annotated[str, _like(r"0|[1-9][0-9]{0,8}", "a unit's number, such as 31")]
_Time = Annotated[str, _like(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z", "a time, such as 2026-01-31T14:23:55Z")]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Unit(_Section):
    verdict: Verdict | None = None
    note: str = ""
    time: _Time
    annotator: str = ""


class _File(_Section):
    version: Literal[1]
    model: str
    annotator: str
    units: dict[str, dict[_Number, _Unit]]

    @classmethod
    def read(cls, path: Path) -> _File | None:
        """Read a file, None if there is none. Raises OutputError."""
        data = _json_of(path)
        if data is None:
            return None
        if not isinstance(data, dict):
            raise OutputError(f"{path}: found {reprlib.repr(data)}; allowed: an object with version, model, annotator, units")
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise report(Document(data, path, {}, error=OutputError), explain(error, cls, data)) from error

    def marks(self) -> Units:
        return {
            layer: {
                int(number): Mark(unit.verdict, unit.note, unit.time, unit.annotator or self.annotator)
                for number, unit in units.items()
            }
            for layer, units in self.units.items()
            if units
        }


def _json_of(path: Path) -> Any:
    """Return the value in a file, None if there is no file. Raises OutputError."""
    try:
        with path.open("rb") as file:
            raw = file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise OutputError(f"{path}: cannot be read: {error.strerror or error}") from error
    if len(raw) > MOST_BYTES:
        raise OutputError(f"{path}: found more than {MOST_BYTES} bytes; is it a file of annotations?")
    try:
        data = json.loads(raw.decode(), object_pairs_hook=_once) or {}
        json.dumps(data, ensure_ascii=False).encode()  # fails for "\\ud83d" alone, half a character
    except json.JSONDecodeError as error:
        raise OutputError(f"{path}:{error.lineno}: not valid JSON: {error.msg}") from error
    except UnicodeError as error:
        raise OutputError(f"{path}: not UTF-8 text; is it a file of annotations?") from error
    except (ValueError, RecursionError) as error:
        raise OutputError(f"{path}: {error}") from error
    return data


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse two values under one key: the first would be lost."""
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = Counter(key for key, _ in pairs).most_common(1)[0][0]
        raise ValidationProblem(f"{twice}: found twice; once is allowed")
    return found


def _changed(units: Units, changes: Iterable[_Change]) -> Units:
    """Return changed copies; what is neither marked nor noted any more is left out."""
    changed = {layer: dict(marks) for layer, marks in units.items()}
    for layer, unit, fields in changes:
        marks = changed.setdefault(layer, {})
        mark = replace(marks.get(unit, Mark()), **fields)
        if mark.verdict or mark.note:
            marks[unit] = mark
        else:
            marks.pop(unit, None)
    return {layer: marks for layer, marks in changed.items() if marks}


def _text(text: str) -> str:
    """Replace halves of characters, which no file can hold."""
    return text.encode(errors="replace").decode()


def _login_name() -> str:
    try:
        return _text(getpass.getuser())
    except (OSError, KeyError, ImportError):  # by version and platform, where nothing names the user
        return "unknown"

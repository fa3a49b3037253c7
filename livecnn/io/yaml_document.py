"""YAML read strictly: the core schema of YAML 1.2, no duplicate keys, and a line number for every value.

PyYAML alone reads YAML 1.1 (`on` is True, `010` is 8, `1e3` is text) and keeps the last of duplicate keys.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from livecnn.errors import ConfigError, LivecnnError

Location = tuple[str | int, ...]  # keys and indices from the top of the document

MOST_VALUES = 20_000  # with aliases expanded, so that a few lines cannot stand for billions of values
MOST_DEPTH = 32

_TAG = "tag:yaml.org,2002:"


class _Kind(NamedTuple):
    pattern: re.Pattern[str]
    starts: list[str]  # first characters that a value may have; PyYAML looks kinds up by them
    convert: Callable[[str], Any]


# https://yaml.org/spec/1.2.2/#1032-tag-resolution, less `.inf` and `.nan`, which nothing here may be.
_CORE_SCHEMA = {
    "null": _Kind(re.compile(r"~|null|Null|NULL|"), ["~", "n", "N", ""], lambda _: None),
    "bool": _Kind(re.compile(r"true|True|TRUE|false|False|FALSE"), list("tTfF"), lambda text: text[0] in "tT"),
    "int": _Kind(
        re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+"),
        list("-+0123456789"),
        lambda text: int(text, {"0o": 8, "0x": 16}.get(text[:2], 10)),
    ),
    "float": _Kind(
        re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?"),
        list("-+.0123456789"),
        float,
    ),
}


@dataclass(frozen=True)
class Document:
    """A YAML mapping as plain Python (keys are text), and where each of its values stands."""

    data: Mapping[str, Any]
    path: Path
    # by location, from 1; the rows of a literal block (`|`) that are not blank have their own, under their index
    lines: Mapping[Location, int]
    # by location, the words that replaced the file's value (`--set box.size=1.0`)
    overrides: Mapping[Location, str] = field(default_factory=dict)
    error: type[LivecnnError] = ConfigError  # what the readers raise

    def line_of(self, location: Sequence[str | int]) -> int:
        """Return the line of a value, or of the nearest value around it that the file holds."""
        return next((self.lines[key] for key in _parents(location) if key in self.lines), 1)

    def where(self, location: Sequence[str | int]) -> str:
        """Return `FILE:LINE` of a value (`FILE` where no lines are known), or the override that put it there."""
        override = next((self.overrides[key] for key in _parents(location) if key in self.overrides), None)
        return override or (f"{self.path}:{self.line_of(location)}" if self.lines else str(self.path))

    def with_override(self, assignment: str) -> Document:
        """Return the document with `dotted.key=YAML value` put in (`panels.conv1.channels=0-9`). Raises `error`."""
        words = f"--set {assignment}"
        dotted, equals, text = assignment.partition("=")
        keys = tuple(dotted.strip().split("."))
        if not equals or not all(keys):
            raise self.error(f"{words}: found no KEY=VALUE; allowed: for example box.size=0.8")
        value = parse_value(text, words, self.error)
        return replace(self, data=_put(self.data, keys, value, words, self.error), overrides={**self.overrides, keys: words})


def load(path: Path, error: type[LivecnnError] = ConfigError) -> Document:
    """Read a file. Raises `error` ("FILE:LINE: …") where it cannot be read, is not UTF-8, not YAML, or not a mapping."""
    try:
        raw = path.read_bytes()
    except OSError as cause:
        raise error(f"{path}: cannot be read: {cause.strerror or cause}") from cause
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as cause:
        line = raw.count(b"\n", 0, cause.start) + 1
        raise error(f"{path}:{line}: not UTF-8 text; is it a YAML file?") from cause
    return parse(text, path, error)


def parse(text: str, path: Path, error: type[LivecnnError] = ConfigError) -> Document:
    """Read a text as `load` reads a file; `path` is for the messages."""
    reader = _Reader(lambda line: f"{path}:{line}", error)
    data = reader.read(text)
    if not isinstance(data, dict):
        found = "nothing" if data is None else "a list" if isinstance(data, list) else "a single value"
        raise error(f"{path}:{reader.lines.get((), 1)}: found {found}; a mapping (`key: value` lines) is needed")
    return Document(data, path, reader.lines, error=error)


def parse_value(text: str, where: str, error: type[LivecnnError] = ConfigError) -> Any:
    """Read a single value, as after `KEY=` on the command line. Raises `error`, beginning with `where`."""
    return _Reader(lambda _: where, error).read(text)


def dump(data: Mapping[str, Any]) -> str:
    """Return plain Python as YAML that this module and a YAML 1.1 reader understand alike."""
    return yaml.dump(dict(data), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)


class _Loader(yaml.SafeLoader):
    """Only its composer is used: `_Reader` turns the nodes into Python."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012  (PyYAML's own class attribute; filled below)
    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        self.depth += 1  # the composer recurses: a file of brackets alone would exhaust the stack
        if self.depth > MOST_DEPTH:
            raise yaml.MarkedYAMLError(problem=f"nested more than {MOST_DEPTH} deep", problem_mark=self.peek_event().start_mark)  # type: ignore[no-untyped-call]
        node: yaml.Node | None = super().compose_node(parent, index)
        self.depth -= 1
        return node


class _Dumper(yaml.SafeDumper):
    """Quotes what either version of YAML would take for something else than text."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True

    def represent_str(self, data: str) -> yaml.ScalarNode:
        breaks = set(data) & set("\r\x85\u2028\u2029")  # PyYAML reads them back as other ones unless they are escaped
        return self.represent_scalar(_TAG + "str", data, style='"' if breaks else None)


_Dumper.add_representer(str, _Dumper.represent_str)
for _name, _kind in _CORE_SCHEMA.items():
    for _class in (_Loader, _Dumper):
        _class.add_implicit_resolver(_TAG + _name, re.compile(rf"(?:{_kind.pattern.pattern})\Z"), _kind.starts)


class _Reader:
    """From text to plain Python; fills `lines` on the way."""

    def __init__(self, where: Callable[[int], str], error: type[LivecnnError]) -> None:
        self.where = where
        self.error = error
        self.lines: dict[Location, int] = {}
        self.values = 0

    def read(self, text: str) -> Any:
        try:
            node = yaml.compose(text, Loader=_Loader)
        except yaml.MarkedYAMLError as cause:
            mark = cause.problem_mark or cause.context_mark
            line = mark.line + 1 if mark else 1
            raise self.error(f"{self.where(line)}: not valid YAML: {cause.problem or cause.context}") from cause
        except yaml.reader.ReaderError as cause:
            line = text.count("\n", 0, cause.position) + 1
            raise self.error(
                f"{self.where(line)}: found the character {text[cause.position]!r}; YAML is printable text"
            ) from cause
        return None if node is None else self._value(node, ())

    def _fail(self, node: yaml.Node, message: str) -> LivecnnError:
        return self.error(f"{self.where(node.start_mark.line + 1)}: {message}")

    def _tagged(self, node: yaml.Node) -> LivecnnError:
        return self._fail(node, f"found the tag {node.tag.replace(_TAG, '!!')}; allowed: plain values, lists and mappings")

    def _value(self, node: yaml.Node, location: Location) -> Any:
        self.lines[location] = node.start_mark.line + 1
        self.values += 1
        if self.values > MOST_VALUES:
            raise self._fail(node, f"found more than {MOST_VALUES} values, aliases expanded")
        if len(location) > MOST_DEPTH:
            raise self._fail(node, f"nested more than {MOST_DEPTH} deep, aliases expanded")
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, location)
        if isinstance(node, yaml.SequenceNode) and node.tag == _TAG + "seq":
            return [self._value(item, (*location, index)) for index, item in enumerate(node.value)]
        if isinstance(node, yaml.MappingNode) and node.tag == _TAG + "map":
            return self._mapping(node, location)
        raise self._tagged(node)

    def _mapping(self, node: yaml.MappingNode, location: Location) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise self._fail(key_node, "found a list or mapping as a key; a word is allowed")
            key: str = key_node.value  # as written: `on`, `7` and `true` are names here
            if key in result:
                first = self.lines[(*location, key)]
                raise self._fail(key_node, f"{_dotted((*location, key))}: found twice (first in line {first}); once is allowed")
            result[key] = self._value(value_node, (*location, key))
            self.lines[(*location, key)] = key_node.start_mark.line + 1
        return result

    def _scalar(self, node: yaml.ScalarNode, location: Location) -> Any:
        text: str = node.value
        kind = node.tag.removeprefix(_TAG)
        if kind == "str":
            if node.style == "|":
                first = node.start_mark.line + 2  # the row below the `|`, as a person counts
                filled = [index for index, row in enumerate(text.splitlines()) if row.strip()]
                self.lines.update({(*location, row): first + index for row, index in enumerate(filled)})
            return text
        if kind not in _CORE_SCHEMA:
            raise self._tagged(node)
        try:
            value = _CORE_SCHEMA[kind].convert(text) if _CORE_SCHEMA[kind].pattern.fullmatch(text) else math.nan
        except ValueError:  # Python's own limit on the digits of an int
            value = math.nan
        if isinstance(value, float) and not math.isfinite(value):
            raise self._fail(node, f"{_dotted(location)}: found {text[:40]!r}, which is no valid {kind}")
        return value


def _parents(location: Sequence[str | int]) -> list[Location]:
    return [tuple(location[:end]) for end in range(len(location), -1, -1)]


def _dotted(location: Location) -> str:
    return ".".join(map(str, location)) or "the value"


def _put(data: Mapping[str, Any], keys: tuple[str, ...], value: Any, words: str, error: type[LivecnnError]) -> dict[str, Any]:
    """Copy nested mappings with one value replaced; mappings on the way are made where the file has none."""
    key, *rest = keys
    if not rest:
        return {**data, key: value}
    inner = data.get(key)
    if inner is not None and not isinstance(inner, dict):
        raise error(f"{words}: {key} holds {inner!r}, not a mapping, so it has no key {rest[0]!r}")
    return {**data, key: _put(inner or {}, tuple(rest), value, words, error)}

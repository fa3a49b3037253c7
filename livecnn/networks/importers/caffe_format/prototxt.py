"""Protocol buffers' text format, of prototxt files (https://protobuf.dev/reference/protobuf/textformat-spec/)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from livecnn.errors import ModelError

DEEPEST = 16  # messages within messages; Caffe's networks have four levels
ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}
CLOSING = {"{": "}", "<": ">"}

Fields = dict[str, list[Any]]

_TOKEN = re.compile(
    r"""\s+ | \#.* | (?P<text> "(?:[^"\\\n]|\\.)*" | '(?:[^'\\\n]|\\.)*' ) | (?P<word> [-+.\w]+ ) | (?P<mark> [][{}<>:;,] )""",
    re.VERBOSE,
)
_INTEGER = re.compile(r"[-+]?\d{1,19}")
_FLOAT = re.compile(r"([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)f?")


class Token(NamedTuple):
    """A text, word or mark, and its line; the last one is the end."""

    kind: str
    text: str
    line: int


def parse(text: str, file: str) -> Fields:
    """Parse a prototxt.

    Returns:
        All values of each field: texts, numbers, bools, messages; names of enumerations are texts.

    Raises:
        ModelError: With the file's name and the line.

    Example:
        >>> parse('layer { name: "conv" kernel_size: [3, 5] engine: CAFFE }', "net.prototxt")
        {'layer': [{'name': ['conv'], 'kernel_size': [3, 5], 'engine': ['CAFFE']}]}
    """
    return _Reader(text, file).fields("")


class _Reader:
    def __init__(self, text: str, file: str) -> None:
        self._file = file
        self._tokens = self._split(text)
        self._next = next(self._tokens)

    def fields(self, end: str, depth: int = 0) -> Fields:
        """Read fields up to the mark that ends a message."""
        found: Fields = {}
        while self._next.text != end or self._next.kind not in ("mark", "end"):
            name = self._take("word", "the name of a field")
            found.setdefault(name, []).extend(self._values(depth))
            if self._next.text in (",", ";"):
                self._step()
        self._step()
        return found

    def _values(self, depth: int) -> Iterator[Any]:
        """Yield the values of one field: a message, a list or a value."""
        colon = self._is(":")
        if colon:
            self._step()
        if colon and self._is("["):
            self._step()
            while not self._is("]"):
                yield self._value(depth)
                if not self._is("]"):
                    self._take("mark", "',' or ']'", ",")
            self._step()
        elif colon or self._next.text in CLOSING:
            yield self._value(depth)
        else:
            raise self._error("':' or '{'")

    def _value(self, depth: int) -> Any:
        token = self._next
        if token.kind == "mark" and token.text in CLOSING:
            if depth == DEEPEST:
                raise self._error(f"at most {DEEPEST} levels")
            self._step()
            return self.fields(CLOSING[token.text], depth + 1)
        if token.kind == "text":
            words = []
            while self._next.kind == "text":  # neighbours are one text
                words.append(re.sub(r"\\(.)", lambda found: ESCAPES.get(found[1], found[1]), self._step().text[1:-1]))
            return "".join(words)
        return _scalar(self._take("word", "a value"))

    def _is(self, mark: str) -> bool:
        return self._next.kind == "mark" and self._next.text == mark

    def _take(self, kind: str, wanted: str, text: str | None = None) -> str:
        if self._next.kind != kind or text not in (None, self._next.text):
            raise self._error(wanted)
        return self._step().text

    def _step(self) -> Token:
        token, self._next = self._next, next(self._tokens, self._next)
        return token

    def _error(self, wanted: str) -> ModelError:
        found = repr(self._next.text[:40]) if self._next.text else "the end"
        return ModelError(f"{self._file}:{self._next.line}: found {found}; {wanted} is needed")

    def _split(self, text: str) -> Iterator[Token]:
        place, line = 0, 1
        while place < len(text):
            found = _TOKEN.match(text, place)
            if found is None:
                raise ModelError(f"{self._file}:{line}: found {text[place]!r}, which no prototxt has there")
            if found.lastgroup:
                yield Token(found.lastgroup, found[0], line)
            line += found[0].count("\n")
            place = found.end()
        yield Token("end", "", line)


def _scalar(word: str) -> Any:
    if word in ("true", "false"):
        return word == "true"
    if _INTEGER.fullmatch(word):
        return int(word)
    number = _FLOAT.fullmatch(word)
    return float(number[1]) if number else word

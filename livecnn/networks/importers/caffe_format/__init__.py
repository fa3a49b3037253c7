"""Protocol buffers, the format of Caffe's files.

Binary: the wire format, of caffemodel and binaryproto files (https://protobuf.dev/programming-guides/encoding/). Weights are
found first and read later, each straight into its own memory: a file of 540 MB is never in memory twice.
Text: of prototxt files (https://protobuf.dev/reference/protobuf/textformat-spec/).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from livecnn.errors import ModelError

LARGEST = 1 << 30  # bytes of a file
MOST_FIELDS = 1_000_000
VARINT, WIDE, BYTES, NARROW = 0, 1, 2, 5  # wire types

# Numbers of fields in caffe.proto.
LAYERS, LAYERS_V1 = 100, 2
NAME, BLOBS, NAME_V1, BLOBS_V1, LAYER_V0 = 1, 7, 4, 6, 1
DATA, DOUBLE_DATA, SHAPE, LEGACY = 5, 8, 7, (1, 2, 3, 4)
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


class WireField(NamedTuple):
    """A field of a message: its key (number and wire type), the value of a varint or else its length, where its bytes start."""

    number: int
    wire: int
    value: int
    start: int


@dataclass(frozen=True)
class Blob:
    """The place of an array of numbers in a file, in bytes, of float64 if `double`, else float32."""

    shape: tuple[int, ...]
    start: int
    size: int
    double: bool


class Binary:
    """A file of the wire format, open for the time of a `with`. Every method may raise ModelError, which names the file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fields = 0
        try:
            self._file = path.open("rb")
        except OSError as error:
            raise ModelError(f"{path}: cannot be read: {error.strerror or error}") from error
        self._size = self._file.seek(0, 2)

    def __enter__(self) -> Binary:
        if self._size > LARGEST:
            self._file.close()
            raise self._error(f"{self._size} bytes; allowed: at most {LARGEST}")
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def layers(self) -> dict[str, list[Blob]]:
        """Find the blobs of every layer by its name, in both generations of the format."""
        found: dict[str, list[Blob]] = {}
        for field in self._walk(0, self._size):
            if field.number in (LAYERS, LAYERS_V1) and field.wire == BYTES:
                name, blobs = self._layer(field)
                if blobs or name not in found:
                    found[name] = blobs
        if not found:
            raise self._error("no layers in it; a caffemodel is needed")
        return found

    def blob(self) -> Blob:
        """Return the blob that is the whole file: a mean picture."""
        return self._blob("blob", 0, self._size)

    def read(self, blob: Blob) -> torch.Tensor:
        """Read numbers as float32, in the blob's shape."""
        array = np.empty(blob.shape, np.float64 if blob.double else np.float32)
        self._file.seek(blob.start)
        self._file.readinto(array.reshape(-1).view(np.uint8).data)
        return torch.from_numpy(array).float()

    def _layer(self, message: WireField) -> tuple[str, list[Blob]]:
        old = message.number == LAYERS_V1
        name, blobs = "", list[Blob]()
        for field in self._walk(message.start, message.start + message.value):
            if field.wire == BYTES and field.number == (NAME_V1 if old else NAME):
                self._file.seek(field.start)
                name = self._file.read(min(field.value, 1000)).decode(errors="replace")
            elif field.wire == BYTES and field.number == (BLOBS_V1 if old else BLOBS):
                blobs.append(self._blob(f"layer {name!r}: blob {len(blobs)}", field.start, field.start + field.value))
            elif old and field.wire == BYTES and field.number == LAYER_V0:
                raise self._error("its layers have the oldest format; Caffe's upgrade_net_proto_binary brings it up to date")
        return name, blobs

    def _blob(self, what: str, start: int, end: int) -> Blob:
        legacy: dict[int, int] = {}
        shape: tuple[int, ...] | None = None
        data: list[WireField] = []
        for field in self._walk(start, end):
            if field.number == SHAPE and field.wire == BYTES:
                shape = tuple(self._dims(field))
            elif field.number in LEGACY and field.wire == VARINT:
                legacy[field.number] = field.value
            elif field.number in (DATA, DOUBLE_DATA):
                data.append(field)
        if shape is None:
            shape = tuple(legacy.get(number, 1) for number in LEGACY)
        if len(data) != 1 or data[0].wire != BYTES:
            raise self._error(f"{what}: found its numbers in {len(data)} pieces; allowed: one, packed")
        width = 8 if data[0].number == DOUBLE_DATA else 4
        if len(shape) > 32 or not 0 < math.prod(shape) * width == data[0].value:
            told = "x".join(map(str, shape[:8]))
            raise self._error(f"{what}: its shape is {told}, but there are {data[0].value} bytes of numbers")
        return Blob(shape, data[0].start, data[0].value, width == 8)

    def _dims(self, message: WireField) -> Iterator[int]:
        for field in self._walk(message.start, message.start + message.value):
            if field.number == 1 and field.wire == VARINT:
                yield field.value
            elif field.number == 1 and field.wire == BYTES:
                place = field.start
                while place < field.start + field.value:
                    value, place = self._varint(place)
                    yield value

    def _walk(self, place: int, end: int) -> Iterator[WireField]:
        """Yield the fields of a message, each of which is inside it."""
        while place < end:
            self._fields += 1
            if self._fields > MOST_FIELDS:
                raise self._error(f"more than {MOST_FIELDS} fields")
            key, place = self._varint(place)
            number, wire = key >> 3, key & 7
            if wire in (VARINT, BYTES):
                value, place = self._varint(place)
            elif wire in (WIDE, NARROW):
                value = 8 if wire == WIDE else 4
            else:
                raise self._error("not a sound protocol buffer")
            length = 0 if wire == VARINT else value
            if place + length > end:
                raise self._error("it is cut off, or not a protocol buffer")
            yield WireField(number, wire, value, place)
            place += length

    def _varint(self, place: int) -> tuple[int, int]:
        """Return the number at a place, and the place after it."""
        self._file.seek(place)
        value = 0
        for shift in range(0, 70, 7):
            byte = self._file.read(1)
            if not byte:
                raise self._error("it is cut off, or not a protocol buffer")
            value |= (byte[0] & 0x7F) << shift
            if byte[0] < 0x80:
                return value, place + shift // 7 + 1
        raise self._error("not a sound protocol buffer")

    def _error(self, message: str) -> ModelError:
        return ModelError(f"{self._path}: {message}")


class Token(NamedTuple):
    """A text, word or mark, and its line; the last one is the end."""

    kind: str
    text: str
    line: int


def parse(text: str, file: str) -> Fields:
    """Parse a prototxt to all values of each field, names of enumerations as texts. Raises ModelError with file and line.

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

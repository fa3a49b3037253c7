"""Natural order of names."""

from __future__ import annotations

import os
import re
from array import array
from collections.abc import Iterator


def natural_key(path: str) -> str:
    """Sorts paths as people count: numbers inside names by their value, letters without regard to case.

    The key is one text: lists of pieces would take several times the memory. "\\0", which no name holds, ends each piece, so that
    a name comes before those that begin with it.
    """
    return "\0".join(map(_part_key, path.split("/")))


def _part_key(part: str) -> str:
    pieces = re.split(r"(\d+)", part)
    return "".join(_number(piece) if i % 2 else f"{piece.casefold()}\0" for i, piece in enumerate(pieces)) + f"\0{part}"


def _number(digits: str) -> str:
    """Of two numbers the one with fewer digits is the smaller one."""
    plain = str(int(digits))
    return chr(len(plain)) + plain


# --- MERGED from _names
# """Many names in little memory."""
class Names:
    """File names by their place in one block of bytes: each takes its length and nine bytes, where a Path would take hundreds."""

    def __init__(self) -> None:
        self._block = bytearray()
        self._starts = array("q")

    def append(self, name: str) -> None:
        """Add a name."""
        self._starts.append(len(self._block))
        self._block += os.fsencode(name) + b"\0"

    def __len__(self) -> int:
        return len(self._starts)

    def __getitem__(self, place: int) -> str:
        start = self._starts[place]
        return os.fsdecode(bytes(self._block[start : self._block.index(b"\0", start)]))

    def __delitem__(self, place: int) -> None:
        del self._starts[place]

    def __iter__(self) -> Iterator[str]:
        return (self[place] for place in range(len(self)))

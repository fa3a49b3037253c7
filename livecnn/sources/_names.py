"""Many names in little memory."""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterator


class Names:
    """File names by their place in one block of bytes: each takes its length and nine bytes, where a Path would take hundreds."""

    def __init__(self) -> None:
        self._block = bytearray()
        self._starts = array("q")

    def append(self, name: str) -> None:
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

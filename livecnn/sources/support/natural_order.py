"""Natural order of names."""

from __future__ import annotations

import re


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

"""Natural order of names."""

from __future__ import annotations

import re


def natural_key(path: str) -> list[tuple[list[str | int], str]]:
    """Sorts paths as people count: numbers inside names by their value, letters without regard to case."""

    def part_key(part: str) -> tuple[list[str | int], str]:
        pieces = re.split(r"(\d+)", part)
        return [int(piece) if i % 2 else piece.casefold() for i, piece in enumerate(pieces)], part

    return [part_key(part) for part in path.split("/")]

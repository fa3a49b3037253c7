"""Explanations side by side: what the network sees, and for each unit or class a tile by each method."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from livecnn import explained
from livecnn.answers import ACTIVATION, Explanation
from livecnn.colors import table
from livecnn.pixels import Weight, scaled, shorten, text_width, write
from livecnn.theme import THEMES
from livecnn.types import Floats, Image

WIDTH = 1280  # pixels at most, unless there are very many
EDGE, HEADER, SECTION, GAP, CAPTION = 20, 74, 34, 14, 26
LARGEST, SMALLEST = 196, 56  # of a tile
LEAST = 620  # for the title
LETTERS = 13
THEME = THEMES["dark"]


class Tile(NamedTuple):
    """A picture, what it is of, and what else is told of it."""

    image: Image
    name: str
    told: str


Sections = list[tuple[str, list[Tile | None]]]  # each under its heading; None is a gap


def picture(
    seen: Image, scores: Floats, classes: Sequence[str], parts: Sequence[Explanation], settings: Mapping[str, Any]
) -> Image:
    """uint8 (H, W, 3). For the arguments see `Explanations`."""
    groups: dict[str | None, list[Explanation]] = {}
    for part in parts:
        groups.setdefault(None if part.question.of_classes else part.question.layer, []).append(part)
    together = max(map(len, groups.values()))
    count = together + sum(len(part.names) for part in parts)
    columns = _columns(count, together)
    wide = min(LARGEST, max(SMALLEST, (WIDTH - 2 * EDGE) // columns - GAP))
    size = wide, max(1, round(wide * seen.shape[0] / seen.shape[1]))
    top = int(scores.argmax())
    first = Tile(scaled(explained.as_rgb(seen), *size, sharp=True), "input", f"{classes[top]}: {scores[top]:.2f}")
    sections: Sections = [
        (_heading(layer, len(group[0].names)), _tiles(group, seen, size, settings["channels"])) for layer, group in groups.items()
    ]
    sections[0][1][:0] = [first, *[None] * (together - 1)]
    lines = _title(parts), _subtitle(parts, settings)
    return _sheet(lines, sections, columns, size)


def _heading(layer: str | None, count: int) -> str:
    return f"{count} {'class' if count == 1 else 'classes'}" if layer is None else f"{layer}: {count} unit{'s'[: count > 1]}"


def _columns(count: int, together: int) -> int:
    """How many tiles side by side: a multiple of those that belong together."""
    wanted = min(count, max(6, math.ceil(math.sqrt(1.7 * count))))
    return max(1, round(wanted / together)) * together


def _tiles(group: Sequence[Explanation], seen: Image, size: tuple[int, int], channels: str) -> list[Tile | None]:
    """Unit by unit, by one method after the other."""
    ground, tiles = explained.as_rgb(seen), []
    for i, name in enumerate(group[0].names):
        for part in group:
            method = part.question.method
            told = explained.names(method)[-1] if len(group) > 1 else f"{part.values[i]:.3g}"
            tiles.append(Tile(_drawn(method, part.maps[i], ground, size, channels), name, told))
    return [*tiles]


def _drawn(method: str, values: Floats, ground: Image, size: tuple[int, int], channels: str) -> Image:
    if method != ACTIVATION:
        return explained.picture(method, values, ground, size, THEME, channels)[..., :3]
    finite = values[0][np.isfinite(values[0])]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    return explained.squares(values[0], low, high, size, table("gray", THEME))[..., :3]


def _title(parts: Sequence[Explanation]) -> str:
    layers = list(dict.fromkeys(part.question.layer for part in parts if not part.question.of_classes))
    if not layers:
        return "What speaks for a class"
    return f"What units of {layers[0]} answer to" if len(layers) == 1 else "What units answer to"


def _subtitle(parts: Sequence[Explanation], settings: Mapping[str, Any]) -> str:
    methods = list(dict.fromkeys(part.question.method for part in parts))
    names = ", ".join(explained.names(method)[0] for method in methods)
    meaning = f": {explained.MEANINGS[methods[0]]}" if len(methods) == 1 and methods[0] in explained.MEANINGS else ""
    about = filter(None, (settings["model"], settings["image"], f"{names}{meaning}"))
    return " · ".join(about)


def _sheet(lines: tuple[str, str], sections: Sections, columns: int, size: tuple[int, int]) -> Image:
    """Title, subtitle and tiles on one paper."""
    headed = SECTION * (len(sections) > 1)
    step = size[1] + CAPTION + GAP
    rows = [-(-len(tiles) // columns) for _, tiles in sections]
    width = max(LEAST, 2 * EDGE + columns * (size[0] + GAP) - GAP)
    sheet = np.empty((HEADER + sum(headed + count * step for count in rows) - GAP + EDGE, width, 3), np.uint8)
    sheet[:] = THEME.background
    room = width - 2 * EDGE
    _say(sheet, lines[0], EDGE, 34, room, 20, "bold")
    _say(sheet, lines[1], EDGE, 58, room)
    y = HEADER
    for (heading, tiles), count in zip(sections, rows, strict=True):
        if headed:
            _say(sheet, heading, EDGE, y + 20, room, 15, "bold")
        for i, tile in enumerate(tiles):
            if tile is not None:
                _place(sheet, EDGE + i % columns * (size[0] + GAP), y + headed + i // columns * step, tile)
        y += headed + count * step
    return sheet


def _place(sheet: Image, x: int, y: int, tile: Tile) -> None:
    high, wide = tile.image.shape[:2]
    sheet[y - 1 : y + high + 1, x - 1 : x + wide + 1] = THEME.edge
    sheet[y : y + high, x : x + wide] = tile.image
    taken = _say(sheet, tile.name, x, y + high + 18, wide, weight="bold")
    room = wide - taken - 6
    told = shorten(tile.told, room, LETTERS) if room > 2 * LETTERS else ""
    _say(sheet, told, x + wide - text_width(told, LETTERS), y + high + 18, wide)


def _say(sheet: Image, text: str, x: int, y: int, room: int, size: int = LETTERS, weight: Weight = "normal") -> int:
    """Letters from x on; returns how wide they are."""
    text = shorten(text, room, size, weight)
    width = text_width(text, size, weight)
    write(sheet, text, x + round(width / 2), y, size, THEME.text if weight == "bold" else THEME.muted, weight)
    return width

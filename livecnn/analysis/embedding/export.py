"""`livecnn embed --out`: an embedding as a picture, a page, a table, or a file that a panel reads."""

import base64
import html
import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as PillowImage

from livecnn.analysis.dataset import as_spec
from livecnn.analysis.embedding.embedding import Embedding
from livecnn.analysis.embedding.picture import LARGEST, SMALLEST, fit_unit_square, grid_cells
from livecnn.analysis.shards import absolute_spec, check_apart
from livecnn.drawing.artists import resize_exactly
from livecnn.drawing.shapes import SHAPES, color_of
from livecnn.drawing.theme import THEMES
from livecnn.errors import OutputError, UsageError
from livecnn.io.files import as_csv, check_writable, write_atomically, write_png
from livecnn.types import Image

SUFFIXES = (".png", ".html", ".csv", ".npz")
SIZE = 1600
TEMPLATE = Path(__file__).with_name("html_page.html")
SHEET = 8192  # pixels of a side that every browser takes
SMALL = 32  # pixels of a thumbnail up to which they are kept exactly
BEST = 5  # scores told of each picture, the largest


def check_out(out: Path, folder: str, size: int | None, *, grid: bool) -> None:
    """Raise OutputError or UsageError before the work begins. folder: of the pictures."""
    suffix = out.suffix.lower()
    if suffix not in SUFFIXES:
        raise OutputError(f"{out}: unknown suffix {out.suffix!r}; allowed: {', '.join(SUFFIXES)}")
    if size is not None and not SMALLEST <= size <= LARGEST:
        raise UsageError(f"--size: found {size}; allowed: {SMALLEST} to {LARGEST} pixels")
    for option, given, allowed in (("--size", size is not None, (".png",)), ("--grid", grid, (".png", ".html"))):
        if given and suffix not in allowed:
            raise UsageError(f"{option}: {out} is no picture; allowed with {' or '.join(allowed)}")
    if suffix == ".png":
        check_apart(absolute_spec(as_spec(folder)), out)
    check_writable(out)


def write(embedding: Embedding, out: Path, size: int | None = None, *, grid: bool = False) -> None:
    """Write an embedding in the form that the suffix names. Raises OutputError."""
    suffix = out.suffix.lower()
    if suffix == ".png":
        write_png(out, embedding.picture(size or SIZE, grid=grid))
    elif suffix == ".html":
        write_atomically(out, page(embedding, grid=grid).encode(errors="backslashreplace"))
    else:
        write_atomically(out, embedding.data() if suffix == ".npz" else table(embedding))


def table(embedding: Embedding) -> bytes:
    """Return CSV: index, name, label, x, y, top_class (empty for none), then a probability per class, by name."""
    rows: list[list[object]] = [["index", "name", "label", "x", "y", "top_class", *embedding.classes]]
    columns = (embedding.indices, embedding.names, embedding.labels, embedding.points, embedding.tops, embedding.scores)
    for index, name, label, (x, y), top, scores in zip(*columns, strict=True):
        seen = "" if top < 0 else embedding.classes[top]
        rows.append([index, name, label, f"{x:.5g}", f"{y:.5g}", seen, *(f"{score:.6f}" for score in scores)])
    return as_csv(rows)


def page(embedding: Embedding, *, grid: bool = False) -> str:
    """Return an HTML page; `grid`: whether it opens with the pictures in cells."""
    title, subtitle = embedding.words()
    theme = THEMES["dark"]
    filled = {
        "title": html.escape(f"{embedding.layer}: {embedding.model}"),
        "heading": html.escape(title),
        "about": html.escape(subtitle),
        "colors": " ".join(
            f"--{role}: rgb{getattr(theme, role)};" for role in ("background", "card", "edge", "text", "muted", "accent")
        ),
        "data": _script(_data(embedding, grid)),
    }
    text = TEMPLATE.read_text(encoding="utf-8")
    for name, value in filled.items():
        text = text.replace(f"<!--{name}-->", value)
    return text


def _data(embedding: Embedding, grid: bool) -> dict[str, Any]:
    names, groups = embedding.groups
    points = fit_unit_square(embedding.points)
    places, side = grid_cells(points)
    picture, tile, columns = _sheet(embedding.thumbnails)
    best = np.argsort(-embedding.scores, axis=1, kind="stable")[:, :BEST]
    return {
        "points": points.round(5).tolist(),
        "cells": ((places[:, ::-1] + 0.5) / side).round(5).tolist(),
        "grid": grid,
        "groups": groups.tolist(),
        "kinds": [{"name": name, "color": f"rgb{color_of(i)}", "shape": i % len(SHAPES)} for i, name in enumerate(names)],
        "shapes": SHAPES,
        "names": embedding.names,
        "labels": embedding.labels,
        "tops": embedding.tops.tolist(),
        "classes": embedding.classes,
        "best": best.tolist(),
        "scores": np.nan_to_num(np.take_along_axis(embedding.scores, best, 1)).astype(float).round(4).tolist(),
        "tile": tile,
        "columns": columns,
        "sheet": picture,
    }


def _sheet(thumbnails: Image) -> tuple[str, int, int]:
    """Return all thumbnails on one picture as a data URI, the side of each, and how many stand in a row."""
    columns = math.ceil(math.sqrt(len(thumbnails)))
    side = min(thumbnails.shape[1], SHEET // columns)
    sheet = np.zeros((-(-len(thumbnails) // columns) * side, columns * side, 3), np.uint8)
    for i, thumbnail in enumerate(thumbnails):
        top, left = i // columns * side, i % columns * side
        sheet[top : top + side, left : left + side] = resize_exactly(thumbnail, side, side)
    kind = "PNG" if side <= SMALL else "JPEG"
    gray = bool((sheet[..., :1] == sheet).all())
    buffer = io.BytesIO()
    PillowImage.fromarray(sheet[..., 0].copy() if gray else sheet).save(buffer, kind, quality=88)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}", side, columns


def _script(data: dict[str, Any]) -> str:
    """Return JSON that cannot end the element it stands in, whatever a file is called."""
    return json.dumps(data, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")

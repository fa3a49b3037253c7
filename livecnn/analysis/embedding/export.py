"""`livecnn embed --out`: an embedding as a picture, a page, a table, or a file that a panel reads."""

from __future__ import annotations

from pathlib import Path

from livecnn.analysis.dataset import as_spec
from livecnn.analysis.embedding.embedding import Embedding
from livecnn.analysis.embedding.html_page import page
from livecnn.analysis.embedding.picture import LARGEST, SMALLEST
from livecnn.analysis.shards import absolute_spec, check_apart
from livecnn.errors import OutputError, UsageError
from livecnn.io.csv_files import as_csv
from livecnn.io.files import check_writable, write_atomically, write_png

SUFFIXES = (".png", ".html", ".csv", ".npz")
SIZE = 1600


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
    """By the suffix. Raises OutputError."""
    suffix = out.suffix.lower()
    if suffix == ".png":
        write_png(out, embedding.picture(size or SIZE, grid=grid))
    elif suffix == ".html":
        write_atomically(out, page(embedding, grid=grid).encode(errors="backslashreplace"))
    else:
        write_atomically(out, embedding.data() if suffix == ".npz" else table(embedding))


def table(embedding: Embedding) -> bytes:
    """CSV: index, name, label, x, y, top_class (empty for none), then a probability per class, by name."""
    rows: list[list[object]] = [["index", "name", "label", "x", "y", "top_class", *embedding.classes]]
    columns = (embedding.indices, embedding.names, embedding.labels, embedding.points, embedding.tops, embedding.scores)
    for index, name, label, (x, y), top, scores in zip(*columns, strict=True):
        seen = "" if top < 0 else embedding.classes[top]
        rows.append([index, name, label, f"{x:.5g}", f"{y:.5g}", seen, *(f"{score:.6f}" for score in scores)])
    return as_csv(rows)

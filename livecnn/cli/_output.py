"""Print what several commands have in common: tables, counted nouns, reports as data, warnings."""

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path

import click


def aligned(rows: Sequence[Sequence[str]], right: Collection[int] = ()) -> Iterator[str]:
    """Yield the lines of a table; right: the columns, counted from 0, that are aligned to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (f"{cell:{'>' if at in right else '<'}{width}}" for at, (cell, width) in enumerate(zip(row, widths, strict=True)))
        yield "  ".join(cells).rstrip()


def counted(count: int, noun: str) -> str:
    """Return "1 image", "2 images"."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def check_report(file: str | None) -> None:
    """Raise OutputError if `report` could not write there."""
    from livecnn.io.files import check_writable

    if file not in (None, "-"):
        check_writable(Path(str(file)))


def report(file: str | None, data: object, table: Iterable[str]) -> None:
    """Print a table and, if a file is given, write data there as JSON; "-" prints the data instead of the table."""
    from livecnn.io.files import write_atomically

    text = json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False)
    if file not in (None, "-"):
        write_atomically(Path(str(file)), f"{text}\n".encode())
    for line in [text] if file == "-" else table:
        click.echo(line)


def warn(line: str) -> None:
    """Print a warning to the standard error output."""
    click.echo(f"livecnn: {line}", err=True)

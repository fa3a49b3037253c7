"""Tables as CSV files: UTF-8, a line feed after every row.

File names may hold bytes of another encoding; they are written with backslashes and are no reason to end.
"""

import contextlib
import csv
import io
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from livecnn.io.files import write_error

ERRORS = "backslashreplace"

Row = Iterable[Any]
File = TypeVar("File", bound="CsvFile")


def as_csv(rows: Iterable[Row]) -> bytes:
    """Return the bytes of a whole file."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode(errors=ERRORS)


class CsvFile:
    """A file that is written row by row. Use it in a `with`.

    Raises:
        OutputError: the file cannot be made or written; it names `path`.
    """

    def __init__(self, path: Path, *, part: Path | None = None, buffering: int = -1) -> None:
        """Begin the file.

        Args:
            path: of the file; its folder is made if need be.
            part: where it is written instead, in a folder that exists, until somebody moves it.
            buffering: 1 puts each row on the disk at once.
        """
        self.path = path
        try:
            if part is None:
                path.parent.mkdir(parents=True, exist_ok=True)
            self._file = (part or path).open("w", newline="", encoding="utf-8", errors=ERRORS, buffering=buffering)
        except OSError as error:
            raise write_error(path, error) from error
        self._writer = csv.writer(self._file, lineterminator="\n")

    def write(self, *rows: Row) -> None:
        """Append rows."""
        try:
            self._writer.writerows(rows)
        except OSError as error:
            with contextlib.suppress(OSError):  # closing tries to write the rest once more
                self._file.close()
            raise write_error(self.path, error) from error

    def close(self) -> None:
        """Finish the file. Idempotent."""
        try:
            self._file.close()
        except OSError as error:
            raise write_error(self.path, error) from error

    def __enter__(self: File) -> File:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

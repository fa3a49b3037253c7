"""Files: written whole or not at all, row by row, by one program at a time; tried beforehand, sorted as people count.

CSV files are UTF-8 with a line feed after every row. File names in them may hold bytes of another encoding; they are written with
backslashes and are no reason to end.
"""

import contextlib
import csv
import errno
import io
import itertools
import json
import os
import re
import tempfile
import time
import zipfile
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from filelock import FileLock, Timeout
from PIL import Image as PillowImage

from livecnn.errors import OutputError
from livecnn.types import Image

LOCK_PATIENCE = 2.0  # seconds that another program may take
NO_LOCKS = (errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK)  # of file systems without locks: nobody is kept out there
CSV_ERRORS = "backslashreplace"

Row = Iterable[Any]
Table = TypeVar("Table", bound="CsvFile")


def check_writable(path: Path) -> None:
    """Make the folder and try it, so that a run fails before its work, not after. Raises OutputError."""
    with write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise IsADirectoryError(None, "it is a folder; a file name is needed")
        tempfile.TemporaryFile(dir=path.parent).close()


@contextlib.contextmanager
def write_errors(path: Path) -> Iterator[None]:
    """Raise OutputError, which names the file, for what the system raises inside the `with`."""
    try:
        yield
    except OSError as error:
        raise write_error(path, error) from error


def write_error(path: Path, error: OSError) -> OutputError:
    """Return the error to raise for a file that cannot be written."""
    blocked = isinstance(error, (FileExistsError, NotADirectoryError))
    reason = f"{error.filename} is not a folder" if blocked else error.strerror or error
    return OutputError(f"{path}: cannot be written: {reason}")


def partial_path(path: Path) -> Path:
    """Return what a file is called until it is complete: NAME.part.SUFFIX, so that viewers open it."""
    return path.with_name(f"{path.stem}.part{path.suffix}")


def free_path(folder: Path, suffix: str, taken: Collection[Path] = ()) -> Path:
    """Return a name made of the time that no file has yet, finished or not, and none `taken`: livecnn-20260131-142355.png."""
    stem = time.strftime("livecnn-%Y%m%d-%H%M%S")
    names = itertools.chain([stem], (f"{stem}-{n}" for n in itertools.count(2)))
    paths = (folder / f"{name}{suffix}" for name in names)
    return next(path for path in paths if path not in taken and not path.exists() and not partial_path(path).exists())


def write_atomically(path: Path, data: bytes) -> None:
    """Write the whole file or none, even if the power fails. Raises OutputError."""
    part = partial_path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink()
        raise write_error(path, error) from error


def write_png(path: Path, picture: Image) -> None:
    """Write one picture, uint8 (H, W, 3) RGB or (H, W) gray. Raises OutputError."""
    buffer = io.BytesIO()
    PillowImage.fromarray(picture).save(buffer, "PNG")
    write_atomically(path, buffer.getvalue())


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep every other program that asks for the same file out; its folder is made if need be.

    Meanwhile `.NAME.lock` is beside it. Afterwards the file's name is as safe on the disk as its content.

    Raises:
        OutputError: another program has held it for LOCK_PATIENCE seconds, or the folder cannot be written to.
    """
    lock = FileLock(path.with_name(f".{path.name}.lock"), LOCK_PATIENCE, poll_interval=0.005)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout as error:
        message = f"{path}: cannot be written: another program has been writing there for {LOCK_PATIENCE:g} seconds"
        raise OutputError(message) from error
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise write_error(path, error) from error
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # on Windows an open file cannot be deleted; there releasing deletes it
            os.unlink(lock.lock_file)
        lock.release()
    with contextlib.suppress(OSError):  # some file systems cannot, nor can Windows, and the file itself is written
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def as_csv(rows: Iterable[Row]) -> bytes:
    """Return the bytes of a whole file."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode(errors=CSV_ERRORS)


class CsvFile:
    """A file that is written row by row. Use it in a `with`. Raises OutputError, which names `path`."""

    def __init__(self, path: Path, *, part: Path | None = None, buffering: int = -1) -> None:
        """Begin the file; its folder is made if need be. With `buffering` 1 each row is on the disk at once.

        It is written to `part` instead, in a folder that exists, until somebody moves it.
        """
        self.path = path
        with write_errors(path):
            if part is None:
                path.parent.mkdir(parents=True, exist_ok=True)
            self._file = (part or path).open("w", newline="", encoding="utf-8", errors=CSV_ERRORS, buffering=buffering)
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
        with write_errors(self.path):
            self._file.close()

    def __enter__(self: Table) -> Table:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def npz_bytes(arrays: Mapping[str, npt.NDArray[Any]], about: Any = None, *, compressed: bool = True) -> bytes:
    """Pack arrays as an .npz file; `about`, ready for JSON, goes into it as the array of that name."""
    first = {} if about is None else {"about": np.frombuffer(json.dumps(about).encode(), np.uint8)}
    buffer = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(buffer, **first, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


@contextlib.contextmanager
def open_npz(data: bytes) -> Iterator[tuple[Mapping[str, npt.NDArray[Any]], Any]]:
    """Open what `npz_bytes` packed, for its arrays and what it is about. Raises ValueError, also in the block, if it is none."""
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            yield file, json.loads(file["about"].tobytes())
    except (OSError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(str(error)) from error


def check_same_run(folder: Path, found: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
    """Raise OutputError, naming the first difference, if a folder's run had other settings than these."""
    other = next((name for name in settings if found.get(name) != settings[name]), None)
    if other is not None:
        told = f"{other} {found.get(other)}, now {settings[other]}"
        raise OutputError(f"{folder}: holds another run ({told}); name another folder")


def stand_in(path: Path) -> str:
    """Return what a download left in a file's place, with advice: a Git LFS pointer or a web page; "" if it left neither."""
    with path.open("rb") as file:
        start = file.read(200).lstrip().lower()
    if start.startswith(b"version https://git-lfs.github.com/spec/"):
        return "a Git LFS pointer, not the file itself; `git lfs pull` in its repository fetches that"
    if start.startswith((b"<!doctype html", b"<html")):
        return "a web page, not the file itself; download that, such as by the page's own button for it"
    return ""


def is_folder(out: str) -> bool:
    """Return whether files are to be written into a folder: `out` ends with a slash, or is a folder already."""
    return out.endswith(("/", os.sep)) or Path(out).is_dir()


def natural_key(path: str) -> str:
    r"""Return a key that sorts paths as people count: numbers by their value, letters without regard to case.

    The key is one text: lists of pieces would take several times the memory. "\0", which no name holds, ends each piece, so that
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

"""Writing files so that they are whole or not there, and finding out beforehand that they cannot be written."""

from __future__ import annotations

import contextlib
import csv
import io
import itertools
import os
import tempfile
import time
from collections.abc import Collection, Sequence
from pathlib import Path
from types import TracebackType

import numpy as np
from PIL import Image as PillowImage

from livecnn.errors import OutputError
from livecnn.types import Floats, Image, Tick


def check_writable(path: Path) -> None:
    """Make the folder and try it, so that a run fails before its work, not after. Raises OutputError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise IsADirectoryError(None, "it is a folder; a file name is needed")
        tempfile.TemporaryFile(dir=path.parent).close()
    except OSError as error:
        raise cannot_write(path, error) from error


def cannot_write(path: Path, error: OSError) -> OutputError:
    blocked = isinstance(error, (FileExistsError, NotADirectoryError))
    reason = f"{error.filename} is not a folder" if blocked else error.strerror or error
    return OutputError(f"{path}: cannot be written: {reason}")


def unfinished(path: Path) -> Path:
    """What a file is called until it is complete: NAME.part.SUFFIX, so that viewers open it."""
    return path.with_name(f"{path.stem}.part{path.suffix}")


def free_path(folder: Path, suffix: str, taken: Collection[Path] = ()) -> Path:
    """A name made of the time of day that no file has yet, finished or not, e.g. livecnn-20260131-142355.png.

    taken: what is about to be written, and no candidate either.
    """
    stem = time.strftime("livecnn-%Y%m%d-%H%M%S")
    names = itertools.chain([stem], (f"{stem}-{n}" for n in itertools.count(2)))
    paths = (folder / f"{name}{suffix}" for name in names)
    return next(path for path in paths if path not in taken and not path.exists() and not unfinished(path).exists())


def write_atomically(path: Path, data: bytes) -> None:
    """The whole file or none, even if the power fails. Raises OutputError."""
    part = unfinished(path)
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
        raise cannot_write(path, error) from error


def write_png(path: Path, picture: Image) -> None:
    """One picture, uint8 (H, W, 3) RGB. Raises OutputError."""
    buffer = io.BytesIO()
    PillowImage.fromarray(picture).save(buffer, "PNG")
    write_atomically(path, buffer.getvalue())


class ScoresTable:
    """`--scores FILE.csv`: a row per pass through the network, written as it happens, so that nothing is lost by a crash.

    Columns: index, name, label (empty where unknown), top_class (empty when there is nothing in the box or a score is not a
    number), top_score, then a probability per class, by name.
    """

    def __init__(self, path: Path, classes: Sequence[str]) -> None:
        self.path, self.classes = path, tuple(classes)
        self._rows = 0
        self._last: Tick | None = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # File names may hold bytes of another encoding; they are no reason to end.
            self._file = path.open("w", newline="", encoding="utf-8", errors="backslashreplace", buffering=1)
        except OSError as error:
            raise cannot_write(path, error) from error
        self._writer = csv.writer(self._file, lineterminator="\n")
        self._write(["index", "name", "label", "top_class", "top_score", *self.classes])

    def add(self, tick: Tick) -> None:
        """Write a row, unless this pass has one already. Raises OutputError."""
        if tick is self._last:
            return
        self._last = tick
        scores = tick.scores
        known = not tick.patch.prepared.empty and bool(np.isfinite(scores).all())
        self.add_row(tick.frame.name, tick.frame.label, scores, int(scores.argmax()) if known else None)

    def add_row(self, name: str, label: str, scores: Floats, top: int | None) -> None:
        """The same of a picture that was not shown; top: None where there is no answer. Raises OutputError."""
        best, score = ("", 0.0) if top is None else (self.classes[top], float(scores[top]))
        self._write([self._rows, name, label, best, f"{score:.6f}", *(f"{s:.6f}" for s in scores)])
        self._rows += 1

    def _write(self, row: list[object]) -> None:
        try:
            self._writer.writerow(row)
        except OSError as error:
            with contextlib.suppress(OSError):  # closing tries to write the rest once more
                self._file.close()
            raise cannot_write(self.path, error) from error

    def close(self) -> None:
        try:
            self._file.close()
        except OSError as error:
            raise cannot_write(self.path, error) from error

    def __enter__(self) -> ScoresTable:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

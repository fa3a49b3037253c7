"""The scores of a run as a CSV file."""

from __future__ import annotations

import contextlib
import csv
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import numpy as np

from livecnn.io.files import write_error
from livecnn.types import Floats, Tick


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
            raise write_error(path, error) from error
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
            raise write_error(self.path, error) from error

    def close(self) -> None:
        try:
            self._file.close()
        except OSError as error:
            raise write_error(self.path, error) from error

    def __enter__(self) -> ScoresTable:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

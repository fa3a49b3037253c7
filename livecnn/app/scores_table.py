"""Write the scores of a run as a CSV file."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from livecnn.io.csv_files import CsvFile
from livecnn.types import Floats, Tick


class ScoresTable(CsvFile):
    """`--scores FILE.csv`: a row per pass through the network, written as it happens, so that nothing is lost by a crash.

    Columns: index, name, label (empty where unknown), top_class (empty when there is nothing in the box or a score is not a
    number), top_score, then a probability per class, by name.
    """

    def __init__(self, path: Path, classes: Sequence[str]) -> None:
        super().__init__(path, buffering=1)
        self.classes = tuple(classes)
        self._rows = 0
        self._last: Tick | None = None
        self.write(["index", "name", "label", "top_class", "top_score", *self.classes])

    def add(self, tick: Tick) -> None:
        """Write the row of a pass, unless it has one already; raise OutputError if it cannot be written."""
        if tick is self._last:
            return
        self._last = tick
        scores = tick.scores
        known = not tick.patch.prepared.empty and bool(np.isfinite(scores).all())
        self.add_row(tick.frame.name, tick.frame.label, scores, int(scores.argmax()) if known else None)

    def add_row(self, name: str, label: str, scores: Floats, top: int | None) -> None:
        """Write a row of scores; `top` is None where there is no answer. Raise OutputError if it cannot be written."""
        best, score = ("", 0.0) if top is None else (self.classes[top], float(scores[top]))
        self.write([self._rows, name, label, best, f"{score:.6f}", *(f"{s:.6f}" for s in scores)])
        self._rows += 1

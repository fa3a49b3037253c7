"""`--summary FILE`: the patterns over all images as a picture or as data."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from livecnn.analysis.moments import strongest
from livecnn.analysis.patterns.patterns import Patterns
from livecnn.errors import OutputError, UsageError
from livecnn.io.csv_files import as_csv
from livecnn.io.files import write_atomically, write_png

SUFFIXES = (".png", ".csv", ".json")
COLUMNS = ("layer", "unit", "class", "count", "mean", "std", "max", "active")
NAMED = 5  # of the units most specific to a class, in JSON
DEFINITIONS = {
    "value": "of a fully connected unit: its activation; of a map: the mean over its positions",
    "count": "images whose value is finite; NaN and infinite ones are counted apart, as not_finite",
    "mean": "of the value over the images",
    "std": "standard deviation of the value over the images, divided by their number",
    "max": "the largest activation at any position of any image",
    "active": "fraction of the images with an activation above 0 (of a map: at any position), as the layer's name gives it",
    "dead": "units that are active in no image",
    "specific": "units by mean in the class less mean over all other images, in standard deviations; the largest first",
}

Row = tuple[str, int, str, int, float | None, float | None, float | None, float | None]


class Summary(Patterns):
    """Patterns that can be written: as a picture, a table, or both numbers and what they mean."""

    def rows(self) -> Iterator[Row]:
        """A row a unit and class, by COLUMNS; of each unit first all images, under the class "all". None: not known."""
        for layer in self.layers:
            parts = (self.overall(layer), self.by_class(layer))
            counts = np.concatenate([part.count for part in parts])
            values = [np.concatenate([getattr(part, name) for part in parts]) for name in ("means", "std", "max", "share")]
            for unit in range(counts.shape[1]):
                for row, name in enumerate(("all", *self.classes)):
                    mean, std, largest, active = (_known(array[row, unit]) for array in values)
                    yield layer, unit, name, int(counts[row, unit]), mean, std, largest, active

    def report(self) -> dict[str, Any]:
        """Everything, ready for JSON: what the numbers mean, dead units, similarity, and the rows."""
        similarity = self.similarity()
        return {
            "model": self.model,
            "images": self.images,
            "classes": list(self.classes),
            "classes_are": "true" if self.labelled else "predicted",
            "images_per_class": list(self.images_per_class),
            "definitions": DEFINITIONS,
            "layers": {layer: self._about(layer) for layer in self.layers},
            "similarity": None
            if similarity is None
            else {"layer": self.connected, "cosine": [[_known(value) for value in row] for row in similarity]},
            "rows": [dict(zip(COLUMNS, row, strict=True)) for row in self.rows()],
        }

    def _about(self, layer: str) -> dict[str, Any]:
        overall, dead = self.overall(layer), self.dead(layer)
        specificity = self.by_class(layer).specificity()
        return {
            "units": overall.count.shape[1],
            "maps": self.maps[layer],
            "dead": list(dead),
            "not_finite": {int(unit): int(overall.not_finite[0, unit]) for unit in np.flatnonzero(overall.not_finite[0])},
            "specific": {name: strongest(specificity, i, NAMED, dead) for i, name in enumerate(self.classes)},
        }

    def write(self, path: Path) -> None:
        """The picture (.png), the table (.csv) or both numbers and what they mean (.json), whole or not at all.

        Raises UsageError if no image was added, OutputError for another suffix or a file that cannot be written.
        """
        check_suffix(path)
        if not self.images:
            raise UsageError(f"{path}: there is nothing to write; not one image was added")
        if path.suffix.lower() == ".png":
            from livecnn.analysis.patterns.picture import draw_patterns

            write_png(path, draw_patterns(self))
        elif path.suffix.lower() == ".csv":
            write_atomically(path, self._csv())
        else:
            write_atomically(path, json.dumps(self.report(), allow_nan=False, ensure_ascii=False).encode())

    def _csv(self) -> bytes:
        rows = ((*row[:4], *("" if value is None else f"{value:.9g}" for value in row[4:])) for row in self.rows())
        return as_csv([COLUMNS, *rows])


def check_suffix(path: Path) -> None:
    """Raise OutputError for a file that is neither picture nor table, before the work begins."""
    if path.suffix.lower() not in SUFFIXES:
        raise OutputError(f"{path}: unknown suffix {path.suffix!r}; allowed: {', '.join(SUFFIXES)}")


def _known(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None

"""`--summary FILE`: what the units of some layers do over many images, in all and by class, as a picture or as data."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from livecnn.analysis.moments import FIGURES, Doubles, RunningStats, cosines, mean_and_max, strongest
from livecnn.errors import OutputError, UsageError
from livecnn.io.files import as_csv, write_atomically, write_png

SUFFIXES = (".png", ".csv", ".json")
COLUMNS = ("layer", "unit", "class", "count", "mean", "std", "max", "active")
NAMED = 5  # of the units most specific to a class, in JSON
DEFINITIONS = FIGURES | {
    "count": "images whose value is finite; NaN and infinite ones are counted apart, as not_finite",
    "active": "fraction of the images with an activation above 0 (of a map: at any position), as the layer's name gives it",
    "dead": "units that are active in no image",
    "specific": "units by mean in the class less mean over all other images, in standard deviations; the largest first",
}

Row = tuple[str, int, str, int, float | None, float | None, float | None, float | None]


class Summary:
    """Gather count, mean, standard deviation, maximum and share of active images of every unit, in all and by class.

    The classes are the true ones where the label of every image is known, else the predicted ones. Memory depends on layers and
    classes, not on the number of images.

    Args:
        layers: Names of the layers.
        classes: Names of the K classes.
        model: Name of the network, for titles.

    Attributes:
        labelled: Whether the label of every image so far is known.
        maps: By layer, whether a unit is a map and not one value.

    Example:
        >>> import numpy, torch
        >>> from livecnn.analysis.patterns.summary import Summary
        >>> summary = Summary(["fc"], ["cat", "dog"])
        >>> summary.add({"fc": torch.tensor([[1.0, 0.0], [3.0, 0.0]])}, [0, 1], numpy.array([0, 0]))
        >>> summary.dead("fc"), summary.by_class("fc").means[:, 0].tolist()
        ((1,), [1.0, 3.0])
    """

    def __init__(self, layers: Sequence[str], classes: Sequence[str], model: str = "") -> None:
        self.layers, self.classes, self.model = tuple(layers), tuple(classes), model
        self.labelled = True  # so far
        self.maps: dict[str, bool] = {}  # layer -> a unit is a map, not one value
        self._by_label: dict[str, RunningStats] = {}
        self._by_prediction: dict[str, RunningStats] = {}
        self._predicted = np.zeros(len(classes) + 1, int)  # the last: nothing was predicted
        self._labels = np.zeros(len(classes), int)

    def add(
        self, activations: Mapping[str, torch.Tensor], labels: Sequence[int | None], predicted: npt.NDArray[np.integer[Any]]
    ) -> None:
        """Take in N images.

        Args:
            activations: By layer (N, U), or (N, U, …) for maps.
            labels: Index of the true class of each image, None where it is not known.
            predicted: Index of the predicted class, int (N,), -1 where there is none.

        Raises:
            UsageError: If they do not fit together.
        """
        for layer in self.layers:
            shape = tuple(activations[layer].shape)
            if len(shape) < 2 or shape[0] != len(labels) or len(labels) != len(predicted):
                raise UsageError(
                    f"layer {layer!r}: activations of shape {shape} for {len(labels)} labels and {len(predicted)} predictions; "
                    "a tensor (images, units, …) is needed, and as many of each"
                )
        if not len(labels):
            return
        true = np.array([label for label in labels if label is not None], np.intp)
        self.labelled &= len(true) == len(labels)
        self._labels += np.bincount(true, minlength=len(self._labels))
        groups = np.where(predicted < 0, len(self.classes), predicted)
        self._predicted += np.bincount(groups, minlength=len(self._predicted))
        for layer in self.layers:
            self.maps[layer] = any(extent != 1 for extent in activations[layer].shape[2:])
            means, maxima = mean_and_max(activations[layer])
            _of(self._by_prediction, layer, len(self.classes) + 1, means.shape[1]).add(means, maxima, groups)
            if self.labelled:
                _of(self._by_label, layer, len(self.classes), means.shape[1]).add(means, maxima, true)

    def merge(self, other: Summary) -> None:
        """Take in what another summary of the same layers and classes has seen."""
        self.labelled &= other.labelled
        self.maps |= other.maps
        self._labels += other._labels
        self._predicted += other._predicted
        for mine, theirs in ((self._by_label, other._by_label), (self._by_prediction, other._by_prediction)):
            for layer, moments in theirs.items():
                _of(mine, layer, *moments.count.shape).merge(moments)

    @property
    def images(self) -> int:
        """Return how many images were counted."""
        return int(self._predicted.sum())

    @property
    def images_per_class(self) -> tuple[int, ...]:
        """Return how many images of each class were counted."""
        counts = self._labels if self.labelled else self._predicted
        return tuple(int(count) for count in counts[: len(self.classes)])

    def by_class(self, layer: str) -> RunningStats:
        """Return the figures of a layer, a row per class."""
        return (self._by_label if self.labelled else self._by_prediction)[layer].only(slice(len(self.classes)))

    def overall(self, layer: str) -> RunningStats:
        """Return the figures of a layer in one row: all images, those without a predicted class too."""
        return self._by_prediction[layer].total()

    def dead(self, layer: str) -> tuple[int, ...]:
        """Return the numbers of the units that were active in no image."""
        return self.overall(layer).dead()

    @property
    def connected(self) -> str | None:
        """The last hidden fully connected layer: its units are not maps, and it is not the one with a unit per class."""
        units = {layer: self.by_class(layer).count.shape[1] for layer in self.layers if not self.maps.get(layer, True)}
        vectors = [layer for layer, count in units.items() if count > 1]  # one number points the same way for every class
        hidden = [layer for layer in vectors if units[layer] != len(self.classes)]
        return next(reversed(hidden or vectors), None)

    def similarity(self) -> Doubles | None:
        """Return the cosines between the classes' mean activations of the layer `connected`, (K, K); None without such a layer.

        Those of a class without images are NaN.
        """
        return None if self.connected is None else cosines(self.by_class(self.connected).means)

    def rows(self) -> Iterator[Row]:
        """Yield a row a unit and class, by COLUMNS; of each unit first all images, under the class "all". None: not known."""
        for layer in self.layers:
            parts = (self.overall(layer), self.by_class(layer))
            counts = np.concatenate([part.count for part in parts])
            values = [np.concatenate([getattr(part, name) for part in parts]) for name in ("means", "std", "max", "share")]
            for unit in range(counts.shape[1]):
                for row, name in enumerate(("all", *self.classes)):
                    mean, std, largest, active = (_known(array[row, unit]) for array in values)
                    yield layer, unit, name, int(counts[row, unit]), mean, std, largest, active

    def report(self) -> dict[str, Any]:
        """Return everything, ready for JSON: what the numbers mean, dead units, similarity, and the rows."""
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
        """Write the picture (.png), the table (.csv) or the numbers and what they mean (.json), whole or not at all.

        Raises UsageError if no image was added, OutputError for another suffix or if the file cannot be written.
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


def _of(moments: dict[str, RunningStats], layer: str, groups: int, units: int) -> RunningStats:
    if layer not in moments:
        moments[layer] = RunningStats.empty(groups, units)
    return moments[layer]

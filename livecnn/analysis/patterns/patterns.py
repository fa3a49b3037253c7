"""What the units of some layers do over many images, in all and by class, gathered while the images pass by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from livecnn.analysis.moments import Doubles, RunningStats, cosines, mean_and_max
from livecnn.errors import UsageError


class Patterns:
    """Count, mean, standard deviation, maximum and share of active images of every unit, in all and by class.

    The classes are the true ones where the label of every image is known, else the predicted ones. Memory depends on layers and
    classes, not on the number of images.
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

        activations: layer -> (N, U), or (N, U, …) for maps.  labels: index of the true class, None where it is not known.
        predicted: index of the predicted class, -1 where there is none.  Raises UsageError if they do not fit together.
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

    def merge(self, other: Patterns) -> None:
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
        return int(self._predicted.sum())

    @property
    def images_per_class(self) -> tuple[int, ...]:
        counts = self._labels if self.labelled else self._predicted
        return tuple(int(count) for count in counts[: len(self.classes)])

    def by_class(self, layer: str) -> RunningStats:
        """A row per class."""
        return (self._by_label if self.labelled else self._by_prediction)[layer].only(slice(len(self.classes)))

    def overall(self, layer: str) -> RunningStats:
        """One row: all images, those without a predicted class too."""
        return self._by_prediction[layer].total()

    def dead(self, layer: str) -> tuple[int, ...]:
        """Numbers of the units that were active in no image."""
        return self.overall(layer).dead()

    @property
    def connected(self) -> str | None:
        """The last hidden fully connected layer: its units are not maps, and it is not the one with a unit per class."""
        units = {layer: self.by_class(layer).count.shape[1] for layer in self.layers if not self.maps.get(layer, True)}
        vectors = [layer for layer, count in units.items() if count > 1]  # one number points the same way for every class
        hidden = [layer for layer in vectors if units[layer] != len(self.classes)]
        return next(reversed(hidden or vectors), None)

    def similarity(self) -> Doubles | None:
        """Cosine between the classes' mean activations of the layer `connected`, (K, K); NaN for a class without images.

        None if no fully connected layer was asked for.
        """
        return None if self.connected is None else cosines(self.by_class(self.connected).means)


@dataclass(frozen=True)
class SpecificityOrder:
    """Units side by side: those most specific to class 0, to class 1, …, without a class, dead.

    units: their numbers.  bounds: where each group begins, and the end: K + 3 numbers for K classes.
    """

    units: tuple[int, ...]
    bounds: tuple[int, ...]

    @classmethod
    def of(cls, specificity: Doubles, dead: Sequence[int]) -> SpecificityOrder:
        classes, count = specificity.shape
        best, height = specificity.argmax(0), specificity.max(0)
        group = np.where(height > 0, best, classes)
        group[list(dead)] = classes + 1
        units = np.lexsort((np.arange(count), -height * (group < classes), group))
        bounds = np.searchsorted(group[units], np.arange(classes + 3))
        return cls(tuple(units.tolist()), tuple(bounds.tolist()))


def _of(moments: dict[str, RunningStats], layer: str, groups: int, units: int) -> RunningStats:
    if layer not in moments:
        moments[layer] = RunningStats.empty(groups, units)
    return moments[layer]

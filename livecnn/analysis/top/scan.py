"""Statistics of the units of some layers over some images, which can be merged and written, and the job that gathers them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from livecnn.analysis.moments import Counts, Doubles, RunningStats, mean_and_max
from livecnn.analysis.scorer import ScoredImage, Scorer
from livecnn.analysis.shards import Job
from livecnn.io.files import npz_bytes, open_npz
from livecnn.types import Floats

MOST_CORRELATED = 1024  # units of a layer; the memory for correlations grows with their square
NONE = -1  # no image
ACCURACY = 0.01  # of a quantile, relative
LEAST, MOST = 1e-9, 1e15  # of absolute values; what is smaller is 0, what is larger counts as this
RATIO = (1 + ACCURACY) / (1 - ACCURACY)  # of two neighbouring marks
BINS = int(np.ceil(np.log(MOST / LEAST) / np.log(RATIO)))  # on each side of 0
WIDTH = 2 * BINS + 1
WAITING = 1 << 18  # values that have not been counted yet, more once there are many bins

Integers = npt.NDArray[np.int64]
Arrays = dict[str, npt.NDArray[Any]]


@dataclass(eq=False)
class LayerStats:
    """Statistics of the units of one layer."""

    moments: RunningStats  # counts, means, spreads
    best: TopK  # the strongest images
    sketch: QuantileSketch  # from which quantiles come
    covariance: Covariance | None  # of each two units; None for a layer of more than MOST_CORRELATED units

    @classmethod
    def none(cls, groups: int, units: int, k: int) -> LayerStats:
        """Return those of no image."""
        covariance = Covariance.none(units) if units <= MOST_CORRELATED else None
        return cls(RunningStats.empty(groups, units), TopK.none(k, units), QuantileSketch(groups, units), covariance)

    def add(self, activation: torch.Tensor, images: npt.NDArray[np.int64], group: npt.NDArray[np.intp]) -> None:
        """Take in N images by their activations (N, U, …), their numbers (N,) and groups (N,)."""
        means, maxima = mean_and_max(activation)
        positions = activation.detach().reshape(*activation.shape[:2], -1).argmax(2).cpu().numpy()
        self.moments.add(means, maxima, group)
        self.best.add(np.where(np.isfinite(means), maxima, -np.inf), images, positions)
        self.sketch.add(means, group)
        if self.covariance is not None:
            self.covariance.add(means)

    def merge(self, other: LayerStats) -> None:
        """Take in what `other` has seen."""
        self.moments.merge(other.moments)
        self.best.merge(other.best)
        self.sketch.merge(other.sketch)
        if self.covariance is not None and other.covariance is not None:
            self.covariance.merge(other.covariance)

    def arrays(self) -> Arrays:
        """Return everything by name, for a file."""
        found = {f"moments.{field.name}": getattr(self.moments, field.name) for field in fields(RunningStats)}
        found |= {f"best.{field.name}": getattr(self.best, field.name) for field in fields(TopK)}
        found |= {"sketch.keys": self.sketch.keys, "sketch.counts": self.sketch.counts}
        if self.covariance is not None:
            found |= {
                f"covariance.{field.name}": np.asarray(getattr(self.covariance, field.name)) for field in fields(Covariance)
            }
        return found

    @classmethod
    def of(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> LayerStats:
        """Return those of which `arrays` gave these."""
        moments = RunningStats(*(arrays[f"moments.{field.name}"] for field in fields(RunningStats)))
        best = TopK(*(arrays[f"best.{field.name}"] for field in fields(TopK)))
        groups, units = moments.count.shape
        sketch = QuantileSketch(groups, units, arrays["sketch.keys"], arrays["sketch.counts"])
        covariance = None
        if "covariance.count" in arrays:
            count, mean, products = (arrays[f"covariance.{field.name}"] for field in fields(Covariance))
            covariance = Covariance(int(count), mean, products)
        return cls(moments, best, sketch, covariance)


@dataclass(eq=False)
class CollectionStats:
    """Statistics over some images; parts merged in any order are the whole.

    Attributes:
        layers: By name.
        sizes: How many images of each group were read, int64 (G,).
        skipped: Those that could not be, each with the reason.

    Example:
        >>> import torch
        >>> from livecnn.analysis.top.scan import CollectionStats
        >>> one, other = (CollectionStats.none({"fc": 2}, groups=1, k=3) for _ in range(2))
        >>> one.add({"fc": torch.tensor([[1.0, 0.0]])}, images=[0], group=[0])
        >>> other.add({"fc": torch.tensor([[3.0, 0.0]])}, images=[1], group=[0])
        >>> one.merge(CollectionStats.unpacked(other.packed()))
        >>> one.layers["fc"].moments.means.tolist(), one.layers["fc"].best.images[:2, 0].tolist()
        ([[2.0, 0.0]], [1, 0])
    """

    layers: dict[str, LayerStats]
    sizes: Counts
    skipped: list[str]

    @classmethod
    def none(cls, units: Mapping[str, int], groups: int, k: int) -> CollectionStats:
        """Return those of no image; `units` are the numbers of units of each layer."""
        layers = {layer: LayerStats.none(groups, count, k) for layer, count in units.items()}
        return cls(layers, np.zeros(groups, np.int64), [])

    def add(self, activations: Mapping[str, torch.Tensor], images: Sequence[int], group: Sequence[int]) -> None:
        """Take in N images by their activations (N, U, …) by layer, their numbers and groups."""
        numbers, groups = np.array(images, np.int64), np.array(group, np.intp)
        self.sizes += np.bincount(groups, minlength=len(self.sizes))
        for name, layer in self.layers.items():
            layer.add(activations[name], numbers, groups)

    def merge(self, other: CollectionStats) -> None:
        """Take in what `other`, of the same layers, has seen."""
        self.sizes += other.sizes
        self.skipped += other.skipped
        for name, layer in self.layers.items():
            layer.merge(other.layers[name])

    def packed(self) -> bytes:
        """Return it as an .npz file."""
        arrays: Arrays = {"sizes": self.sizes}
        for number, layer in enumerate(self.layers.values()):
            arrays |= {f"{number}.{name}": array for name, array in layer.arrays().items()}
        return npz_bytes(arrays, {"layers": list(self.layers), "skipped": self.skipped})

    @classmethod
    def unpacked(cls, data: bytes) -> CollectionStats:
        """Read what `packed` returned. Raises ValueError if that is no such file."""
        with open_npz(data) as (file, about):
            layers = {name: LayerStats.of(_of_layer(file, number)) for number, name in enumerate(about["layers"])}
            return cls(layers, file["sizes"], about["skipped"])


def _of_layer(file: Mapping[str, npt.NDArray[Any]], number: int) -> Arrays:
    start = f"{number}."
    return {name.removeprefix(start): file[name] for name in file if name.startswith(start)}


@dataclass(eq=False)
class TopK:
    """The k strongest images of U units, the strongest first, of equal ones that with the lower number; every array is (k, U)."""

    values: Floats  # -inf where there is no image
    images: Integers  # their numbers, NONE where there is none
    positions: Integers  # place of the value on the unit's map, counted row by row; 0 of a single value

    @classmethod
    def none(cls, k: int, units: int) -> TopK:
        """Return the ranking of no image."""
        empty = np.full((k, units), NONE)
        return cls(np.full((k, units), -np.inf, np.float32), empty, empty.copy())

    def add(self, values: Floats, images: Integers, positions: Integers) -> None:
        """Take in N images: values and positions (N, U), their numbers (N,). Values that are not finite do not count."""
        values = np.where(np.isfinite(values), values, -np.inf).astype(np.float32)
        numbers = np.where(values > -np.inf, images[:, None], NONE)
        units = np.flatnonzero(values.max(0, initial=-np.inf) >= self.values[-1])  # after a while these are few
        self._take(TopK(values[:, units], numbers[:, units], positions[:, units]), units)

    def merge(self, other: TopK) -> None:
        """Combine two rankings and keep the first k."""
        self._take(other, slice(None))

    def _take(self, other: TopK, units: Integers | slice) -> None:
        values = np.concatenate((self.values[:, units], other.values))
        images = np.concatenate((self.images[:, units], other.images))
        positions = np.concatenate((self.positions[:, units], other.positions))
        order = np.lexsort((images, -values), axis=0)[: len(self.values)]
        for mine, both in ((self.values, values), (self.images, images), (self.positions, positions)):
            mine[:, units] = np.take_along_axis(both, order, axis=0)


@dataclass(eq=False)
class Covariance:
    """Covariance of U units over the images in which the value of each is finite."""

    count: int  # how many these are
    mean: Doubles  # (U,)
    products: Doubles  # sums of the products of two units' differences from their means, (U, U)

    @classmethod
    def none(cls, units: int) -> Covariance:
        """Return the covariance of no image."""
        return cls(0, np.zeros(units), np.zeros((units, units)))

    def add(self, values: Doubles) -> None:
        """Take in N images: values (N, U)."""
        whole = values[np.isfinite(values).all(1)]
        if len(whole):
            mean = whole.mean(0)
            apart = whole - mean
            self.merge(Covariance(len(whole), mean, apart.T @ apart))

    def merge(self, other: Covariance) -> None:
        """Take in what `other` has seen: see RunningStats.merge."""
        count = self.count + other.count
        share = other.count / max(count, 1)
        apart = other.mean - self.mean
        self.products += other.products + np.outer(apart, apart) * (self.count * share)
        self.mean += apart * share
        self.count = count

    def correlation(self) -> Doubles:
        """Return Pearson's coefficients, (U, U), -1..1; NaN where one of both units never changes."""
        spread = np.sqrt(np.diag(self.products))
        spread = np.where(spread > 0, spread, np.nan)
        return np.asarray(np.clip(self.products / np.outer(spread, spread), -1, 1))


class QuantileSketch:
    """Quantiles of U units in G groups of images. Only bins that hold something take memory.

    Attributes:
        keys: (group * U + unit) * WIDTH + bin, ascending, int64 (B,).
        counts: Values in each of these bins, int64 (B,).
    """

    def __init__(self, groups: int, units: int, keys: Integers | None = None, counts: Integers | None = None) -> None:
        self.groups, self.units = groups, units
        self._keys = np.empty(0, np.int64) if keys is None else keys
        self._counts = np.empty(0, np.int64) if counts is None else counts
        self._waiting: list[tuple[Integers, Integers]] = []
        self._size = 0

    @property
    def keys(self) -> Integers:
        """Return the keys of the bins that hold values."""
        self._settle()
        return self._keys

    @property
    def counts(self) -> Integers:
        """Return how many values are in each of these bins."""
        self._settle()
        return self._counts

    def add(self, values: Doubles, group: npt.NDArray[np.intp]) -> None:
        """Take in N images: values (N, U), group (N,). Values that are not finite do not count."""
        cells = group[:, None] * self.units + np.arange(self.units)
        finite = np.isfinite(values)
        keys = cells[finite] * WIDTH + _bin(values[finite])
        self._wait(keys, np.ones(len(keys), np.int64))

    def merge(self, other: QuantileSketch) -> None:
        """Combine two sketches as if all values had gone into one."""
        self._wait(other.keys, other.counts)

    def total(self) -> QuantileSketch:
        """Return all groups in one."""
        total = QuantileSketch(1, self.units)
        total._wait(self.keys % (self.units * WIDTH), self.counts)
        return total

    def quantile(self, share: float) -> Doubles:
        """Return the values of rank floor(share * (n - 1)) of n, (G, U), within ACCURACY; NaN where there are none."""
        cells = np.arange(self.groups * self.units + 1) * WIDTH
        sums = np.concatenate(([0], np.cumsum(self.counts)))
        first, last = sums[np.searchsorted(self.keys, cells[:-1])], sums[np.searchsorted(self.keys, cells[1:])]
        if not len(self.keys):
            return np.full((self.groups, self.units), np.nan)
        rank = first + np.floor(share * np.maximum(last - first - 1, 0)).astype(np.int64)
        place = np.minimum(np.searchsorted(sums[1:], rank, side="right"), len(self.keys) - 1)
        return np.where(last > first, _value(self.keys[place] % WIDTH), np.nan).reshape(self.groups, self.units)

    def _wait(self, keys: Integers, counts: Integers) -> None:
        self._waiting.append((keys, counts))
        self._size += len(keys)
        if self._size > max(WAITING, len(self._keys) // 2):
            self._settle()

    def _settle(self) -> None:
        if not self._waiting:
            return
        keys, counts = map(np.concatenate, zip((self._keys, self._counts), *self._waiting, strict=True))
        order = np.argsort(keys, kind="stable")
        keys, counts = keys[order], counts[order]
        del order  # these are the largest arrays of a run
        first = np.flatnonzero(np.diff(keys, prepend=-1))
        self._keys, self._counts = keys[first], np.add.reduceat(counts, first)
        self._waiting, self._size = [], 0


def _bin(values: Doubles) -> Integers:
    """Return the bins of values: 0 .. WIDTH - 1, rising with the value; that of 0 is BINS."""
    size = np.clip(np.abs(values), LEAST, MOST)
    steps = np.sign(values) * np.ceil(np.log(size / LEAST) / np.log(RATIO))
    return np.asarray(BINS + steps, np.int64)


def _value(bins: Integers) -> Doubles:
    """Return what differs least, relatively, from everything that may lie in a bin."""
    steps = np.abs(bins - BINS)
    return np.where(steps, np.sign(bins - BINS) * LEAST * RATIO**steps * (2 / (RATIO + 1)), 0.0)


@dataclass(frozen=True, kw_only=True)
class TopJob(Job[CollectionStats]):
    """Gather the statistics of units."""

    labels: tuple[str, ...]  # that the pictures have, if any
    k: int  # strongest images of a unit

    decisive = "images", "fingerprint", "k", "size", "finder", "layers", "labels"

    @property
    def classes(self) -> tuple[str, ...]:
        """By which figures are told apart: those of the network, unless the pictures have labels that are none of these."""
        return self.bundle.classes if set(self.labels) <= set(self.bundle.classes) else self.labels

    @property
    def empty(self) -> CollectionStats:
        """A group a class; the last is for pictures without one."""
        return CollectionStats.none({layer: shape[1] for layer, shape in self.shapes.items()}, len(self.classes) + 1, self.k)

    def gather(self, scorer: Scorer, places: Sequence[int]) -> CollectionStats:
        scan = self.empty
        with closing(scorer.watched(self.layers, places, self.jobs)) as batches:
            for scored, activations in batches:
                scan.add(activations, [each.index for each in scored], [self._group(each) for each in scored])
        scan.skipped = scorer.skipped
        return scan

    def unpacked(self, data: bytes) -> CollectionStats:
        return CollectionStats.unpacked(data)

    def _group(self, each: ScoredImage) -> int:
        without = len(self.classes)
        if self.labels:
            return self._groups.get(each.label, without)
        return without if each.top is None else each.top

    @cached_property
    def _groups(self) -> dict[str, int]:
        return {name: number for number, name in enumerate(self.classes)}

"""What is known of the units of some layers over some images, as one object that can be merged and written."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from livecnn.analysis.moments import Counts, Doubles, RunningStats, mean_and_max
from livecnn.analysis.top.quantile_sketch import QuantileSketch
from livecnn.types import Floats

MOST_CORRELATED = 1024  # units of a layer; the memory for correlations grows with their square

Arrays = dict[str, npt.NDArray[Any]]


@dataclass(eq=False)
class LayerStats:
    """Of the units of one layer. covariance: None of a layer with more than MOST_CORRELATED units."""

    moments: RunningStats
    best: TopK
    sketch: QuantileSketch
    covariance: Covariance | None

    @classmethod
    def none(cls, groups: int, units: int, k: int) -> LayerStats:
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
        self.moments.merge(other.moments)
        self.best.merge(other.best)
        self.sketch.merge(other.sketch)
        if self.covariance is not None and other.covariance is not None:
            self.covariance.merge(other.covariance)

    def arrays(self) -> Arrays:
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
    """Of some images. sizes: int64 (G,), how many of each group were read.  skipped: those that could not be, with the reason."""

    layers: dict[str, LayerStats]
    sizes: Counts
    skipped: list[str]

    @classmethod
    def none(cls, units: Mapping[str, int], groups: int, k: int) -> CollectionStats:
        """units: of each layer."""
        layers = {layer: LayerStats.none(groups, count, k) for layer, count in units.items()}
        return cls(layers, np.zeros(groups, np.int64), [])

    def add(self, activations: Mapping[str, torch.Tensor], images: Sequence[int], group: Sequence[int]) -> None:
        """Take in N images: by layer the activations (N, U, …); the images' numbers, and their groups."""
        numbers, groups = np.array(images, np.int64), np.array(group, np.intp)
        self.sizes += np.bincount(groups, minlength=len(self.sizes))
        for name, layer in self.layers.items():
            layer.add(activations[name], numbers, groups)

    def merge(self, other: CollectionStats) -> None:
        self.sizes += other.sizes
        self.skipped += other.skipped
        for name, layer in self.layers.items():
            layer.merge(other.layers[name])

    def packed(self) -> bytes:
        """As an .npz file."""
        about = {"layers": list(self.layers), "skipped": self.skipped}
        arrays: Arrays = {"about": np.frombuffer(json.dumps(about).encode(), np.uint8), "sizes": self.sizes}
        for number, layer in enumerate(self.layers.values()):
            arrays |= {f"{number}.{name}": array for name, array in layer.arrays().items()}
        buffer = io.BytesIO()
        np.savez_compressed(buffer, allow_pickle=False, **arrays)
        return buffer.getvalue()

    @classmethod
    def unpacked(cls, data: bytes) -> CollectionStats:
        """Raises ValueError if that is no such file."""
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as file:
                about = json.loads(file["about"].tobytes())
                layers = {name: LayerStats.of(_of_layer(file, number)) for number, name in enumerate(about["layers"])}
                return cls(layers, file["sizes"], about["skipped"])
        except (OSError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise ValueError(str(error)) from error


def _of_layer(file: Mapping[str, npt.NDArray[Any]], number: int) -> Arrays:
    start = f"{number}."
    return {name.removeprefix(start): file[name] for name in file if name.startswith(start)}


# --- MERGED from best
# """The images to which each unit answered most."""
Integers = npt.NDArray[np.int64]

NONE = -1  # no image


@dataclass(eq=False)
class TopK:
    """The k strongest of U units, the strongest first, of equal ones the image with the lower number; every array is (k, U).

    values: -inf where there is no image.  images: their numbers, NONE where there is none.  positions: place of the value on the
    unit's map, counted row by row; 0 of a single value.
    """

    values: Floats
    images: Integers
    positions: Integers

    @classmethod
    def none(cls, k: int, units: int) -> TopK:
        empty = np.full((k, units), NONE)
        return cls(np.full((k, units), -np.inf, np.float32), empty, empty.copy())

    def add(self, values: Floats, images: Integers, positions: Integers) -> None:
        """Take in N images: values and positions (N, U), their numbers (N,). Values that are not finite do not count."""
        values = np.where(np.isfinite(values), values, -np.inf).astype(np.float32)
        numbers = np.where(values > -np.inf, images[:, None], NONE)
        units = np.flatnonzero(values.max(0, initial=-np.inf) >= self.values[-1])  # after a while these are few
        self._take(TopK(values[:, units], numbers[:, units], positions[:, units]), units)

    def merge(self, other: TopK) -> None:
        self._take(other, slice(None))

    def _take(self, other: TopK, units: Integers | slice) -> None:
        values = np.concatenate((self.values[:, units], other.values))
        images = np.concatenate((self.images[:, units], other.images))
        positions = np.concatenate((self.positions[:, units], other.positions))
        order = np.lexsort((images, -values), axis=0)[: len(self.values)]
        for mine, both in ((self.values, values), (self.images, images), (self.positions, positions)):
            mine[:, units] = np.take_along_axis(both, order, axis=0)


# --- MERGED from covariance
# """Which units of a layer rise and fall together."""
@dataclass(eq=False)
class Covariance:
    """Of U units over the images in which the value of each is finite.

    count: how many these are.  mean: (U,).  products: (U, U), sums of the products of two units' differences from their means.
    """

    count: int
    mean: Doubles
    products: Doubles

    @classmethod
    def none(cls, units: int) -> Covariance:
        return cls(0, np.zeros(units), np.zeros((units, units)))

    def add(self, values: Doubles) -> None:
        """Take in N images: values (N, U)."""
        whole = values[np.isfinite(values).all(1)]
        if len(whole):
            mean = whole.mean(0)
            apart = whole - mean
            self.merge(Covariance(len(whole), mean, apart.T @ apart))

    def merge(self, other: Covariance) -> None:
        """Chan, Golub, LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances", 1979."""
        count = self.count + other.count
        share = other.count / max(count, 1)
        apart = other.mean - self.mean
        self.products += other.products + np.outer(apart, apart) * (self.count * share)
        self.mean += apart * share
        self.count = count

    def correlation(self) -> Doubles:
        """(U, U): Pearson's coefficient, -1..1; NaN where one of both units never changes."""
        spread = np.sqrt(np.diag(self.products))
        spread = np.where(spread > 0, spread, np.nan)
        return np.asarray(np.clip(self.products / np.outer(spread, spread), -1, 1))

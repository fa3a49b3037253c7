"""Counts, means and spreads of units by group, gathered batch by batch in memory that does not grow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

Doubles = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]

FIGURES = {  # what each is, as the files of results say it
    "value": "of a fully connected unit: its activation; of a map: the mean over its positions",
    "count": "images whose value is finite",
    "mean": "of the value over the images",
    "std": "standard deviation of the value over the images, divided by their number",
    "max": "the largest activation at any position of any image",
    "active": "fraction of the images with an activation above 0 at any position",
}


@dataclass(eq=False)
class RunningStats:
    """Statistics of U units in each of G groups of images; every array is (G, U)."""

    count: Counts  # images whose value is finite; all but `not_finite` are of these
    mean: Doubles  # of the value
    m2: Doubles  # sum of squared differences from the mean
    max: Doubles  # the largest value at any position, -inf where count is 0
    active: Counts  # images with a value above 0 at any position
    not_finite: Counts  # images in which a value is NaN or infinite

    @classmethod
    def empty(cls, groups: int, units: int) -> RunningStats:
        """Return those of no image."""

        def zeros(kind: Any) -> Any:
            return np.zeros((groups, units), kind)

        return cls(zeros(int), zeros(float), zeros(float), np.full((groups, units), -np.inf), zeros(int), zeros(int))

    @property
    def std(self) -> Doubles:
        """Standard deviation over the images (divided by their number, not by one less); NaN where there are none."""
        return np.sqrt(self._per_image(self.m2))

    @property
    def share(self) -> Doubles:
        """Fraction of the images that are active, 0..1; NaN where there are none."""
        return self._per_image(self.active)

    @property
    def means(self) -> Doubles:
        """The mean, NaN where there are no images."""
        return np.where(self.count, self.mean, np.nan)

    def _per_image(self, part: npt.NDArray[Any]) -> Doubles:
        return np.where(self.count, part / np.maximum(self.count, 1), np.nan)

    def add(self, means: Doubles, maxima: Doubles, group: npt.NDArray[np.intp]) -> None:
        """Take in N images: mean and maximum of each unit, (N, U), and the group (N,) of each image."""
        order = np.argsort(group, kind="stable")
        present, starts = np.unique(group[order], return_index=True)
        means, maxima = means[order], maxima[order]
        finite = np.isfinite(means)
        values = np.where(finite, means, 0)
        count = np.add.reduceat(finite, starts, axis=0, dtype=np.int64)
        mean = np.add.reduceat(values, starts, axis=0) / np.maximum(count, 1)
        sizes = np.diff(starts, append=len(group))
        apart = np.where(finite, values - np.repeat(mean, sizes, axis=0), 0)
        batch = RunningStats(
            count,
            mean,
            np.add.reduceat(apart**2, starts, axis=0),
            np.maximum.reduceat(np.where(finite, maxima, -np.inf), starts, axis=0),
            np.add.reduceat(finite & (maxima > 0), starts, axis=0, dtype=np.int64),
            sizes[:, None] - count,
        )
        self.merge(batch, present)

    def merge(self, other: RunningStats, groups: npt.NDArray[np.intp] | slice = slice(None)) -> None:
        """Take in what `other` has seen of these groups, in its order.

        Chan, Golub, LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances", 1979.
        """
        count = self.count[groups] + other.count
        share = other.count / np.maximum(count, 1)
        apart = other.mean - self.mean[groups]
        self.m2[groups] += other.m2 + apart**2 * self.count[groups] * share
        self.mean[groups] += apart * share
        self.count[groups] = count
        self.max[groups] = np.maximum(self.max[groups], other.max)
        self.active[groups] += other.active
        self.not_finite[groups] += other.not_finite

    def total(self) -> RunningStats:
        """Return all groups in one: arrays (1, U)."""
        groups, units = self.count.shape
        total = RunningStats.empty(1, units)
        for group in range(groups):
            total.merge(self.only(slice(group, group + 1)))
        return total

    def only(self, groups: slice) -> RunningStats:
        """Return some of the groups."""
        return RunningStats(*(getattr(self, field.name)[groups] for field in fields(self)))

    def dead(self) -> tuple[int, ...]:
        """Return the units that were active in no image at all, though their value was finite in some."""
        total = self.total()
        return tuple(int(unit) for unit in np.flatnonzero((total.active[0] == 0) & (total.count[0] > 0)))

    def specificity(self) -> Doubles:
        """Return how far a unit's mean in a group lies above its mean over all other images, in its standard deviations, (G, U).

        0 where there is nothing to compare with, or the unit never changes.
        """
        total = self.total()
        others = total.count - self.count
        elsewhere = (total.count * total.mean - self.count * self.mean) / np.maximum(others, 1)
        spread = np.where(total.std > 0, total.std, np.inf)
        return np.where((self.count > 0) & (others > 0), (self.mean - elsewhere) / spread, 0.0)


def mean_and_max(activation: torch.Tensor) -> tuple[Doubles, Doubles]:
    """Return mean and maximum over the positions of each unit, both (N, U), on the host, of (N, U) or (N, U, …).

    Where one position is NaN or infinite, so is the mean.
    """
    maps = activation.detach().reshape(*activation.shape[:2], -1)
    maxima = maps.amax(2).cpu().double()
    where = maps.cpu() if maps.device.type == "mps" else maps  # which has no double precision
    return where.mean(2, dtype=torch.float64).cpu().numpy(), maxima.numpy()


def cosines(vectors: Doubles) -> Doubles:
    """Return the cosine of the angle between each two of K vectors, (K, K), -1..1; NaN where one is all zero or not known."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    units = vectors / np.where(lengths > 0, lengths, np.nan)
    return np.clip(units @ units.T, -1, 1)


def strongest(specificity: Doubles, group: int, most: int, without: Sequence[int] = ()) -> tuple[int, ...]:
    """Return the units most specific to a group, most specific first; only those above 0."""
    values = specificity[group].copy()
    values[list(without)] = 0
    best = np.argsort(-values, kind="stable")[:most]
    return tuple(int(unit) for unit in best if values[unit] > 0)

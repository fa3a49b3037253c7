"""Which units of a layer rise and fall together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from livecnn.moments import Doubles


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

"""Principal component analysis. Jolliffe, Cadima 2016, https://doi.org/10.1098/rsta.2015.0202."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from livecnn.types import Floats

Doubles = npt.NDArray[np.float64]

NOISE = 1e-6  # of the largest standard deviation: below it is what rounding left
TINY = float(np.finfo(np.float32).tiny)


@dataclass(frozen=True, slots=True, eq=False)
class Pca:
    """mean: float32 (D,).  components: float32 (k, D), orthonormal rows, that of the largest variance first; the sign is such
    that the largest entry is positive.  share: float32 (k,), of the whole variance.
    """

    mean: Floats
    components: Floats
    share: Floats

    @classmethod
    def of(cls, values: Floats, most: int) -> Pca:
        """values (N, D) -> at most so many components, and no more than the values span: none if all rows are the same."""
        mean = values.mean(0, dtype=np.float64)
        centred = values - mean
        if len(values) >= values.shape[1]:
            return cls.from_covariance(mean, centred.T @ centred, most)
        # Of the two products with itself the smaller one: its eigenvectors are one side of the singular value decomposition.
        variances, vectors = _spanned(centred @ centred.T, most)
        return cls._of(mean, variances, vectors.T @ centred / np.sqrt(variances)[:, None], float((centred**2).sum()))

    @classmethod
    def from_covariance(cls, mean: Doubles, products: Doubles, most: int) -> Pca:
        """The same of values that nobody holds: mean (D,); products (D, D), sums of the products of two columns' differences
        from their means.
        """
        variances, vectors = _spanned(products, most)
        return cls._of(mean, variances, vectors.T, float(np.trace(products)))

    @classmethod
    def _of(cls, mean: Doubles, variances: Doubles, axes: Doubles, whole: float) -> Pca:
        signs = np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(1)])
        share = variances / max(whole, TINY)
        return cls(np.asarray(mean, np.float32), np.asarray(axes * signs[:, None], np.float32), np.asarray(share, np.float32))

    def __call__(self, values: Floats) -> Floats:
        """(N, D) -> float32 (N, k)."""
        return np.asarray((values - self.mean) @ self.components.T, np.float32)


def _spanned(products: Doubles, most: int) -> tuple[Doubles, Doubles]:
    """The largest eigenvalues (k,), at most so many, and their eigenvectors (D, k); those that rounding left are none."""
    variances, vectors = np.linalg.eigh(products)
    kept = np.flatnonzero(variances > NOISE**2 * max(variances[-1], TINY))[::-1][:most]
    return variances[kept], vectors[:, kept]


# --- MERGED from features
# """What of a layer's activation pictures are compared by."""
MOST = 4096  # values of a picture; a principal component analysis takes their cube


def features(activation: torch.Tensor) -> torch.Tensor:
    """(N, …) -> float32 (N, D): every value if there are no more than MOST, else each map's mean over its positions."""
    values = activation.float()
    return values.flatten(1) if math.prod(values.shape[1:]) <= MOST else values.flatten(2).mean(2)


def count(shape: Sequence[int]) -> int:
    """How many features an activation of shape (N, …) gives."""
    every = math.prod(shape[1:])
    return every if every <= MOST or len(shape) < 3 else shape[1]

"""Principal component analysis. Jolliffe, Cadima 2016, https://doi.org/10.1098/rsta.2015.0202."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from livecnn.types import Floats

NOISE = 1e-6  # of the largest standard deviation: below it is what rounding left


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
        tall = len(values) >= values.shape[1]
        # Of the two products with itself the smaller one: its eigenvectors are one side of the singular value decomposition.
        variances, vectors = np.linalg.eigh(centred.T @ centred if tall else centred @ centred.T)
        kept = np.flatnonzero(variances > NOISE**2 * max(variances[-1], np.finfo(np.float32).tiny))[::-1][:most]
        axes = vectors[:, kept].T if tall else vectors[:, kept].T @ centred / np.sqrt(variances[kept])[:, None]
        signs = np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(1)])
        share = variances[kept] / max(float((centred**2).sum()), np.finfo(np.float32).tiny)
        return cls(np.asarray(mean, np.float32), np.asarray(axes * signs[:, None], np.float32), np.asarray(share, np.float32))

    def __call__(self, values: Floats) -> Floats:
        """(N, D) -> float32 (N, k)."""
        return np.asarray((values - self.mean) @ self.components.T, np.float32)

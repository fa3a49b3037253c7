"""From activations to features, from these to principal components, and from these to points of the plane."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from tqdm import tqdm

from livecnn.errors import UsageError
from livecnn.types import Floats

Doubles = npt.NDArray[np.float64]

MOST = 4096  # values of a picture; a principal component analysis takes their cube
NOISE = 1e-6  # of the largest standard deviation: below it is what rounding left
FEWEST = 8  # pictures
NEIGHBOURS = 15  # UMAP's default
PERPLEXITY = 30.0
EXACT = 100_000  # pictures up to which neighbours are the true ones; finding these takes the square of the number
COARSE: dict[str, Any] = {"negative_gradient_method": "fft", "ints_in_interval": 2}  # twice as fast as the finest grid
FINE: dict[str, Any] = {"negative_gradient_method": "bh"}
# Steps: with the clusters drawn together, without, and, where all but the details is settled, by the slower and better gradient.
PHASES: tuple[tuple[int, dict[str, Any]], ...] = (
    (100, {"exaggeration": 12.0, "momentum": 0.5, **COARSE}),
    (200, {"momentum": 0.8, **COARSE}),
    (100, {"momentum": 0.8, **FINE}),
)
TOLD = 20  # steps between two signs of progress
SPREAD = 1e-4  # standard deviation of the start
TINY = float(np.finfo(np.float32).tiny)


def features(activation: torch.Tensor) -> torch.Tensor:
    """Turn (N, …) into float32 (N, D): every value if there are no more than MOST, else each map's mean over its positions."""
    values = activation.float()
    return values.flatten(1) if math.prod(values.shape[1:]) <= MOST else values.flatten(2).mean(2)


def count(shape: Sequence[int]) -> int:
    """Return how many features an activation of shape (N, …) gives."""
    every = math.prod(shape[1:])
    return every if every <= MOST or len(shape) < 3 else shape[1]


@dataclass(frozen=True, slots=True, eq=False)
class Pca:
    """Principal component analysis: Jolliffe, Cadima 2016, https://doi.org/10.1098/rsta.2015.0202.

    Attributes:
        mean: Float32 (D,).
        components: Float32 (k, D), orthonormal rows, that of the largest variance first; the largest entry is positive.
        share: Float32 (k,), of the whole variance.
    """

    mean: Floats
    components: Floats
    share: Floats

    @classmethod
    def of(cls, values: Floats, most: int) -> Pca:
        """Find at most so many components of values (N, D), and no more than these span: none if all rows are the same."""
        mean = values.mean(0, dtype=np.float64)
        centred = values - mean
        if len(values) >= values.shape[1]:
            return cls.from_covariance(mean, centred.T @ centred, most)
        # Of the two products with itself the smaller one: its eigenvectors are one side of the singular value decomposition.
        variances, vectors = _spanned(centred @ centred.T, most)
        return cls._of(mean, variances, vectors.T @ centred / np.sqrt(variances)[:, None], float((centred**2).sum()))

    @classmethod
    def from_covariance(cls, mean: Doubles, products: Doubles, most: int) -> Pca:
        """Find those of values that nobody holds.

        Args:
            mean: Of the values, (D,).
            products: Sums of the products of two columns' differences from their means, (D, D).
            most: Number of components, at most.
        """
        variances, vectors = _spanned(products, most)
        return cls._of(mean, variances, vectors.T, float(np.trace(products)))

    @classmethod
    def _of(cls, mean: Doubles, variances: Doubles, axes: Doubles, whole: float) -> Pca:
        signs = np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(1)])
        share = variances / max(whole, TINY)
        return cls(np.asarray(mean, np.float32), np.asarray(axes * signs[:, None], np.float32), np.asarray(share, np.float32))

    def __call__(self, values: Floats) -> Floats:
        """Reduce values (N, D) to float32 (N, k)."""
        return np.asarray((values - self.mean) @ self.components.T, np.float32)


def _spanned(products: Doubles, most: int) -> tuple[Doubles, Doubles]:
    """Return the largest eigenvalues (k,), at most so many, and their eigenvectors (D, k); those that rounding left are none."""
    variances, vectors = np.linalg.eigh(products)
    kept = np.flatnonzero(variances > NOISE**2 * max(variances[-1], TINY))[::-1][:most]
    return variances[kept], vectors[:, kept]


def project(features: Floats, method: str, seed: int = 0) -> Floats:
    """Place N pictures in the plane so that what is near stays near.

    Args:
        features: Principal components, float32 (N, k), that of the largest variance first.
        method: "tsne", "pca" or "umap".
        seed: The same seed gives the same points.

    Returns:
        float32 (N, 2), 0 in the mean.

    Raises:
        UsageError: If there are too few pictures, or what the method needs is not installed.
    """
    if len(features) < FEWEST:
        raise UsageError(f"found {len(features)} pictures; a map needs {FEWEST} or more")
    points = np.asarray(WAYS[method](features, seed), np.float32)
    return np.asarray(points - points.mean(0), np.float32)


def check(method: str) -> None:
    """Raise UsageError if there is no such method, or what it needs is not installed."""
    if method not in WAYS:
        raise UsageError(f"--method: found {method!r}; allowed: {', '.join(WAYS)}")
    if method != "pca":
        _library(method)


def _pca(features: Floats, _seed: int) -> Floats:
    """Take the first two components; of features that span a line only, 0 is the second."""
    return np.pad(features[:, :2], ((0, 0), (0, 2 - min(2, features.shape[1]))))


def _tsne(features: Floats, seed: int) -> Floats:
    """Run t-SNE: van der Maaten, Hinton 2008, https://jmlr.org/papers/v9/vandermaaten08a.html.

    The start and the rate are those of Kobak, Berens 2019, https://doi.org/10.1038/s41467-019-13056-x.
    """
    opentsne = _library("tsne")
    jobs, perplexity = os.cpu_count() or 1, min(PERPLEXITY, (len(features) - 1) / 3)
    way = "exact" if len(features) <= EXACT else "annoy"
    near = opentsne.affinity.PerplexityBasedNN(features, perplexity=perplexity, method=way, n_jobs=jobs, random_state=seed)
    start = _pca(features, seed).astype(np.float64)
    start *= SPREAD / max(float(start[:, 0].std()), TINY)
    points = opentsne.TSNEEmbedding(start, near, n_jobs=jobs, random_state=seed)
    with tqdm(total=sum(steps for steps, _ in PHASES), desc="t-SNE", unit="step", disable=None, leave=False) as bar:

        def tell(*_: object) -> bool:
            bar.update(TOLD)
            return False  # True would end it

        for steps, settings in PHASES:
            points = points.optimize(steps, callbacks=tell, callbacks_every_iters=TOLD, **settings)
    return np.asarray(points)


def _umap(features: Floats, seed: int) -> Floats:
    """Run UMAP: McInnes, Healy, Melville 2018, https://arxiv.org/abs/1802.03426."""
    neighbours = min(NEIGHBOURS, len(features) - 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it tells of its own and its libraries' plans
        made = _library("umap").UMAP(n_neighbors=neighbours, init="pca", random_state=seed, n_jobs=1)
        return np.asarray(made.fit_transform(features))


def _library(method: str) -> Any:
    try:
        if method == "tsne":
            import openTSNE

            return openTSNE
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import umap

            return umap
    except ImportError as error:
        extra = "embed" if method == "tsne" else method
        raise UsageError(
            f"--method {method} needs {error.name}: pip install 'livecnn[{extra}]'; --method pca does not"
        ) from error


WAYS: dict[str, Callable[[Floats, int], Floats]] = {"tsne": _tsne, "pca": _pca, "umap": _umap}

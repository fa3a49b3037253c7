"""From features to points of the plane: what is near stays near."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from tqdm import tqdm

from livecnn.errors import UsageError
from livecnn.types import Floats

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


def project(features: Floats, method: str, seed: int = 0) -> Floats:
    """(N, k), principal components with the largest variance first -> float32 (N, 2). The same for the same seed.

    Raises UsageError if there are too few pictures, or what the method needs is not installed.
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
    """The first two components; of features that span a line only, 0 is the second."""
    return np.pad(features[:, :2], ((0, 0), (0, 2 - min(2, features.shape[1]))))


def _tsne(features: Floats, seed: int) -> Floats:
    """van der Maaten, Hinton 2008, https://jmlr.org/papers/v9/vandermaaten08a.html; the start and the rate are those of
    Kobak, Berens 2019, https://doi.org/10.1038/s41467-019-13056-x.
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
    """McInnes, Healy, Melville 2018, https://arxiv.org/abs/1802.03426."""
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

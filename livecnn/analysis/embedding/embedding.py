"""A map of pictures by a layer's activations: the way from these to points of the plane, and what can be asked of a map."""

from __future__ import annotations

import json
import math
import os
import warnings
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from tqdm import tqdm

from livecnn.analysis.embedding import picture as embedding_picture
from livecnn.engine.reducers import Reducer
from livecnn.errors import SourceError, UsageError
from livecnn.io.files import npz_bytes
from livecnn.io.images import notebook_png
from livecnn.types import Floats, Image

Ints = npt.NDArray[np.int64]
Doubles = npt.NDArray[np.float64]

NEAREST = 8  # pictures between which another one is placed
MOST_BYTES = 1 << 31  # of a file's content
ARRAYS = ("points", "features", "indices", "scores", "tops", "thumbnails", "mean", "components", "share")
TEXTS = ("names", "labels", "classes", "layer", "model", "method", "seed", "skipped")
METHODS = {"pca": "PCA", "tsne": "t-SNE", "umap": "UMAP"}

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


@dataclass(frozen=True, eq=False, repr=False)
class Embedding:
    """A map of N pictures, each at a point of the plane.

    Attributes:
        points: Places on the map, float32 (N, 2); y goes up.
        features: What `pca` makes of the layer's activations, float32 (N, k).
        pca: The principal components.
        indices: Numbers of the pictures in their folder, int64 (N,).
        names: Their file names or numbers.
        labels: Their true classes, "" where unknown.
        scores: Probabilities, float32 (N, K), 0..1; all zero where the box is empty.
        tops: The class that the network sees, int64 (N,); -1 where it sees none.
        thumbnails: uint8 (N, s, s, 3).
        classes: Names of the K classes.
        layer: Name of the layer.
        model: Name of the network.
        method: "tsne", "pca" or "umap".
        seed: Of the map and of the choice of pictures.
        skipped: Pictures without a place, each with the reason.

    Example:
        >>> import livecnn
        >>> from PIL import Image
        >>> for i in range(9):
        ...     digit = Image.new("L", (28, 28), "white")
        ...     digit.paste("black", (8, 4, 10 + i, 24))
        ...     digit.save(f"{i}.png")
        >>> made = livecnn.embed(".", "lenet-mnist", "ip1", method="pca")
        >>> pictures, distances = made.nearest(made.features[4], most=3)
        >>> int(pictures[0]), float(distances[0]), made.place(pictures, distances).shape
        (4, 0.0, (2,))
    """

    points: Floats
    features: Floats
    pca: Pca
    indices: Ints
    names: tuple[str, ...]
    labels: tuple[str, ...]
    scores: Floats
    tops: Ints
    thumbnails: Image
    classes: tuple[str, ...]
    layer: str
    model: str
    method: str
    seed: int
    skipped: tuple[str, ...] = ()

    @property
    def labelled(self) -> bool:
        """Return whether all the true classes are known."""
        return all(self.labels)

    @property
    def kinds(self) -> tuple[str, ...]:
        """Return the class that colors each image: the true one if all are known, else the predicted one, "" for none."""
        return self.labels if self.labelled else tuple("" if top < 0 else self.classes[top] for top in self.tops)

    @property
    def groups(self) -> tuple[tuple[str, ...], Ints]:
        """The kinds that occur, in the order of the classes, and for each picture which of them it is, -1 for none."""
        order = {name: place for place, name in enumerate(self.classes)}
        found = sorted({kind for kind in self.kinds if kind}, key=lambda kind: (order.get(kind, len(order)), kind))
        place = {kind: i for i, kind in enumerate(found)}
        return tuple(found), np.array([place.get(kind, -1) for kind in self.kinds], np.int64)

    def nearest(self, features: Floats, most: int = NEAREST) -> tuple[Ints, Floats]:
        """Find the pictures that are nearest to features (k,), as `pca` makes them.

        Returns:
            Their places in `names`, int64, and their distances, float32; the nearest first.
        """
        apart = self.features - features
        distances = np.sqrt(np.einsum("nk,nk->n", apart, apart))
        few = np.argpartition(distances, min(most, len(distances)) - 1)[:most]
        few = few[np.argsort(distances[few], kind="stable")]
        return few.astype(np.int64), np.asarray(distances[few], np.float32)

    def place(self, nearest: Ints, distances: Floats) -> Floats:
        """Place another picture between these, where `nearest` found them.

        Returns:
            float32 (2,), the mean of their points, weighted by 1 / distance squared (Shepard, "A two-dimensional interpolation
            function for irregularly-spaced data", 1968).
        """
        weights = 1 / np.maximum(distances.astype(float), 1e-6 * max(float(distances[-1]), 1e-6)) ** 2
        return np.asarray(weights @ self.points[nearest] / weights.sum(), np.float32)

    def words(self) -> tuple[str, str]:
        """Return the title and subtitle of a picture of it."""
        colored = "true class" if self.labelled else "the class that the network sees"
        told = f"{self.model} · {len(self.points)} pictures · {METHODS[self.method]} · coloured by {colored}"
        return f"What {self.layer} makes of them: what is alike lies together", told

    def picture(self, size: int = 1600, *, grid: bool = False) -> Image:
        """Draw thumbnails at their points as far as none covers another, marks for the rest: uint8 (H, size, 3).

        With `grid` each thumbnail is drawn in a cell of its own instead, near its point.
        """
        names, groups = self.groups
        return embedding_picture.draw_embedding(*self.words(), self.points, self.thumbnails, groups, names, size, grid=grid)

    def _repr_png_(self) -> bytes:
        return notebook_png(self.picture())

    def __repr__(self) -> str:
        return f"<map of {len(self.names)} pictures: {self.layer} of {self.model}, {METHODS[self.method]}>"

    def data(self) -> bytes:
        """Return the content of an .npz file that `load` reads."""
        arrays = {name: getattr(self.pca if name in Pca.__slots__ else self, name) for name in ARRAYS}
        return npz_bytes(arrays, {name: getattr(self, name) for name in TEXTS})


def load(path: Path) -> Embedding:
    """Read what `livecnn embed … --out FILE.npz` wrote. Raises SourceError; no code of a file is ever run."""
    try:
        return _read(path)
    except FileNotFoundError:
        raise SourceError(f"{path}: no such file") from None
    except (OSError, KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
        raise SourceError(f"{path}: not a map that `livecnn embed` wrote: {error}") from error


def _read(path: Path) -> Embedding:
    with zipfile.ZipFile(path) as packed:
        if sum(entry.file_size for entry in packed.infolist()) > MOST_BYTES:
            raise ValueError(f"more than {MOST_BYTES >> 20} MiB")
    with np.load(path, allow_pickle=False) as file:
        found: dict[str, Any] = {name: file[name] for name in ARRAYS}
        texts = json.loads(file["about"].tobytes())
    texts = {name: tuple(texts[name]) if isinstance(texts[name], list) else texts[name] for name in TEXTS}
    pca = Pca(*(found.pop(name) for name in ("mean", "components", "share")))
    embedding = Embedding(**found, **texts, pca=pca)
    count, k, values = len(embedding.points), len(pca.components), len(pca.mean)
    wanted = {
        "points": (count, 2), "features": (count, k), "indices": (count,), "tops": (count,),
        "scores": (count, len(embedding.classes)), "thumbnails": (count, *embedding.thumbnails.shape[1:3], 3),
    }  # fmt: skip
    fits = all(getattr(embedding, name).shape == shape for name, shape in wanted.items())
    fits = fits and embedding.thumbnails.dtype == np.uint8 and bool((embedding.tops < len(embedding.classes)).all())
    if not fits or pca.components.shape != (k, values) or {len(embedding.names), len(embedding.labels)} != {count} or not count:
        raise ValueError("its arrays do not fit together")
    return embedding


@dataclass(frozen=True, slots=True, eq=False)
class LivePosition:
    """The position of an image on a map."""

    point: Floats  # float32 (2,)
    nearest: Ints  # pictures of the map, the nearest first
    distances: Floats  # to these, in features


class PlacementReducer(Reducer):
    """Reduce an activation (1, …) to a LivePosition; None of one that is not finite, or without a map."""

    settings = None

    def __init__(self, layer: str, embedding: Embedding | None) -> None:
        self.layer = layer
        self._embedding = embedding
        self._pca: tuple[torch.Tensor, ...] = ()
        if embedding is not None:
            self._pca = torch.from_numpy(embedding.pca.mean), torch.from_numpy(embedding.pca.components)

    def reduce(self, activation: torch.Tensor, settings: None) -> tuple[torch.Tensor, ...]:  # noqa: ARG002
        if not self._pca:
            return ()
        self._pca = mean, components = tuple(part.to(activation.device) for part in self._pca)
        return (components @ (features(activation)[0] - mean),)

    def view(self, arrays: Sequence[npt.NDArray[Any]], settings: None) -> LivePosition | None:  # noqa: ARG002
        if self._embedding is None or not np.isfinite(arrays[0]).all():
            return None
        nearest, distances = self._embedding.nearest(arrays[0])
        return LivePosition(self._embedding.place(nearest, distances), nearest, distances)


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
    """Principal component analysis: Jolliffe, Cadima 2016, https://doi.org/10.1098/rsta.2015.0202."""

    mean: Floats  # float32 (D,)
    components: Floats  # float32 (k, D), orthonormal rows, that of the largest variance first; the largest entry is positive
    share: Floats  # float32 (k,), of the whole variance

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
        """Find at most so many components of values of this mean (D,) and these sums of products, (D, D), see `Covariance`."""
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
    """Place N pictures in the plane, float32 (N, 2), 0 in the mean, so that what is near stays near.

    Args:
        features: Principal components, float32 (N, k), that of the largest variance first.
        method: "tsne", "pca" or "umap".
        seed: The same seed gives the same points.

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

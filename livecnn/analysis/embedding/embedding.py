"""A map of pictures by what a layer makes of them: it can be drawn, kept in a file, and asked where another picture lies."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from livecnn.analysis.embedding import picture as embedding_picture
from livecnn.analysis.embedding.pca import Pca, features
from livecnn.engine.reducers import Reducer
from livecnn.errors import SourceError
from livecnn.io.images import notebook_png
from livecnn.types import Floats, Image

Ints = npt.NDArray[np.int64]

NEAREST = 8  # pictures between which another one is placed
MOST_BYTES = 1 << 31  # of a file's content
ARRAYS = ("points", "features", "indices", "scores", "tops", "thumbnails", "mean", "components", "share")
TEXTS = ("names", "labels", "classes", "layer", "model", "method", "seed", "skipped")
METHODS = {"pca": "PCA", "tsne": "t-SNE", "umap": "UMAP"}


@dataclass(frozen=True, eq=False, repr=False)
class Embedding:
    """N pictures, each at a point of the plane.

    points: float32 (N, 2), y goes up.  features: float32 (N, k), what `pca` makes of the layer's activations, see
    livecnn/analysis/embedding/pca.py.  indices, names, labels: of the pictures in their folder; a label is "" where unknown.
    scores: float32 (N, K), probabilities, all zero where the box is empty.  tops: int64 (N,), the class that the network sees,
    -1 where it sees none.  thumbnails: uint8 (N, s, s, 3).  skipped: pictures without a place, each with the reason.
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
        """Are all the true classes known?"""
        return all(self.labels)

    @property
    def kinds(self) -> tuple[str, ...]:
        """What each picture is coloured by: the true class if all are known, else the one that the network sees, "" for none."""
        return self.labels if self.labelled else tuple("" if top < 0 else self.classes[top] for top in self.tops)

    @property
    def groups(self) -> tuple[tuple[str, ...], Ints]:
        """The kinds that occur, in the order of the classes, and for each picture which of them it is, -1 for none."""
        order = {name: place for place, name in enumerate(self.classes)}
        found = sorted({kind for kind in self.kinds if kind}, key=lambda kind: (order.get(kind, len(order)), kind))
        place = {kind: i for i, kind in enumerate(found)}
        return tuple(found), np.array([place.get(kind, -1) for kind in self.kinds], np.int64)

    def nearest(self, features: Floats, most: int = NEAREST) -> tuple[Ints, Floats]:
        """(k,) -> which pictures are nearest, and how far, the nearest first."""
        apart = self.features - features
        distances = np.sqrt(np.einsum("nk,nk->n", apart, apart))
        few = np.argpartition(distances, min(most, len(distances)) - 1)[:most]
        few = few[np.argsort(distances[few], kind="stable")]
        return few.astype(np.int64), np.asarray(distances[few], np.float32)

    def place(self, nearest: Ints, distances: Floats) -> Floats:
        """Between the points of these pictures, float32 (2,): their mean, weighted by 1 / distance squared (Shepard 1968)."""
        weights = 1 / np.maximum(distances.astype(float), 1e-6 * max(float(distances[-1]), 1e-6)) ** 2
        return np.asarray(weights @ self.points[nearest] / weights.sum(), np.float32)

    def words(self) -> tuple[str, str]:
        """Title and subtitle of a picture of it."""
        colored = "true class" if self.labelled else "the class that the network sees"
        told = f"{self.model} · {len(self.points)} pictures · {METHODS[self.method]} · coloured by {colored}"
        return f"What {self.layer} makes of them: what is alike lies together", told

    def picture(self, size: int = 1600, *, grid: bool = False) -> Image:
        """uint8 (H, size, 3): thumbnails at their points as far as none covers another, marks for the rest.

        grid: each thumbnail in a cell of its own instead, near its point.
        """
        names, groups = self.groups
        return embedding_picture.draw_embedding(*self.words(), self.points, self.thumbnails, groups, names, size, grid=grid)

    def _repr_png_(self) -> bytes:
        return notebook_png(self.picture())

    def __repr__(self) -> str:
        return f"<map of {len(self.names)} pictures: {self.layer} of {self.model}, {METHODS[self.method]}>"

    def data(self) -> bytes:
        """What a file of it holds."""
        arrays = {name: getattr(self.pca if name in Pca.__slots__ else self, name) for name in ARRAYS}
        about = json.dumps({name: getattr(self, name) for name in TEXTS})
        buffer = io.BytesIO()
        np.savez_compressed(buffer, about=np.frombuffer(about.encode(), np.uint8), **arrays)
        return buffer.getvalue()


def load(path: Path) -> Embedding:
    """The embedding in a file that `livecnn embed … --out FILE.npz` wrote. Raises SourceError; no code of a file is ever run."""
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
    """point: float32 (2,), on the map.  nearest: of its pictures, the nearest first.  distances: to these, in features."""

    point: Floats
    nearest: Ints
    distances: Floats


class PlacementReducer(Reducer):
    """An activation (1, …) -> Placed; None of one that is not finite, or without a map."""

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

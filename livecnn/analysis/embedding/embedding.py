"""A map of pictures by what a layer makes of them: it can be drawn, kept in a file, and asked where another picture lies."""

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
from livecnn.analysis.embedding.projection import Pca, features
from livecnn.engine.reducers import Reducer
from livecnn.errors import SourceError
from livecnn.io.files import npz_bytes
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
        """Find the pictures that are nearest to some features.

        Args:
            features: Float32 (k,), as `pca` makes them.
            most: So many of them.

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
        """Draw thumbnails at their points as far as none covers another, marks for the rest.

        Args:
            size: Width in pixels.
            grid: Draw each thumbnail in a cell of its own instead, near its point.

        Returns:
            uint8 (H, size, 3).
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
    """The position of an image on a map.

    Attributes:
        point: Float32 (2,).
        nearest: Pictures of the map, the nearest first.
        distances: To these, in features.
    """

    point: Floats
    nearest: Ints
    distances: Floats


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

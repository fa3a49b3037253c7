"""Where on a map of pictures the live one lies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from livecnn.analysis.embedding.embedding import Embedding, Ints
from livecnn.analysis.embedding.pca import features
from livecnn.engine.reducers import Reducer
from livecnn.types import Floats


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

"""Made-up maps of pictures."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from livecnn.analysis.embedding.embedding import Embedding, Pca
from tests.helpers.scenes import DIGITS


def embedding(count: int = 24, values: int = 30, classes: Sequence[str] = DIGITS, seed: int = 0, **fields: Any) -> Embedding:
    """Of a layer `fc`: random activations; each picture has one gray level, its number."""
    rng = np.random.default_rng(seed)
    pca = Pca.of(rng.normal(size=(count, values)).astype(np.float32), 5)
    scores = rng.dirichlet(np.ones(len(classes)), count).astype(np.float32)
    given: dict[str, Any] = {
        "points": rng.normal(size=(count, 2)).astype(np.float32),
        "features": rng.normal(size=(count, 5)).astype(np.float32),
        "pca": pca,
        "indices": np.arange(count) * 2,
        "names": tuple(f"{i}.png" for i in range(count)),
        "labels": tuple(classes[i % len(classes)] for i in range(count)),
        "scores": scores,
        "tops": scores.argmax(1),
        "thumbnails": np.repeat(np.arange(count, dtype=np.uint8), 8 * 8 * 3).reshape(count, 8, 8, 3),
        "classes": tuple(classes),
        "layer": "fc",
        "model": "toy",
        "method": "pca",
        "seed": seed,
    }
    return Embedding(**{**given, **fields})

"""`livecnn embed` as shards: what a layer makes of each picture, before anything is known of all of them."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from livecnn.analysis.embedding.pca import count, features
from livecnn.analysis.embedding.picture import thumbnail_side
from livecnn.analysis.scorer import ScoredImage, Scorer
from livecnn.analysis.shards import Job
from livecnn.types import Floats, Image

PRINT = 6000  # pixels of a map's side for which thumbnails are kept


@dataclass(eq=False)
class Answers:
    """features: float32 (n, D).  scored: the same pictures with their thumbnails.  skipped: others, each with the reason."""

    features: Floats
    scored: list[ScoredImage]
    skipped: list[str]

    def packed(self) -> bytes:
        """As an .npz file, not compressed: it is read soon, and then deleted."""
        thumbnails = [each.thumbnail for each in self.scored if each.thumbnail is not None]
        about = {
            "names": [each.name for each in self.scored],
            "labels": [each.label for each in self.scored],
            "skipped": self.skipped,
        }
        arrays: dict[str, npt.NDArray[Any]] = {
            "about": np.frombuffer(json.dumps(about).encode(), np.uint8),
            "features": self.features,
            "indices": np.array([each.index for each in self.scored], np.int64),
            "scores": np.array([each.scores for each in self.scored], np.float32),
            "tops": np.array([-1 if each.top is None else each.top for each in self.scored], np.int64),
            "sizes": np.array([each.shape[:2] for each in thumbnails], np.int64).reshape(-1, 2),
            "pixels": np.concatenate([np.empty(0, np.uint8), *(each.ravel() for each in thumbnails)]),
        }
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, **arrays)
        return buffer.getvalue()

    @classmethod
    def unpacked(cls, data: bytes) -> Answers:
        """Raises ValueError if that is no such file."""
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as file:
                about, tops = json.loads(file["about"].tobytes()), [None if top < 0 else top for top in file["tops"].tolist()]
                thumbnails = _apart(file["pixels"], file["sizes"])
                columns = file["indices"].tolist(), about["names"], about["labels"], file["scores"], tops, thumbnails
                return cls(file["features"], [ScoredImage(*row) for row in zip(*columns, strict=True)], about["skipped"])
        except (OSError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise ValueError(str(error)) from error


def _apart(pixels: Image, sizes: npt.NDArray[np.int64]) -> list[Image]:
    """Thumbnails of these sizes (n, 2), which lie one after the other."""
    ends = np.cumsum(3 * sizes.prod(1))
    return [part.reshape(*size, 3) for part, size in zip(np.split(pixels, ends)[:-1], sizes.tolist(), strict=True)]


@dataclass(frozen=True, kw_only=True)
class EmbeddingJob(Job[Answers]):
    """limit: so many of the pictures, chosen at random by the seed; None: all."""

    limit: int | None
    seed: int | None

    decisive = "images", "fingerprint", "limit", "seed", "size", "layers"

    @cached_property
    def chosen(self) -> Sequence[int]:
        if self.limit is None:
            return range(self.images)
        return sorted(np.random.default_rng(self.seed).permutation(self.images)[: self.limit].tolist())

    @property
    def layer(self) -> str:
        return self.layers[0]

    @property
    def width(self) -> int:
        """How many features a picture has."""
        return count(self.shapes[self.layer])

    @property
    def thumbnails(self) -> int:
        return thumbnail_side(PRINT, len(self.chosen))

    def gather(self, scorer: Scorer, places: Sequence[int]) -> Answers:
        """Those whose activation is not finite have no place on a map."""
        values, scored = [np.empty((0, self.width), np.float32)], []
        with closing(scorer.watched(self.layers, places, self.jobs)) as batches:
            for batch, activations in batches:
                found = features(activations[self.layer]).cpu()
                finite = torch.isfinite(found).all(1)
                values.append(found[finite].numpy())
                for each, fine in zip(batch, finite.tolist(), strict=True):
                    if fine:
                        scored.append(each)
                    else:
                        scorer.skipped.append(f"{each.name}: {self.layer} is not finite")
        return Answers(np.concatenate(values), scored, scorer.skipped)

    def unpacked(self, data: bytes) -> Answers:
        return Answers.unpacked(data)

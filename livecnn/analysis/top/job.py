"""`livecnn top` as shards: what is gathered of each."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property

from livecnn.analysis.scorer import ScoredImage, Scorer
from livecnn.analysis.shards import Job
from livecnn.analysis.top import CollectionStats


@dataclass(frozen=True, kw_only=True)
class TopJob(Job[CollectionStats]):
    """labels: that the pictures have, if any.  k: strongest images of a unit."""

    labels: tuple[str, ...]
    k: int

    decisive = "images", "fingerprint", "k", "size", "finder", "layers", "labels"

    @property
    def classes(self) -> tuple[str, ...]:
        """By which figures are told apart: those of the network, unless the pictures have labels that are none of these."""
        return self.bundle.classes if set(self.labels) <= set(self.bundle.classes) else self.labels

    @property
    def empty(self) -> CollectionStats:
        """A group a class; the last is for pictures without one."""
        return CollectionStats.none({layer: shape[1] for layer, shape in self.shapes.items()}, len(self.classes) + 1, self.k)

    def gather(self, scorer: Scorer, places: Sequence[int]) -> CollectionStats:
        scan = self.empty
        with closing(scorer.watched(self.layers, places, self.jobs)) as batches:
            for scored, activations in batches:
                scan.add(activations, [each.index for each in scored], [self._group(each) for each in scored])
        scan.skipped = scorer.skipped
        return scan

    def unpacked(self, data: bytes) -> CollectionStats:
        return CollectionStats.unpacked(data)

    def _group(self, each: ScoredImage) -> int:
        without = len(self.classes)
        if self.labels:
            return self._groups.get(each.label, without)
        return without if each.top is None else each.top

    @cached_property
    def _groups(self) -> dict[str, int]:
        return {name: number for number, name in enumerate(self.classes)}

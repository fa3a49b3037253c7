"""Evaluate annotations: counts by layer, agreement of two annotators, and what the units marked do over images."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import combinations
from typing import Any, get_args

import numpy as np
from tqdm import tqdm

from livecnn._cv2 import one_thread
from livecnn.analysis.annotations.store import Annotations, Mark, Verdict, count_verdicts
from livecnn.analysis.dataset import ImageDataset
from livecnn.analysis.patterns.summary import Summary
from livecnn.analysis.scorer import Scorer
from livecnn.engine.crop import Cropper
from livecnn.errors import OutputError, UsageError, nearest
from livecnn.networks.bundle import Bundle
from livecnn.networks.device import pick_device


@dataclass(frozen=True)
class Agreement:
    """Agreement of two annotators, over the units that both called good or bad."""

    good: int = 0  # units that both called good
    bad: int = 0  # units that both called bad
    first: int = 0  # units that only the first called good
    second: int = 0  # units that only the second called good

    @classmethod
    def between(cls, first: Mapping[int, Mark], second: Mapping[int, Mark]) -> Agreement:
        """Compare the marks of two annotators, by unit."""
        pairs = [(first[unit].verdict, second[unit].verdict) for unit in first.keys() & second.keys()]
        return cls(*(pairs.count(pair) for pair in (("good", "good"), ("bad", "bad"), ("good", "bad"), ("bad", "good"))))

    @property
    def both(self) -> int:
        """The number of units that both marked."""
        return self.good + self.bad + self.first + self.second

    @property
    def share(self) -> float | None:
        """The fraction of these that were marked alike, 0..1; None if there are none."""
        return (self.good + self.bad) / self.both if self.both else None

    @property
    def kappa(self) -> float | None:
        """Cohen's kappa, (p_o - p_e) / (1 - p_e), -1..1; None where both gave one and the same verdict to all.

        p_o: share marked alike.  p_e: the share expected by chance, the sum over the verdicts of the product of both annotators'
        own shares. Cohen, "A coefficient of agreement for nominal scales", Educational and Psychological Measurement 20, 1960.
        Here both are multiplied by the square of the number of units, which keeps the case of 0 / 0 exact.
        """
        chance = (self.good + self.first) * (self.good + self.second) + (self.bad + self.first) * (self.bad + self.second)
        every = self.both**2
        return (self.both * (self.good + self.bad) - chance) / (every - chance) if every > chance else None

    def __add__(self, other: Agreement) -> Agreement:
        return Agreement(self.good + other.good, self.bad + other.bad, self.first + other.first, self.second + other.second)

    def data(self) -> dict[str, float | None]:
        """Return the numbers, ready for JSON."""
        return {"both": self.both, "agreed": self.share, "kappa": self.kappa}


def sizes(bundle: Bundle, files: Sequence[Annotations]) -> dict[str, int]:
    """Return how many units the layers with marks have. Raises OutputError for a layer or unit that the network has not."""
    wanted = [layer for each in files for layer in each.units]
    shapes = bundle.shapes(wanted)
    for each in files:
        for layer, marks in each.units.items():
            at = f"{each.path}: units.{layer}"
            if layer not in shapes:
                raise OutputError(f"{at}: unknown layer of {bundle.name}; {nearest(layer, shapes)}")
            count = shapes[layer][1]
            if max(marks) >= count:
                raise OutputError(f"{at}.{max(marks)}: {layer} has {count} units; allowed: 0 to {count - 1}")
    return {layer: shapes[layer][1] for layer in dict.fromkeys(wanted)}


def responses(
    bundle: Bundle, layers: Sequence[str], album: ImageDataset, cropper: Cropper, tell: Callable[[str], None]
) -> Summary:
    """Gather what all units of these layers do over all images, see `livecnn replay --summary`.

    `tell` gets a line if some images cannot be read. Raises LivecnnError if none can.
    """
    patterns = Summary(layers, bundle.classes, bundle.name)
    with one_thread(), album:
        scorer, count = Scorer(album, cropper, bundle.module, pick_device("auto"), output=bundle.output), len(album)
        bar = tqdm(desc="images", total=count, unit="picture", disable=None, leave=False)
        with closing(scorer.activations(layers, range(count))) as batches, bar:
            for places, activations in batches:
                patterns.add(activations, [None] * len(places), np.full(len(places), -1))
                bar.update(len(places))
    if not patterns.images:
        raise UsageError(f"{album.spec}: none of {count} pictures can be read; first: {scorer.skipped[0]}")
    if scorer.skipped:
        tell(f"{len(scorer.skipped)} of {count} pictures cannot be read; first: {scorer.skipped[0]}")
    return patterns


def report(files: Sequence[Annotations], sizes: Mapping[str, int], patterns: Summary | None = None) -> dict[str, Any]:
    """Return the counts of each file, and the agreement of every two, by layer and in all; ready for JSON.

    Args:
        files: The annotations.
        sizes: Units by layer; "unmarked" is counted where they are known.
        patterns: From `responses`, for "mean of good" and "mean of bad": mean activations, averaged over the units so marked.
    """
    return {
        "model": files[0].model,
        "images": None if patterns is None else patterns.images,
        "files": [_about(annotations, sizes, patterns) for annotations in files],
        "agreement": [_agreement(one, other) for one, other in combinations(files, 2)],
    }


def _about(annotations: Annotations, sizes: Mapping[str, int], patterns: Summary | None) -> dict[str, Any]:
    counts = {layer: _counts(marks, sizes.get(layer)) for layer, marks in annotations.units.items()}
    means = {layer: _means(patterns, layer, marks) for layer, marks in annotations.units.items()}
    keys = dict.fromkeys(key for each in (count_verdicts(()), *counts.values()) for key in each)
    return {
        "file": str(annotations.path),
        "annotator": annotations.annotator,
        "layers": {layer: {**counts[layer], **means[layer]} for layer in counts},
        "in all": {key: sum(each[key] for each in counts.values()) for key in keys},
    }


def _counts(marks: Mapping[int, Mark], size: int | None) -> dict[str, int]:
    found = count_verdicts(marks.values())
    return found if size is None else {**found, "unmarked": size - found["good"] - found["bad"]}


def _means(patterns: Summary | None, layer: str, marks: Mapping[int, Mark]) -> dict[str, float | None]:
    """Average by verdict; units without any finite value are left out."""
    if patterns is None:
        return {}
    means, found = patterns.overall(layer).means[0], {}
    for verdict in get_args(Verdict):
        values = means[[unit for unit, mark in marks.items() if mark.verdict == verdict]]
        known = values[np.isfinite(values)]
        found[f"mean of {verdict}"] = float(known.mean()) if known.size else None
    return found


def _agreement(one: Annotations, other: Annotations) -> dict[str, Any]:
    layers = {layer: Agreement.between(marks, other.units.get(layer, {})) for layer, marks in one.units.items()}
    return {
        "files": [str(one.path), str(other.path)],
        "annotators": [one.annotator, other.annotator],
        "layers": {layer: about.data() for layer, about in layers.items() if about.both},
        "in all": sum(layers.values(), Agreement()).data(),
    }

"""What a unit likes best, found while the loops run: the default ascent, a few steps at a time."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

from livecnn.dreams.ascent import STEPS, Dream
from livecnn.explain.live.worker import EVERY, Dreaming
from livecnn.networks.bundle import Bundle
from livecnn.selection import Unit
from livecnn.types import PreferredInput


def live_dreams(bundle: Bundle) -> Dreaming:
    """Of a copy of the bundle's network."""
    pipeline = bundle.pipeline

    def dream(module: nn.Module, layer: str, unit: int) -> Iterator[PreferredInput]:
        ascending = Dream(module, layer, pipeline.shape, limits=pipeline.limits)
        for ascent in ascending.ascend([unit], every=EVERY):
            picture, value = pipeline.picture(ascent.images[0]), float(ascent.values[0])
            yield PreferredInput(Unit(layer, unit), picture, value, ascent.step, STEPS)

    return dream

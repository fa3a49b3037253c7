"""Does a network give here what it gave where it was made? The scores of one picture, which is the same everywhere."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from livecnn.errors import ModelError
from livecnn.networks.bundle import Bundle
from livecnn.networks.inspection.probe import find_scores
from livecnn.types import Image

TOLERANCE = 1e-4  # of scores up to 1, and as a share of larger ones
LEAST_SIDE = 100


def sample(height: int, width: int) -> Image:
    """uint8 (height, width, 3) RGB: a dark square frame on bright paper of changing colour. Drawn with integers: no rounding."""
    y, x = np.ogrid[:height, :width]
    side = min(height, width)
    distance = np.maximum(abs(2 * y + 1 - height), abs(2 * x + 1 - width))  # from the centre, in half pixels
    paper = np.zeros((height, width, 3), np.uint8)
    paper[..., 0], paper[..., 1], paper[..., 2] = 200 + 40 * x // width, 210, 240 - 60 * y // height
    paper[(side * 9 // 20 < distance) & (distance < side * 12 // 20)] = (40, 30, 60)
    return paper


def record(bundle: Bundle) -> dict[str, Any]:
    """`check` of a card: the picture's size, and what the network gives for it. Raises ModelError if that is no number."""
    height, width = bundle.pipeline.shape[-2:]
    times = -(-LEAST_SIDE // min(height, width))  # a whole number, so that nothing is interpolated on the way in
    size = (times * height, times * width)
    scores = _scores(bundle, size)
    if not np.isfinite(scores).all():
        raise ModelError(f"{bundle.name}: the network gives {scores.tolist()[:8]} for a picture; numbers are needed")
    return {"sample": list(size), "scores": [float(f"{score:.7g}") for score in scores]}


def describe_difference(bundle: Bundle) -> str:
    """Describe what differs from the card's `check`; "" if all is as it was. Raises ModelError if the card has none."""
    known = bundle.card.check if bundle.card else None
    if known is None:
        raise ModelError(f"{bundle.name}: its model.yaml holds no `check` to compare with")
    expected, found = np.array(known.scores), _scores(bundle, known.sample)
    if found.shape != expected.shape:
        return f"{len(found)} scores, {len(expected)} expected"
    away = np.abs(found - expected)
    if (away <= TOLERANCE * max(1.0, float(np.abs(expected).max(initial=0)))).all():
        return ""
    at = int(away.argmax())  # a NaN counts as the largest
    return f"the score of {bundle.classes[at]!r} is {found[at]:.6g}, expected {expected[at]:.6g}"


def _scores(bundle: Bundle, size: tuple[int, int]) -> np.ndarray[Any, np.dtype[np.float64]]:
    with torch.inference_mode():
        scores = find_scores(bundle.module(bundle.prepare(sample(*size))))
    return scores[0].double().cpu().numpy()

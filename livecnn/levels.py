"""Maps as levels of gray or colour, 0 to 255, and the values that the ends stand for, so that the values can be told again."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from livecnn.types import Floats

MIDDLE, REACH = 128, 127  # of a signed scale: the level of zero, and of the largest value how far it lies from there
LEAST = 1e-36  # of a range: what is less is shown as even, for 1 over it is too large for float32

Levels = tuple[npt.NDArray[np.uint8], Floats, Floats]


def minmax(maps: Floats) -> Levels:
    """(U, …) -> uint8 (U, …), low (U,), high (U,): each map by its own range; value = low + level / 255 * (high - low).

    Values that are not finite count as 0.
    """
    flat = torch.from_numpy(maps).flatten(1)
    low, high = flat.amin(1), flat.amax(1)
    if not (low.isfinite().all() and high.isfinite().all()):
        flat = _finite(flat)
        low, high = flat.amin(1), flat.amax(1)
    span = high - low
    span = torch.where(span > LEAST, span, 1)
    levels = (flat - low[:, None]).mul_((255 / span)[:, None]).round_().to(torch.uint8)
    return levels.reshape(maps.shape).numpy(), low.numpy(), high.numpy()


def signed(maps: Floats) -> Levels:
    """The same around zero, low = -high: value = (level - 128) / 127 * high."""
    flat = _finite(torch.from_numpy(maps).flatten(1))
    high = flat.abs().amax(1)
    span = torch.where(high > LEAST, high, 1)
    levels = (flat * (REACH / span)[:, None]).round_().add_(MIDDLE).to(torch.uint8)
    return levels.reshape(maps.shape).numpy(), -high.numpy(), high.numpy()


def _finite(flat: torch.Tensor) -> torch.Tensor:
    return flat.nan_to_num(0, 0, 0)

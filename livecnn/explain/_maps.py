"""Maps as pictures."""

from __future__ import annotations

import torch
from torch.nn import functional

from livecnn.errors import ModelError
from livecnn.explain._passing import Seen


def maps_of(seen: Seen, kind: str, layer: str | None) -> torch.Tensor:
    """The layer's maps (N, K, h, w). Raises ModelError if it gives something else."""
    activation = seen.activation
    if activation is None:
        raise ModelError(f"{kind} needs a layer that gives maps")
    if activation.ndim != 4 or activation.shape[2:].numel() == 1:
        told = " x ".join(map(str, activation.shape[1:]))
        raise ModelError(f"{kind} needs a layer that gives maps; {layer!r} gives {told} values")
    return activation


def resized(maps: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """(U, 1, h, w) -> (U, 1, H, W), the size of the input x (1, C, H, W), bilinear."""
    return functional.interpolate(maps, size=x.shape[2:], mode="bilinear", align_corners=False)

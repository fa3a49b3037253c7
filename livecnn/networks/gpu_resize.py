"""Resize and normalize on the device where the network is, with PyTorch alone: benchmarks/gpu.py runs where little else is."""

from collections.abc import Sequence
from functools import lru_cache

import torch


class Resize:
    """uint8 (h, w, 3) RGB on any device -> float32 (1, C, H, W), as the pipeline `plain` does it on the host.

    size: (H, W).  channels: 3, or 1 for luminance.  mean, std: a number a channel, or one for all.  scale: of the values that
    they are meant for: 1 or 255.  area: averages where it shrinks, else a triangle.  reverse: BGR.
    """

    def __init__(
        self,
        size: tuple[int, int],
        channels: int,
        mean: Sequence[float],
        std: Sequence[float],
        scale: int,
        *,
        area: bool = True,
        reverse: bool = False,
    ) -> None:
        self.size, self.channels, self._area, self._reverse, self._gain = size, channels, area, reverse, scale / 255
        self._mean, self._std = tuple(mean), tuple(std)
        self._constants = lru_cache(maxsize=4)(self._constants_for)

    def __call__(self, shot: torch.Tensor) -> torch.Tensor:
        rows, columns, mean, std, luminance = self._constants(tuple(shot.shape[:2]), shot.device)
        planes = shot.permute(2, 0, 1).float()
        seen = (rows @ planes @ columns.mT).round()  # whole levels, as the picture for the eye has them
        if self.channels == 1:
            seen = (luminance * seen).sum(0, keepdim=True).round()
        elif self._reverse:
            seen = seen.flip(0)
        return ((seen * self._gain - mean) / std)[None]

    def _constants_for(self, shape: tuple[int, int], device: torch.device) -> tuple[torch.Tensor, ...]:
        shrinks = shape[0] > self.size[0] or shape[1] > self.size[1]
        weigh = _shares if shrinks and self._area else _triangles
        rows, columns = (weigh(length, wanted) for length, wanted in zip(shape, self.size, strict=True))
        mean, std = (torch.tensor(values).view(-1, 1, 1) for values in (self._mean, self._std))
        luminance = torch.tensor((0.299, 0.587, 0.114)).view(3, 1, 1)  # ITU-R BT.601
        return tuple(tensor.to(device) for tensor in (rows, columns, mean, std, luminance))


def _shares(length: int, wanted: int) -> torch.Tensor:
    """(wanted, length): how much of each old pixel a new one covers, in sum 1."""
    edges = torch.arange(wanted + 1, dtype=torch.float64) * (length / wanted)
    old = torch.arange(length, dtype=torch.float64)
    covered = (torch.minimum(edges[1:, None], old + 1) - torch.maximum(edges[:-1, None], old)).clamp_min(0)
    return (covered / covered.sum(1, keepdim=True)).float()


def _triangles(length: int, wanted: int) -> torch.Tensor:
    """(wanted, length): each row falls linearly from the new pixel's centre to 0 one step, and no less than a pixel, away."""
    step = length / wanted
    centres = (torch.arange(wanted, dtype=torch.float64) + 0.5) * step
    off = (centres[:, None] - torch.arange(length, dtype=torch.float64) - 0.5).abs()
    weights = (1 - off / max(1.0, step)).clamp_min(0)
    return (weights / weights.sum(1, keepdim=True)).float()

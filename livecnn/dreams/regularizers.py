"""What keeps pictures natural: those of Yosinski et al. 2015, https://arxiv.org/abs/1506.06579, sparsity and total variation."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional

SPARSE = 0.1


@dataclass(frozen=True)
class Regularizers:
    """All are off at 0. The first two are weighed against an objective whose gradient has a mean square of 1; the others act on
    pixels, after each step.

    sparsity: weight of the distance from the rest, the even picture that an ascent starts from; None: 0.1 if that is black or
    white, as the ground of writing is, else 0.  variation: weight of the total variation.
    decay: share of the distance from the rest that a step takes away (L2 decay).
    blur: standard deviation in pixels of a Gaussian blur every `blur_every` steps.
    norm: share of the pixels, those nearest to the rest, that are set to it.  contribution: the same of those that would change
    the objective least if they were.
    """

    sparsity: float | None = None
    variation: float = 0.1
    decay: float = 0.0
    blur: float = 0.0
    blur_every: int = 4
    norm: float = 0.0
    contribution: float = 0.0

    def penalty(self, levels: torch.Tensor, rest: torch.Tensor) -> torch.Tensor:
        """What to take off the objectives of all pictures (U, C, H, W) together. rest: (C, 1, 1)."""
        bare = bool(((rest == 0) | (rest == 1)).all())
        sparsity = SPARSE * bare if self.sparsity is None else self.sparsity
        return sparsity * (levels - rest).abs().sum() + self.variation * total_variation(levels).sum()

    @property
    def on_pixels(self) -> bool:
        """Return whether any of them works on pixels, not on a spectrum."""
        return bool(self.decay or self.blur or self.norm or self.contribution)

    def __call__(self, levels: torch.Tensor, slopes: torch.Tensor, rest: torch.Tensor, step: int) -> torch.Tensor:
        """Pictures (U, C, H, W) once so many steps were taken.

        slopes: the gradient of each one's objective, of the same shape.  rest: (C, 1, 1).
        """
        away = (levels - rest) * (1 - self.decay)
        if self.blur and step % self.blur_every == 0:
            away = gaussian_blur(away, self.blur)
        if self.norm:
            away = clip_smallest(away, away.norm(dim=1), self.norm)
        if self.contribution:
            away = clip_smallest(away, (away * slopes).sum(1).abs(), self.contribution)
        return rest + away


def gaussian_blur(images: torch.Tensor, deviation: float) -> torch.Tensor:
    """(N, C, H, W), Gaussian; beyond the edge it is as the edge is."""
    reach = max(1, round(3 * deviation))
    places = torch.arange(-reach, reach + 1, device=images.device, dtype=images.dtype)
    weights = torch.exp(-((places / deviation) ** 2) / 2)
    weights = weights / weights.sum()
    flat = functional.pad(images.flatten(0, 1)[:, None], [reach] * 4, mode="replicate")
    across = functional.conv2d(flat, weights[None, None, None])
    return functional.conv2d(across, weights[None, None, :, None]).reshape(images.shape)


def clip_smallest(images: torch.Tensor, sizes: torch.Tensor, share: float) -> torch.Tensor:
    """(N, C, H, W), 0 at this share of each picture's pixels, those of the least size. sizes: (N, H, W)."""
    places = sizes.flatten(1)
    least = places.argsort(dim=1, stable=True)[:, : round(share * places.shape[1])]
    return images * torch.ones_like(places).scatter_(1, least, 0).view_as(sizes)[:, None]


def total_variation(images: torch.Tensor) -> torch.Tensor:
    """Total variation of each of (N, C, H, W): the sum of the differences between neighbours, across and down. (N,)."""
    across, down = images.diff(dim=3).abs(), images.diff(dim=2).abs()
    return across.sum((1, 2, 3)) + down.sum((1, 2, 3))

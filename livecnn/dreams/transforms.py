"""Small random moves: what a unit likes should not hang on single pixels."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch.nn import functional


@dataclass(frozen=True)
class RandomTransforms:
    """How far a picture is moved before the network sees it: at random, and anew at every step.

    jitter: in each direction, a share of the sides of what a unit sees.  rotation: either way, in degrees.  scaling: up or down,
    a share.
    """

    jitter: float = 0.08
    rotation: float = 12.0
    scaling: float = 0.15

    def __call__(self, images: torch.Tensor, seen: tuple[int, int], generator: torch.Generator) -> torch.Tensor:
        """(N, C, H, W), all moved alike; differentiable. seen: height and width in pixels of what a unit sees."""
        if not (self.jitter or self.rotation or self.scaling):
            return images
        right, down, turn, grow = (2 * torch.rand(4, generator=generator) - 1).tolist()
        shift = self.jitter * right * seen[1], self.jitter * down * seen[0]
        return apply_transform(images, shift, self.rotation * turn, 1 + self.scaling * grow)


def apply_transform(images: torch.Tensor, shift: tuple[float, float], degrees: float, scale: float) -> torch.Tensor:
    """(N, C, H, W) scaled and turned counter-clockwise around the middle, then shifted by so many pixels to the right and down.

    Interpolated linearly; what comes in over the edge is as the edge is.
    """
    height, width = images.shape[2:]
    angle = math.radians(degrees)
    cos, sin = math.cos(angle) / scale, math.sin(angle) / scale
    right, down = 2 * shift[0] / width, 2 * shift[1] / height
    aspect = height / width
    rows = [cos, -sin * aspect], [sin / aspect, cos]
    back = images.new_tensor([[a, b, -a * right - b * down] for a, b in rows])
    grid = functional.affine_grid(back.expand(len(images), 2, 3), list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, padding_mode="border", align_corners=False)

"""The images of an ascent: how they are written as numbers, and what keeps them natural.

They are levels here: 0 is what the darkest pixel gives, 1 the brightest. Olah et al. 2017,
https://distill.pub/2017/feature-visualization; Yosinski et al. 2015, https://arxiv.org/abs/1506.06579.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import torch
from torch.nn import functional

FAINTEST = 0.05  # of the levels: a picture starts so far from both ends at least, where there is a slope

# Directions in which the colours of photographs vary, red, green and blue by row (https://distill.pub/2017/feature-visualization).
COLORS = ((0.26, 0.09, 0.02), (0.27, 0.00, -0.05), (0.27, -0.09, 0.03))
SPARSE = 0.1


@dataclass(frozen=True, eq=False)
class Parametrization(ABC):
    """A way to write pictures (C, H, W) as parameters."""

    rest: torch.Tensor  # (C, 1, 1), the levels of the even picture that an ascent starts from
    size: tuple[int, int]  # (H, W) in pixels
    rate: ClassVar[float]  # size of a step, by default

    @abstractmethod
    def start(self, generator: torch.Generator) -> torch.Tensor:
        """Return parameters (1, …) of a picture that is even but for a little noise."""

    @abstractmethod
    def levels(self, values: torch.Tensor) -> torch.Tensor:
        """Turn parameters (U, …) into pictures (U, C, H, W), differentiably."""

    def _noise(self, *shape: int, generator: torch.Generator) -> torch.Tensor:
        return torch.randn(1, len(self.rest), *shape, generator=generator).to(self.rest.device)


class PixelParametrization(Parametrization):
    """The levels themselves."""

    rate = 0.03

    def start(self, generator: torch.Generator) -> torch.Tensor:
        return (self.rest + 0.01 * self._noise(*self.size, generator=generator)).clamp(0, 1)

    def levels(self, values: torch.Tensor) -> torch.Tensor:
        return values


class FourierParametrization(Parametrization):
    """Amplitudes of a discrete Fourier transform, (…, 2): real and imaginary part, scaled by 1 / frequency, as in photographs.

    So one step changes coarse and fine structure alike. A sigmoid keeps the levels between 0 and 1; three channels are mixed as
    colours of photographs are.
    """

    rate = 0.07

    def start(self, generator: torch.Generator) -> torch.Tensor:
        height, width = self.size
        return 0.01 * self._noise(height, width // 2 + 1, 2, generator=generator)

    def levels(self, values: torch.Tensor) -> torch.Tensor:
        waves = torch.fft.irfft2(torch.view_as_complex(values.contiguous()) * self._scale, s=self.size)
        if len(self.rest) == len(COLORS):
            waves = torch.einsum("dc,ucyx->udyx", self._colors, waves)
        return torch.sigmoid(waves + torch.logit(self.rest, FAINTEST))

    @cached_property
    def _scale(self) -> torch.Tensor:
        """Return 1 / frequency, (H, W // 2 + 1), the lowest as one wave a picture."""
        height, width = self.size
        down, across = torch.fft.fftfreq(height)[:, None], torch.fft.rfftfreq(width)
        frequencies = torch.hypot(down, across).clamp_min(1 / max(self.size))
        scale: torch.Tensor = math.sqrt(height * width) / 4 / frequencies.to(self.rest)
        return scale

    @cached_property
    def _colors(self) -> torch.Tensor:
        colors = torch.tensor(COLORS).to(self.rest)
        mixed: torch.Tensor = colors / colors.norm(dim=0).max()
        return mixed


PARAMETERS: dict[str, type[Parametrization]] = {"pixels": PixelParametrization, "fourier": FourierParametrization}


@dataclass(frozen=True)
class RandomTransforms:
    """Random transforms of an image before the network sees it, drawn anew at every step."""

    jitter: float = 0.08  # in each direction, a share of the sides of what a unit sees
    rotation: float = 12.0  # either way, in degrees
    scaling: float = 0.15  # up or down, a share

    def __call__(self, images: torch.Tensor, seen: tuple[int, int], generator: torch.Generator) -> torch.Tensor:
        """Move all of (N, C, H, W) alike, differentiably; `seen` is height and width in pixels of what a unit sees."""
        if not (self.jitter or self.rotation or self.scaling):
            return images
        right, down, turn, grow = (2 * torch.rand(4, generator=generator) - 1).tolist()
        shift = self.jitter * right * seen[1], self.jitter * down * seen[0]
        return apply_transform(images, shift, self.rotation * turn, 1 + self.scaling * grow)


def apply_transform(images: torch.Tensor, shift: tuple[float, float], degrees: float, scale: float) -> torch.Tensor:
    """Scale and turn (N, C, H, W) counter-clockwise around the middle, then shift by pixels to the right and down.

    Interpolation is linear; beyond the edge the edge goes on.
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


@dataclass(frozen=True)
class Regularizers:
    """Penalties, weighed against an objective whose gradient has a mean square of 1, and work on pixels after each step.

    All are off at 0; the rest is the even picture that an ascent starts from.
    """

    # weight of the distance from the rest; None: 0.1 if that is black or white, as the ground of writing is, else 0
    sparsity: float | None = None
    variation: float = 0.1  # weight of the total variation
    decay: float = 0.0  # share of the distance from the rest that a step takes away (L2 decay)
    blur: float = 0.0  # standard deviation in pixels of a Gaussian blur
    blur_every: int = 4  # steps from blur to blur
    norm: float = 0.0  # share of the pixels, those nearest to the rest, that are set to it
    contribution: float = 0.0  # the same of those that would change the objective least

    def penalty(self, levels: torch.Tensor, rest: torch.Tensor) -> torch.Tensor:
        """Return what to take off the objectives of all pictures (U, C, H, W) together; `rest` is (C, 1, 1)."""
        bare = bool(((rest == 0) | (rest == 1)).all())
        sparsity = SPARSE * bare if self.sparsity is None else self.sparsity
        return sparsity * (levels - rest).abs().sum() + self.variation * total_variation(levels).sum()

    @property
    def on_pixels(self) -> bool:
        """Return whether any of them works on pixels, not on a spectrum."""
        return bool(self.decay or self.blur or self.norm or self.contribution)

    def __call__(self, levels: torch.Tensor, slopes: torch.Tensor, rest: torch.Tensor, step: int) -> torch.Tensor:
        """Return pictures (U, C, H, W) as they are after so many steps; `slopes` are the gradients of their objectives."""
        away = (levels - rest) * (1 - self.decay)
        if self.blur and step % self.blur_every == 0:
            away = gaussian_blur(away, self.blur)
        if self.norm:
            away = clip_smallest(away, away.norm(dim=1), self.norm)
        if self.contribution:
            away = clip_smallest(away, (away * slopes).sum(1).abs(), self.contribution)
        return rest + away


def gaussian_blur(images: torch.Tensor, deviation: float) -> torch.Tensor:
    """Blur (N, C, H, W); beyond the edge the edge goes on."""
    reach = max(1, round(3 * deviation))
    places = torch.arange(-reach, reach + 1, device=images.device, dtype=images.dtype)
    weights = torch.exp(-((places / deviation) ** 2) / 2)
    weights = weights / weights.sum()
    flat = functional.pad(images.flatten(0, 1)[:, None], [reach] * 4, mode="replicate")
    across = functional.conv2d(flat, weights[None, None, None])
    return functional.conv2d(across, weights[None, None, :, None]).reshape(images.shape)


def clip_smallest(images: torch.Tensor, sizes: torch.Tensor, share: float) -> torch.Tensor:
    """Set this share of the pixels of each of (N, C, H, W) to 0, those of the least of `sizes`, (N, H, W)."""
    places = sizes.flatten(1)
    least = places.argsort(dim=1, stable=True)[:, : round(share * places.shape[1])]
    return images * torch.ones_like(places).scatter_(1, least, 0).view_as(sizes)[:, None]


def total_variation(images: torch.Tensor) -> torch.Tensor:
    """Return each picture's total variation, (N,): the sum of differences between neighbors, across and down."""
    across, down = images.diff(dim=3).abs(), images.diff(dim=2).abs()
    return across.sum((1, 2, 3)) + down.sum((1, 2, 3))

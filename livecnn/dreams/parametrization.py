"""Pictures as numbers that an ascent changes. They are levels here: 0 is what the darkest pixel gives, 1 the brightest."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import torch

FAINTEST = 0.05  # of the levels: a picture starts so far from both ends at least, where there is a slope

# Directions in which the colours of photographs vary, red, green and blue by row (https://distill.pub/2017/feature-visualization).
COLORS = ((0.26, 0.09, 0.02), (0.27, 0.00, -0.05), (0.27, -0.09, 0.03))


@dataclass(frozen=True, eq=False)
class Parametrization(ABC):
    """A way to write pictures (C, H, W) as parameters.

    Attributes:
        rest: (C, 1, 1), the levels of the even picture that an ascent starts from.
        size: (H, W) in pixels.
        rate: Size of a step, by default.
    """

    rest: torch.Tensor
    size: tuple[int, int]
    rate: ClassVar[float]

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

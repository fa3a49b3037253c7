"""The parts of an ascent, each against numbers worked out otherwise."""

import math

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from livecnn.dreams.parametrization import COLORS, FourierParametrization, PixelParametrization

REST = torch.full((1, 1, 1), 0.25)


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(7)


@pytest.mark.parametrize("size", [(6, 8), (5, 7), (8, 3)])
def test_fourier_is_that_of_numpy(size: tuple[int, int]) -> None:
    height, width = size
    values = torch.randn(2, 1, height, width // 2 + 1, 2, generator=generator())
    down, across = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)
    scale = math.sqrt(height * width) / np.maximum(np.sqrt(down**2 + across**2), 1 / max(size)) / 4
    waves = np.fft.irfft2((values[..., 0] + 1j * values[..., 1]).numpy() * scale, s=size)
    wanted = 1 / (1 + np.exp(-(waves + math.log(0.25 / 0.75))))
    assert_close(
        FourierParametrization(REST, size).levels(values), torch.tensor(wanted, dtype=torch.float32), rtol=1e-4, atol=1e-5
    )


def test_three_channels_are_mixed_as_colours() -> None:
    way, gray = (
        FourierParametrization(torch.full((3, 1, 1), 0.5), (4, 6)),
        FourierParametrization(torch.full((1, 1, 1), 0.5), (4, 6)),
    )
    values = torch.randn(1, 3, 4, 4, 2, generator=generator())
    waves = torch.cat([torch.logit(gray.levels(values[:, i : i + 1])) for i in range(3)], 1)
    longest = max(math.sqrt(sum(row[i] ** 2 for row in COLORS)) for i in range(3))
    wanted = sum(torch.tensor([row[i] for row in COLORS])[:, None, None] / longest * waves[0, i] for i in range(3))
    assert_close(torch.logit(way.levels(values))[0], wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", [FourierParametrization, PixelParametrization])
@pytest.mark.parametrize("level", [0.0, 0.4, 1.0])
def test_a_start_is_nearly_even_and_lies_within_the_levels(
    kind: type[FourierParametrization | PixelParametrization], level: float
) -> None:
    way = kind(torch.full((3, 1, 1), level), (9, 12))
    levels = way.levels(way.start(generator()))
    assert levels.shape == (1, 3, 9, 12)
    assert 0 <= float(levels.min()) <= float(levels.max()) <= 1
    assert abs(float(levels.mean()) - level) < 0.06
    assert 0 < float(levels.std()) < 0.03

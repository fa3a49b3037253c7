"""The parts of an ascent, each against numbers worked out otherwise."""

import math

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from livecnn.dreams.images import (
    COLORS,
    FourierParametrization,
    PixelParametrization,
    RandomTransforms,
    Regularizers,
    apply_transform,
    clip_smallest,
    gaussian_blur,
    total_variation,
)

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


def test_total_variation() -> None:
    x = torch.tensor([[[[0.0, 1.0, 3.0], [0.0, 0.0, 3.0]]], [[[2.0, 2.0, 2.0], [2.0, 2.0, 2.0]]]])
    assert total_variation(x).tolist() == [1 + 2 + 0 + 3 + 0 + 1 + 0, 0]


def test_the_penalty() -> None:
    x = torch.tensor([[[[0.0, 0.5], [0.25, 0.25]]]])
    given = Regularizers(sparsity=2, variation=3)
    assert float(given.penalty(x, REST)) == pytest.approx(2 * 0.5 + 3 * (0.5 + 0 + 0.25 + 0.25))
    usual = Regularizers(variation=0)
    assert float(usual.penalty(x, torch.zeros(1, 1, 1))) == pytest.approx(0.1 * 1.0)  # on black
    assert float(usual.penalty(x, REST)) == 0  # on gray


def test_decay_goes_to_the_rest() -> None:
    x = torch.tensor([[[[0.25, 1.25, -0.75]]]])
    assert_close(Regularizers(decay=0.1)(x, x, REST, 1), torch.tensor([[[[0.25, 1.15, -0.65]]]]))


def test_blur_comes_every_few_steps() -> None:
    x = torch.rand(1, 2, 9, 9, generator=generator())
    given = Regularizers(blur=1.0, blur_every=3)
    assert_close(given(x, x, REST, 2), x)
    assert_close(given(x, x, REST, 3), REST + gaussian_blur(x - REST, 1.0))
    assert not torch.allclose(given(x, x, REST, 3), x)


def test_a_blurred_point_is_a_gaussian() -> None:
    x = torch.zeros(1, 2, 11, 13)
    x[0, 1, 5, 6] = 1
    weights = np.exp(-(np.arange(-3, 4) ** 2) / 2) / np.exp(-(np.arange(-3, 4) ** 2) / 2).sum()
    found = gaussian_blur(x, 1.0)
    assert not found[0, 0].any()
    assert_close(found[0, 1, 2:9, 3:10], torch.tensor(np.outer(weights, weights), dtype=torch.float32))
    assert_close(gaussian_blur(torch.ones(1, 1, 5, 5), 2.0), torch.ones(1, 1, 5, 5))  # nothing fades at the edge


def test_pixels_of_small_norm_are_cleared() -> None:
    x = REST + torch.tensor([[[[0.1, -0.4], [0.3, 0.0]], [[0.0, 0.3], [0.1, 0.2]]]])  # norms .1, .5, .32, .2
    found = Regularizers(norm=0.5)(x, x, REST, 1)
    assert_close(found, REST + torch.tensor([[[[0.0, -0.4], [0.3, 0.0]], [[0.0, 0.3], [0.1, 0.0]]]]))


def test_pixels_of_small_contribution_are_cleared() -> None:
    x = REST + torch.tensor([[[[0.5, 0.1], [-0.5, 0.2]]]])
    slopes = torch.tensor([[[[0.1, 9.0], [-2.0, 0.2]]]])  # contributions .05, .9, 1, .04
    assert_close(Regularizers(contribution=0.5)(x, slopes, REST, 1), REST + torch.tensor([[[[0.0, 0.1], [-0.5, 0.0]]]]))


def test_each_picture_is_clipped_by_its_own_pixels() -> None:
    x = torch.tensor([1.0, 2, 3, 4, 10, 20, 30, 40]).reshape(2, 1, 2, 2)
    assert clip_smallest(x, x[:, 0], 0.25).flatten().tolist() == [0, 2, 3, 4, 0, 20, 30, 40]


def test_whole_pixels_of_shift_move_the_picture() -> None:
    x = torch.rand(2, 3, 6, 9, generator=generator())
    found = apply_transform(x, (2, -1), 0, 1)
    assert_close(found[..., :5, 2:], x[..., 1:, :7])
    assert_close(found[..., :5, 0], x[..., 1:, 0])  # the edge goes on


def test_a_quarter_turn_is_counter_clockwise() -> None:
    x = torch.rand(1, 1, 7, 7, generator=generator())
    assert_close(apply_transform(x, (0, 0), 90, 1), x.rot90(1, (2, 3)), atol=1e-5, rtol=0)
    wide = torch.zeros(1, 1, 20, 40)
    wide[..., 9:11, 20:26] = 1  # a bar from the middle to the right
    turned = apply_transform(wide, (0, 0), 90, 1)
    assert_close(turned[0, 0, 4:10, 19:21].mean(), torch.tensor(1.0), atol=0.05, rtol=0)  # as long upwards


def test_scaling_enlarges() -> None:
    x = torch.zeros(1, 1, 12, 12)
    x[..., 4:8, 4:8] = 1
    large = apply_transform(x, (0, 0), 0, 2)
    assert_close(large[..., 3:9, 3:9], torch.ones(1, 1, 6, 6))
    assert float(large.sum()) == pytest.approx(4 * 16, rel=0.05)


def test_moves_are_seeded_within_their_range_and_differentiable() -> None:
    x = torch.rand(2, 1, 16, 16, generator=generator()).requires_grad_()
    moves = RandomTransforms(jitter=0.25, rotation=20, scaling=0.2)
    one, other = moves(x, (16, 16), generator()), moves(x, (16, 16), generator())
    assert torch.equal(one, other)
    assert not torch.equal(one, x)
    assert_close(one[1:], moves(x[1:], (16, 16), generator()))  # whatever else is in the batch
    (slope,) = torch.autograd.grad(one.sum(), x)
    assert slope[0].count_nonzero() > 200
    assert RandomTransforms(0, 0, 0)(x, (16, 16), generator()) is x
    source = generator()
    for _ in range(20):
        ramp = torch.arange(64.0).expand(1, 1, 64, 64)
        shift = float((ramp - RandomTransforms(0.25, 0, 0)(ramp, (10, 8), source))[0, 0, 32, 32])
        assert abs(shift) <= 0.25 * 8 + 1e-3

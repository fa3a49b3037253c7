import numpy as np
import pytest
import torch
from torch.testing import assert_close

from livecnn.dreams.regularizers import Regularizers, clip_smallest, gaussian_blur, total_variation
from tests.dreams.test_parametrization import REST, generator


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

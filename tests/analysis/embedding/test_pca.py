import numpy as np
import pytest
import torch

from livecnn.analysis.embedding.projection import MOST, Pca, count, features
from livecnn.analysis.top import Covariance


@pytest.mark.parametrize("shape", [(40, 7), (7, 40), (20, 20)], ids=str)
def test_it_is_that_of_the_singular_value_decomposition(shape: tuple[int, int]) -> None:
    values = np.random.default_rng(0).normal(3, 2, shape).astype(np.float32)
    pca = Pca.of(values, 4)
    _, stretch, axes = np.linalg.svd(values - values.mean(0), full_matrices=False)
    assert pca.components.shape == (4, shape[1])
    assert np.abs(np.einsum("kd,kd->k", pca.components, axes[:4])) == pytest.approx(1, abs=1e-4)
    assert pca.components @ pca.components.T == pytest.approx(np.eye(4), abs=1e-4)
    assert pca.share == pytest.approx((stretch**2 / (stretch**2).sum())[:4], rel=1e-4)
    assert pca(values) == pytest.approx((values - values.mean(0)) @ pca.components.T, abs=1e-4)
    largest = np.abs(pca.components).argmax(1)
    assert (pca.components[np.arange(4), largest] > 0).all()


def test_no_more_components_than_the_values_span() -> None:
    line = np.outer(np.arange(9), [1, 2, 0.5]).astype(np.float32)
    assert len(Pca.of(line, 3).components) == 1
    assert Pca.of(line, 3).share == pytest.approx([1])


def test_none_where_all_are_the_same() -> None:
    pca = Pca.of(np.full((6, 3), 2, np.float32), 3)
    assert pca.components.shape == (0, 3)
    assert pca(np.ones((2, 3), np.float32)).shape == (2, 0)


@pytest.mark.parametrize("shape", [(40, 7), (7, 40)], ids=str)
def test_from_moments_it_is_the_same(shape: tuple[int, int]) -> None:
    values = np.random.default_rng(0).normal(3, 2, shape).astype(np.float32)
    moments = Covariance.none(shape[1])
    for part in np.array_split(values, 3):
        moments.add(part.astype(np.float64))
    found, expected = Pca.from_covariance(moments.mean, moments.products, 4), Pca.of(values, 4)
    for name in ("mean", "components", "share"):
        assert getattr(found, name) == pytest.approx(getattr(expected, name), abs=1e-6)
    alike = Covariance.none(3)
    alike.add(np.full((6, 3), 2.0))
    assert Pca.from_covariance(alike.mean, alike.products, 3).components.shape == (0, 3)


@pytest.mark.parametrize("shape", [(2, 7), (2, 7, 1, 1), (2, 3, 4, 5), (2, MOST)], ids=str)
def test_every_value_of_a_small_activation(shape: tuple[int, ...]) -> None:
    activation = torch.randn(shape)
    assert features(activation).equal(activation.reshape(2, -1))
    assert features(activation).shape[1] == count(shape)


def test_means_of_large_maps() -> None:
    activation = torch.randn(2, 50, 10, 10)
    assert features(activation).allclose(activation.mean((2, 3)))
    assert features(activation.half()).dtype == torch.float32
    assert count(activation.shape) == 50


def test_a_large_vector_stays_large() -> None:
    assert count((1, 2 * MOST)) == 2 * MOST

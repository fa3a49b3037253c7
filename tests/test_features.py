from __future__ import annotations

import pytest
import torch

from livecnn.analysis.embedding.pca import MOST, count, features


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

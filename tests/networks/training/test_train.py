from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import nn

from livecnn.networks.pipelines.ink import InkPipeline
from livecnn.networks.training.train import Hyperparameters, accuracy, preprocess, train
from tests.helpers.mnist_files import Bytes, typeset


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Threads that wait for each other make such small batches slower."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def pictures() -> tuple[Bytes, Bytes]:
    images, labels = typeset(200)
    seen, found = preprocess(images, InkPipeline())
    assert found.all()
    return seen, labels


SHORT = Hyperparameters(epochs=6, batch=10, averaging=0.9)


def test_the_same_seed_gives_the_same_weights(pictures: tuple[Bytes, Bytes]) -> None:
    recipe = Hyperparameters(epochs=1, batch=50)
    first, again, other = (train(*pictures, InkPipeline(), recipe, seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["conv1.weight"], other["conv1.weight"])


def test_training_leaves_the_random_numbers_of_others_alone(pictures: tuple[Bytes, Bytes]) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    train(pictures[0][:20], pictures[1][:20], InkPipeline(), Hyperparameters(epochs=1), 0)
    torch.testing.assert_close(torch.rand(3), expected, rtol=0, atol=0)


def test_it_learns_what_it_was_not_shown(pictures: tuple[Bytes, Bytes]) -> None:
    network = train(*pictures, InkPipeline(), SHORT, 0)
    images, labels = typeset(100, seed=1)
    assert accuracy(network, *preprocess(images, InkPipeline()), labels, InkPipeline()) > 0.9
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_accuracy_counts_what_was_not_found_as_wrong() -> None:
    class First(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return nn.functional.one_hot((x[:, 0, 0, 0] > 0).long(), 10).float()

    seen = np.zeros((4, 28, 28), np.uint8)
    seen[2:, 0, 0] = 255
    labels = np.array([0, 1, 1, 1], np.uint8)
    found = np.array([True, True, True, False])
    assert accuracy(First(), seen, found, labels, InkPipeline()) == 0.5


def test_see_tells_where_there_is_nothing() -> None:
    images, _ = typeset(3)
    images[1] = 0
    seen, found = preprocess(images, InkPipeline())
    assert seen.shape == (3, 28, 28)
    assert found.tolist() == [True, False, True]

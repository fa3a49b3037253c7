import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from livecnn.networks.pipelines.ink import InkPipeline
from livecnn.networks.training.train import Augment, Hyperparameters, accuracy, preprocess, train
from tests.helpers.mnist_files import Bytes, typeset

NOTHING = Augment(
    rotation=0, shear=0, stretch=0, thicken=0, thin=0, bend=0, zoom=0, shift=0, blur=0, light=0, fade=0, noise=0
)  # fmt: skip


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


def only(change: str, strength: float) -> Augment:
    fields: dict[str, Any] = {change: strength}
    return dataclasses.replace(NOTHING, **fields)


def bars(count: int = 64) -> torch.Tensor:
    """Upright bars, 4 x 20 pixels, centred on pixel 14 as MNIST is: float32 (count, 1, 28, 28)."""
    images = torch.zeros(count, 1, 28, 28)
    images[:, :, 4:24, 12:16] = 1
    return images


def random(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def centre(images: torch.Tensor) -> torch.Tensor:
    """Centre of mass in pixels, (N, 2) as x, y."""
    places = torch.arange(28.0)
    mass = images.sum((1, 2, 3))
    return torch.stack([(images.sum((1, 2)) @ places) / mass, (images.sum((1, 3)) @ places) / mass], 1)


def test_shape_type_and_range_stay_and_a_seed_tells_all() -> None:
    changed = Augment()(bars(), random())
    assert changed.shape == (64, 1, 28, 28)
    assert changed.dtype == torch.float32
    assert float(changed.min()) >= 0
    assert float(changed.max()) <= 1
    assert float((changed[0] - changed[1]).abs().max()) > 0.1  # each in its own way
    torch.testing.assert_close(Augment()(bars(), random(3)), Augment()(bars(), random(3)), rtol=0, atol=0)
    assert not torch.equal(Augment()(bars(), random(3)), Augment()(bars(), random(4)))
    assert float(Augment()(torch.zeros(8, 1, 28, 28), random()).max()) == 0


def test_without_any_change_a_digit_in_its_box_stays() -> None:
    torch.testing.assert_close(centre(NOTHING(bars(), random())), torch.full((64, 2), 14.0), rtol=0, atol=0.01)
    assert float((NOTHING(bars(), random()) > 0.5).sum((2, 3)).float().mean()) == pytest.approx(80, abs=21)


def test_a_digit_elsewhere_is_brought_into_its_box() -> None:
    images = torch.zeros(1, 1, 28, 28)
    images[:, :, 2:12, 3:5] = 1
    changed = NOTHING(images, random())
    rows = (changed[0, 0].amax(1) > 0.5).sum()
    assert int(rows) in (19, 20, 21)
    torch.testing.assert_close(centre(changed), torch.full((1, 2), 14.0), rtol=0, atol=0.1)


def test_turned_digits_are_centred_and_as_large_as_before() -> None:
    changed = only("rotation", 40)(bars(), random())
    torch.testing.assert_close(centre(changed), torch.full((64, 2), 14.0), rtol=0, atol=0.2)
    heights = (changed[:, 0].amax(2) > 0.25).sum(1)
    assert int(heights.min()) >= 19
    assert int(heights.max()) <= 21
    widths = (changed[:, 0].amax(1) > 0.25).sum(1)
    assert int(widths.max()) > 10


@pytest.mark.parametrize(("change", "more"), [("thicken", True), ("thin", False), ("fade", False)])
def test_changes_of_one_direction(change: str, more: bool) -> None:
    before = NOTHING(bars(), random()).sum((1, 2, 3))
    after = only(change, 0.9)(bars(), random()).sum((1, 2, 3))
    change_of_mass = after - before if more else before - after
    assert float(change_of_mass.max()) > 10
    assert float(change_of_mass.median()) > -1


@pytest.mark.parametrize("change", ["rotation", "shear", "stretch", "bend", "zoom", "shift", "blur", "light", "noise"])
def test_each_change_changes_something(change: str) -> None:
    strength = 20.0 if change == "rotation" else 0.5
    before = NOTHING(bars(), random())
    after = only(change, strength)(bars(), random())
    assert float((after - before).abs().max()) > 0.05

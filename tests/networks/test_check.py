from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from livecnn import paths
from livecnn.errors import ModelError
from livecnn.networks import bundle as bundles
from livecnn.networks import check as checking
from livecnn.networks.bundle import Bundle, Check, ModelCard

PLAIN = {"kind": "plain", "size": [8, 10], "channels": 3}


def bundle(weight: float = 1.0, **check: Any) -> Bundle:
    """Its scores are the sums of each channel times `weight`."""
    network = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 3, bias=False))
    nn.init.eye_(network[2].weight)  # type: ignore[arg-type]
    network[2].weight.data *= weight
    found = bundles.bundle_from_module(network, "means", classes=["red", "green", "blue"], input=PLAIN)
    card = ModelCard(
        name="means",
        architecture="none",
        weights=bundles.Weights(file="w.pt", sha256="0" * 64),
        input=PLAIN,
        classes=("red", "green", "blue"),
        licence="MIT",
        source="here",
        check=Check(**check) if check else None,
    )
    return replace(found, card=card)


def test_the_sample_is_the_same_everywhere() -> None:
    picture = checking.sample(112, 112)
    assert (picture.shape, picture.dtype) == ((112, 112, 3), np.uint8)
    assert picture[0, 0].tolist() == [200, 210, 240]
    assert picture[-1, -1].tolist() == [239, 210, 181]
    assert picture[56, 30].tolist() == picture[30, 56].tolist() == [40, 30, 60]
    assert picture[56, 56].tolist() == [220, 210, 210]
    assert int(picture.sum()) == 7_082_782


def test_recorded_and_found_again() -> None:
    check = checking.record(bundle())
    assert check["sample"] == [104, 130]  # a whole multiple of the input's size
    assert check["scores"] == pytest.approx((checking.sample(104, 130) / 255).mean((0, 1)), abs=2e-3)
    assert checking.describe_difference(bundle(**check)) == ""
    assert checking.record(bundle(2.0))["scores"] == pytest.approx([2 * score for score in check["scores"]])


@pytest.mark.parametrize(("factor", "differs"), [(1 + 1e-5, False), (1 - 1e-5, False), (1.001, True), (0.0, True)])
@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_small_differences_do_not_count(factor: float, differs: bool, scale: float) -> None:
    check = checking.record(bundle(scale))
    assert bool(checking.describe_difference(bundle(scale * factor, **check))) == differs


def test_what_differs_is_told() -> None:
    check = checking.record(bundle())
    check["scores"][1] += 0.25
    assert checking.describe_difference(bundle(**check)).startswith("the score of 'green' is 0.")
    assert checking.describe_difference(bundle(**{**check, "scores": [0.1]})) == "3 scores, 1 expected"
    assert checking.describe_difference(bundle(torch.nan, **check)).startswith("the score of 'red' is nan, expected")


def test_scores_that_are_no_numbers_are_not_recorded() -> None:
    with pytest.raises(ModelError, match=r"^means: the network gives \[nan, nan, nan\] for a picture; numbers are needed$"):
        checking.record(bundle(torch.nan))


def test_a_card_without_a_check() -> None:
    with pytest.raises(ModelError, match=r"^means: its model\.yaml holds no `check` to compare with$"):
        checking.describe_difference(bundle())
    with pytest.raises(ModelError, match=r"holds no `check`"):
        checking.describe_difference(replace(bundle(), card=None))


@pytest.mark.parametrize("name", paths.bundles())
def test_shipped_networks_give_what_they_gave(name: str) -> None:
    assert checking.describe_difference(bundles.load(name)) == ""


def test_a_dead_map_of_the_shipped_network_is_noticed() -> None:
    lenet = bundles.load("lenet-mnist")
    lenet.module.conv1.weight[0] = 0  # type: ignore[union-attr, index, operator]
    assert checking.describe_difference(lenet).startswith("the score of ")

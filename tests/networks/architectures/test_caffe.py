"""The network of a bundle's card: what a card may say, and what the module does with it."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from livecnn.errors import ModelError
from livecnn.networks.architectures.caffe import Caffe
from livecnn.networks.inspection.probe import layers_of

INPUTS = {"data": [1, 3, 8, 8]}
LAYERS: list[dict[str, Any]] = [
    {"name": "conv", "type": "Convolution", "bottom": "data", "top": "conv", "num_output": 4, "kernel_size": [3]},
    {"name": "relu", "type": "ReLU", "bottom": ["conv"], "top": ["conv"], "negative_slope": 0.0},
    {"name": "drop", "type": "Dropout", "bottom": ["conv"], "top": ["conv"]},
    {"name": "pair", "type": "Slice", "bottom": ["conv"], "top": ["a", "b"]},
    {"name": "abs", "type": "ReLU", "bottom": ["b"], "top": ["b"]},
    {"name": "join", "type": "Concat", "bottom": ["b", "a"], "top": ["join"]},
]


def test_the_arguments_are_told_without_defaults() -> None:
    options = Caffe(LAYERS, INPUTS).options
    assert options["inputs"] == INPUTS
    assert options["layers"][:2] == [
        {"name": "conv", "type": "Convolution", "bottom": "data", "top": "conv", "num_output": 4, "kernel_size": 3},
        {"name": "relu", "type": "ReLU", "bottom": "conv", "top": "conv"},
    ]
    assert Caffe(**options).options == options
    assert Caffe(LAYERS, INPUTS, 0.5).options == {**options, "mean_scale": 0.5}


def test_the_last_layer_in_place_holds_the_blob() -> None:
    assert Caffe(LAYERS, INPUTS).blobs == {"conv": "drop", "pair": "abs"}


def test_layers_by_name_and_shape() -> None:
    network = Caffe(LAYERS, INPUTS).eval()
    shapes = layers_of(network, torch.zeros(2, 3, 8, 8))
    assert {name: shapes[name] for name in ("conv", "relu", "pair.1", "join")} == {
        "conv": (2, 4, 6, 6), "relu": (2, 4, 6, 6), "pair.1": (2, 2, 6, 6), "join": (2, 4, 6, 6),
    }  # fmt: skip
    assert isinstance(network.get_submodule("conv"), nn.Conv2d)
    assert "Concat" in repr(network)


def test_it_is_made_on_the_device_that_is_chosen() -> None:
    with torch.device("meta"):
        assert Caffe(LAYERS, INPUTS).get_submodule("conv").weight.device.type == "meta"
    assert Caffe(LAYERS, INPUTS).get_submodule("conv").weight.device.type == "cpu"


def test_maps_of_one_pixel_are_scores() -> None:
    pooled = {"name": "pool", "type": "Pooling", "bottom": "data", "top": "pool", "pool": "AVE", "global_pooling": True}
    network = Caffe([pooled], INPUTS)
    shapes = layers_of(network, torch.zeros(2, 3, 8, 8))
    assert shapes["pool"] == (2, 3, 1, 1)
    assert network(torch.zeros(2, 3, 8, 8)).shape == (2, 3)


def test_a_mean_picture() -> None:
    network = Caffe([{"name": "flat", "type": "Flatten", "bottom": "data", "top": "flat"}], {"data": [1, 1, 2, 2]}, 0.5)
    network.load_state_dict({"mean": torch.tensor([[[[1.0, 2], [3, 4]]]])})
    assert network(torch.full((2, 1, 2, 2), 5.0)).tolist() == [[2, 1.5, 1, 0.5]] * 2


@pytest.mark.parametrize(
    ("layers", "inputs", "message"),
    [
        ([], INPUTS, r"^layers: found \[\]; allowed: "),
        ([3], INPUTS, r"^layers\.0: found 3; allowed: a mapping"),
        ([{}], INPUTS, r"layer 'None' \(None\): this type is not supported"),
        ([{"type": "ReLU"}], INPUTS, r"layer '1' \(ReLU\): name: nothing found; it is needed"),
        ([{**LAYERS[0], "colour": 1}], INPUTS, r"layer 'conv' \(Convolution\): colour: unknown key; allowed: name, type"),
        ([{**LAYERS[0], "num_output": "4"}], INPUTS, r"num_output: found '4'; allowed: a valid integer"),
        ([{**LAYERS[0], "name": "a.b"}], INPUTS, r"layer 'a\.b': the name of a module is needed: without dots"),
        ([{**LAYERS[0], "name": "forward"}], INPUTS, r"layer 'forward': the name of a module is needed"),
        ([LAYERS[0], LAYERS[0]], INPUTS, r"layer 'conv': another is called so"),
        (LAYERS, {}, r"^inputs: "),
        (LAYERS, {**INPUTS, "label": [1, 1]}, r"^inputs: "),
        (LAYERS, {"data": [1, 3, 0, 8]}, r"^inputs\.data\.2: found 0; allowed: greater than or equal to 1"),
        (LAYERS, {"data": [1]}, r"^inputs\.data: "),
        (LAYERS, None, r"^inputs: found None; allowed: "),
    ],
)
def test_cards_that_are_wrong(layers: list[Any], inputs: Any, message: str) -> None:
    with pytest.raises(ModelError, match=message) as raised:
        Caffe(layers, inputs)
    assert "\ufffd" not in str(raised.value)  # which stands for the end of a line


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats() | st.sampled_from(["data", "conv", "", "ReLU"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["dim", "a"]), inner, max_size=2),
    max_leaves=4,
)


@given(place=st.integers(0, len(LAYERS) - 1), key=st.sampled_from(["name", "type", "bottom", "top", "num_output", "kernel_size",
       "pad", "group", "slice_point", "axis"]), value=VALUES)  # fmt: skip
@settings(deadline=None, max_examples=200)
def test_any_card_makes_a_network_or_a_clear_error(place: int, key: str, value: Any) -> None:
    layers = [dict(layer) for layer in LAYERS]
    layers[place][key] = value
    try:
        network = Caffe(layers, INPUTS)
    except ModelError:
        return
    assert Caffe(**network.options).options == network.options

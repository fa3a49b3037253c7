"""Networks from Caffe and Keras: their ReLUs are found, and their softmax is looked behind."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.testing import assert_close

from livecnn.errors import ModelError
from livecnn.explain.methods.deconvnet import Deconvnet
from livecnn.explain.methods.deconvnet_unpooled import DeconvnetUnpooled
from livecnn.explain.methods.gradient import Gradient
from livecnn.explain.methods.guided_backprop import GuidedBackprop
from livecnn.networks.architectures.caffe import Caffe
from tests.helpers.relu_networks import picture, seeded

CONV = {"type": "Convolution", "num_output": 4, "kernel_size": [3]}
LAYERS: list[dict[str, Any]] = [
    {"name": "conv1", "bottom": "data", "top": "conv1", **CONV},
    {"name": "relu1", "type": "ReLU", "bottom": "conv1", "top": "conv1"},
    {"name": "pool1", "type": "Pooling", "bottom": "conv1", "top": "pool1", "pool": "MAX", "kernel_size": 2, "stride": 2},
    {"name": "norm1", "type": "LRN", "bottom": "pool1", "top": "norm1"},
    {"name": "conv2", "bottom": "norm1", "top": "conv2", **CONV},
    {"name": "relu2", "type": "ReLU", "bottom": "conv2", "top": "conv2"},
    {"name": "all", "type": "Pooling", "bottom": "conv2", "top": "all", "pool": "MAX", "global_pooling": True},
    {"name": "prob", "type": "Softmax", "bottom": "all", "top": "prob"},
]


def caffe() -> Caffe:
    net = Caffe(LAYERS, {"data": [1, 2, 12, 12]})
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter)
    return net


def test_caffe() -> None:
    net, x = seeded(caffe), picture(2, 12, 12)
    assert_close(Gradient(net).explain(x, target=1), Gradient(net, "all").explain(x, [1]))
    units = range(4)
    gradient = Gradient(net, "conv2").explain(x, units)  # the blob: what relu2 left there
    assert torch.equal(gradient, Gradient(net, "relu2").explain(x, units))
    results = [method(net, "conv2").explain(x, units) for method in (GuidedBackprop, Deconvnet, DeconvnetUnpooled)]
    for found in results:
        assert found.any()
        assert not torch.allclose(found, gradient, atol=1e-3)
    assert (DeconvnetUnpooled(net).explain(x, target=1) != 0).float().mean() > 0.9  # both poolings spread


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras' own, of NumPy
def test_keras(tmp_path: Path) -> None:
    from livecnn.networks.importers.keras import KerasImporter
    from tests.helpers.keras_models import keras as library
    from tests.helpers.keras_models import layers, saved

    torch.manual_seed(0)
    model = library.Sequential([
        layers.Input((12, 12, 3)),
        layers.Conv2D(4, 3, activation="relu", name="conv1"),
        layers.MaxPooling2D(2, name="pool1"),
        layers.Conv2D(3, 3, name="conv2"),
        layers.Activation("relu", name="act"),
        layers.Flatten(name="flat"),
        layers.Dense(3, activation="softmax", name="scores"),
    ])  # fmt: skip
    net, x = KerasImporter()([saved(model, tmp_path / "net.keras")]).module.eval(), picture(3, 12, 12)
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter)
    for layer in ("conv2", "act"):
        guided, gradient = (method(net, layer).explain(x, [0, 1]) for method in (GuidedBackprop, Gradient))
        assert guided.shape == (2, 3, 12, 12)
        assert (guided - gradient).abs().max() > 1e-3
    assert_close(Gradient(net).explain(x, target=1), Gradient(net, "scores.linear").explain(x, [1]))
    with pytest.raises(ModelError, match=r"deconvnet_unpooled needs undilated MaxPool2d modules; .*"):
        DeconvnetUnpooled(net, "act").explain(x, [0])

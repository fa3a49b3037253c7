"""The architectures whose weights others publish: shapes, numbers of parameters, names, and what they compute."""

import itertools
import re
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from livecnn import registry
from livecnn.errors import ModelError
from livecnn.networks import bundle as bundles
from livecnn.networks import weights
from livecnn.networks.architectures.alexnet import Alexnet
from livecnn.networks.architectures.resnet import Block, Resnet
from livecnn.networks.architectures.squeezenet import Fire, Squeezenet
from livecnn.networks.architectures.tiny_xception import Main, Reduction, TinyXception
from livecnn.networks.architectures.vgg import Vgg
from livecnn.networks.inspection.probe import Probe, layers_of

# Parameters as https://docs.pytorch.org/vision/stable/models.html tells them.
PARAMETERS = [
    (Vgg, {"depth": 11}, 132_863_336),
    (Vgg, {"depth": 13}, 133_047_848),
    (Vgg, {}, 138_357_544),
    (Vgg, {"depth": 19}, 143_667_240),
    (Alexnet, {}, 61_100_840),
    (Squeezenet, {}, 1_235_496),
    (Resnet, {}, 11_689_512),
    (Resnet, {"depth": 34}, 21_797_672),
    (TinyXception, {}, 421_731),
]


@pytest.mark.parametrize(("network", "options", "count"), PARAMETERS)
def test_number_of_parameters(network: Any, options: dict[str, int], count: int) -> None:
    with torch.device("meta"):
        assert sum(parameter.numel() for parameter in network(**options).parameters()) == count


@pytest.mark.parametrize("network", [Vgg, Alexnet, Squeezenet, Resnet, TinyXception])
def test_nothing_works_in_place_and_every_relu_is_a_module(network: Any) -> None:
    with torch.device("meta"):
        module = network()
    assert not any(getattr(layer, "inplace", False) for layer in module.modules())
    assert any(isinstance(layer, nn.ReLU) for layer in module.modules())
    source = Path(__import__(network.__module__, fromlist=["_"]).__file__).read_text()
    assert not re.search(r"F\.relu|torch\.relu|clamp", source)


@pytest.mark.parametrize(
    ("network", "count", "names"),
    [
        (Vgg, 32, {"features.0.weight": (64, 3, 3, 3), "features.28.bias": (512,), "classifier.6.weight": (1000, 4096)}),
        (Alexnet, 16,
         {"features.0.weight": (64, 3, 11, 11), "features.10.weight": (256, 256, 3, 3), "classifier.1.weight": (4096, 9216)}),
        (Squeezenet, 52,
         {"features.0.weight": (64, 3, 3, 3), "features.3.squeeze.weight": (16, 64, 1, 1),
          "features.12.expand3x3.bias": (256,), "classifier.1.weight": (1000, 512, 1, 1)}),
        (Resnet, 122,
         {"conv1.weight": (64, 3, 7, 7), "layer1.0.conv1.weight": (64, 64, 3, 3), "layer2.0.downsample.0.weight": (128, 64, 1, 1),
          "layer2.0.downsample.1.running_mean": (128,), "layer4.1.bn2.running_var": (512,), "fc.bias": (1000,)}),
    ],
)  # fmt: skip
def test_published_names_and_a_score_a_class(network: Any, count: int, names: dict[str, tuple[int, ...]]) -> None:
    with torch.device("meta"):
        state = network().state_dict()
        assert network(classes=7).eval()(torch.zeros(2, 3, 224, 224)).shape == (2, 7)
    assert {name: tuple(state[name].shape) for name in names} == names
    assert len(state) == count


def test_resnet_without_the_counters_of_its_normalisation() -> None:
    """The published file is older than they are."""
    module = Resnet(classes=2)
    state = {name: tensor + 1 for name, tensor in module.state_dict().items() if not name.endswith("num_batches_tracked")}
    assert len(state) == 102
    weights.load_into(module, state, Path("resnet18.pth"))
    assert torch.equal(module.fc.bias, state["fc.bias"])
    with pytest.raises(ModelError, match=r"missing: bn1\.running_mean$"):
        weights.load_into(module, {name: tensor for name, tensor in state.items() if name != "bn1.running_mean"}, Path("x.pth"))


@pytest.mark.parametrize(("network", "allowed"), [("vgg", "11, 13, 16, 19"), ("resnet", "18, 34")])
def test_a_depth_that_there_is_not(network: str, allowed: str) -> None:
    with pytest.raises(ValueError, match=f"^depth 12; allowed: {allowed}$"):
        registry.find("networks.architectures", network, ModelError)(depth=12)


def test_a_bundle_says_which_depth(tmp_path: Path) -> None:
    card = {
        "name": "small", "architecture": "squeezenet", "options": {"classes": 3}, "input": {"kind": "plain", "size": [64, 64]},
        "classes": ["a", "b", "c"], "licence": "MIT", "source": "random numbers",
    }  # fmt: skip
    module = Squeezenet(classes=3).eval()
    bundle = bundles.load(bundles.save(tmp_path / "small", module, card))
    x = torch.rand(1, 3, 64, 64)
    assert torch.equal(bundle.module(x), module(x))
    card_file = tmp_path / "small" / "model.yaml"
    card_file.write_text(card_file.read_text().replace("classes: 3", "klasses: 3"))
    with pytest.raises(ModelError, match=r"model\.yaml:\d+: options: .*unexpected keyword argument 'klasses'"):
        bundles.load(tmp_path / "small")


# What they compute, against the functions written out

x = torch.rand(2, 8, 12, 12, generator=torch.Generator().manual_seed(0)) - 0.5


def test_fire() -> None:
    fire = Fire(8, 3, 5)
    squeezed = F.relu(F.conv2d(x, fire.squeeze.weight, fire.squeeze.bias))
    one = F.conv2d(squeezed, fire.expand1x1.weight, fire.expand1x1.bias)
    three = F.conv2d(squeezed, fire.expand3x3.weight, fire.expand3x3.bias, padding=1)
    torch.testing.assert_close(fire(x), F.relu(torch.cat([one, three], 1)))


@pytest.mark.parametrize(("maps", "stride"), [(8, 1), (6, 2)])
def test_residual_block(maps: int, stride: int) -> None:
    block = Block(8, maps, stride).eval()
    for layer in block.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.running_mean)  # type: ignore[arg-type]
            nn.init.uniform_(layer.weight, 0.5, 2)

    def normal(values: torch.Tensor, layer: Any) -> torch.Tensor:
        return F.batch_norm(values, layer.running_mean, layer.running_var, layer.weight, layer.bias)

    change = F.relu(normal(F.conv2d(x, block.conv1.weight, stride=stride, padding=1), block.bn1))
    change = normal(F.conv2d(change, block.conv2.weight, padding=1), block.bn2)
    around: Any = block.downsample
    kept = x if around is None else normal(F.conv2d(x, around[0].weight, stride=stride), around[1])
    torch.testing.assert_close(block(x), F.relu(change + kept))
    assert (around is None) == (stride == 1)


@pytest.mark.parametrize(
    ("network", "pools", "last"), [(Vgg, 5, (1, 512, 7, 7)), (Alexnet, 3, (1, 256, 6, 6)), (Squeezenet, 3, (1, 512, 13, 13))]
)
def test_each_convolution_goes_through_a_relu(network: Any, pools: int, last: tuple[int, ...]) -> None:
    with torch.device("meta"):
        features = network().features
        kinds = [type(layer).__name__ for layer in features]
        assert features(torch.zeros(1, 3, 224, 224)).shape == last
    assert kinds.count("MaxPool2d") == pools
    assert all(after == "ReLU" for kind, after in itertools.pairwise(kinds) if kind == "Conv2d")


def same(values: torch.Tensor, kernel: int, stride: int, fill: float = 0.0) -> torch.Tensor:
    """TensorFlow's SAME padding: what is missing to ceil(size / stride) windows, the odd pixel at the far end."""
    sizes = []
    for size in reversed(values.shape[2:]):
        total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
        sizes += [total // 2, total - total // 2]
    return F.pad(values, sizes, value=fill)


def separable(values: torch.Tensor, layer: Any) -> torch.Tensor:
    maps = F.conv2d(same(values, 3, 1), layer.depthwise.weight, groups=values.shape[1])
    return F.conv2d(maps, layer.pointwise.weight, layer.pointwise.bias)


@pytest.mark.parametrize("first", [True, False])
def test_reduction_block(first: bool) -> None:
    block = Reduction(8, 5, first=first)
    maps = separable(F.relu(separable(x if first else F.relu(x), block.separable_conv0)), block.separable_conv1)
    maps = F.max_pool2d(same(maps, 3, 2, -torch.inf), 3, 2)
    around = F.conv2d(same(x, 1, 2), block.expansion_conv.weight, block.expansion_conv.bias, stride=2)
    torch.testing.assert_close(block(x), maps + around)


def test_main_block() -> None:
    block = Main(8)
    maps = x
    for layer in (block.separable_conv0, block.separable_conv1, block.separable_conv2):
        maps = separable(F.relu(maps), layer)
    torch.testing.assert_close(block(x), maps + x)


def test_tiny_xception_pads_its_first_convolution_at_the_far_ends() -> None:
    network = TinyXception().eval()
    picture = torch.rand(1, 3, 112, 112)
    with Probe(network, ["entry_flow.conv_in"]) as probe:
        maps = probe(picture)[1]["entry_flow.conv_in"]
    conv = network.entry_flow.conv_in
    torch.testing.assert_close(maps, F.conv2d(same(picture, 3, 2), conv.weight, conv.bias, stride=2))


def test_tiny_xception_gives_gender_as_scores_and_age_as_a_layer() -> None:
    shapes = layers_of(TinyXception().eval(), torch.zeros(2, 3, 112, 112))
    assert (shapes["prob"], shapes["age"]) == ((2, 2), (2, 1))
    assert shapes["entry_flow.conv_in"] == (2, 32, 56, 56)
    assert shapes["exit_flow.separable_conv.pointwise"] == (2, 512, 7, 7)
    scores = TinyXception().eval()(torch.rand(2, 3, 112, 112))
    torch.testing.assert_close(scores.sum(1), torch.ones(2))

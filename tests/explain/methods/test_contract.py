"""What every method promises, the errors it tells, and what each shows by itself."""

import copy
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.testing import assert_close

from livecnn import registry
from livecnn.errors import ModelError, UsageError
from livecnn.explain import backprop as _backprop
from livecnn.explain.base import Method
from livecnn.explain.methods import method_class
from livecnn.explain.methods.deconvnet import Deconvnet
from livecnn.explain.methods.deconvnet_unpooled import DeconvnetUnpooled
from livecnn.explain.methods.grad_cam import GradCam
from livecnn.explain.methods.gradient import Gradient
from livecnn.explain.methods.guided_backprop import GuidedBackprop
from livecnn.explain.methods.integrated_gradients import IntegratedGradients
from livecnn.explain.methods.occlusion import Occlusion
from livecnn.networks.architectures.caffe import Caffe
from livecnn.networks.architectures.lenet import Lenet
from livecnn.networks.inspection.probe import Probe
from tests.helpers.paths import ROOT
from tests.helpers.relu_networks import Reused, picture, seeded, untouched

KINDS = registry.kinds("explain.methods")
OF_UNITS = [kind for kind in KINDS if kind != "grad_cam"]
OF_CLASSES = [kind for kind in KINDS if kind != "activation"]


def method(kind: str, *given: Any) -> Method:
    """Make a method; integrated gradients with few steps, which do here."""
    few = {"steps": 8} if kind == "integrated_gradients" else {}
    return method_class(kind)(*given, **few)


@pytest.fixture
def net() -> nn.Module:
    return seeded(Reused)


@pytest.fixture
def x() -> torch.Tensor:
    return picture(2, 13, 12)


def test_the_kinds() -> None:
    assert KINDS == (
        "activation", "deconvnet", "deconvnet_unpooled", "grad_cam", "gradient", "guided_backprop", "integrated_gradients",
        "occlusion",
    )  # fmt: skip
    assert [method(kind, Lenet()).kind for kind in KINDS] == list(KINDS)


@pytest.mark.parametrize("kind", OF_UNITS)
def test_a_picture_a_unit_in_their_order(kind: str, net: nn.Module, x: torch.Tensor) -> None:
    explain = method(kind, net, "conv3").explain
    found = explain(x, [4, 0, 2, 0])
    assert found.shape in ((4, 2, 13, 12), (4, 1, 13, 12))
    assert not found.requires_grad
    assert_close(found, torch.cat([explain(x, [unit]) for unit in (4, 0, 2, 0)]), rtol=1e-5, atol=1e-6)
    assert len({tuple(one.flatten().tolist()) for one in found[:3]}) == 3


@pytest.mark.parametrize("kind", OF_CLASSES)
def test_a_picture_of_a_class(kind: str, net: nn.Module, x: torch.Tensor) -> None:
    found = method(kind, net, "conv2").explain(x, target=1)
    assert found.shape in ((1, 2, 13, 12), (1, 1, 13, 12))
    assert not torch.equal(found, method(kind, net, "conv2").explain(x, target=2))


@pytest.mark.parametrize("kind", KINDS)
def test_network_and_input_stay_as_they_are(kind: str, net: nn.Module, x: torch.Tensor) -> None:
    before, wanted = x.clone(), {"target": 0} if kind == "grad_cam" else {"units": [0]}
    scores = net.train()(x)
    for recorded in (torch.no_grad(), torch.inference_mode(), torch.enable_grad()):
        with recorded:
            found = method(kind, net, "conv2").explain(x, **wanted)
        assert not found.requires_grad
    assert torch.equal(x, before)
    assert not x.requires_grad
    assert net.training
    assert torch.equal(net(x), scores)
    assert untouched(net)
    with pytest.raises(RuntimeError, match="channels"):
        method(kind, net, "conv2").explain(picture(3, 13, 12), **wanted)
    assert untouched(net)


@pytest.mark.parametrize("kind", KINDS)
def test_the_input_may_be_an_inference_tensor(kind: str, net: nn.Module) -> None:
    with torch.inference_mode():
        x = picture(2, 13, 12) + 0
    wanted = {"target": 0} if kind == "grad_cam" else {"units": [0]}
    assert method(kind, net, "conv2").explain(x, **wanted).any()


@pytest.mark.parametrize("kind", OF_UNITS)
def test_units_that_are_no_maps(kind: str, x: torch.Tensor) -> None:
    net = seeded(Reused)
    if kind == "activation":
        with pytest.raises(ModelError, match="activation needs a layer that gives maps; 'fc' gives 4 values"):
            method(kind, net, "fc").explain(x, [0])
    else:
        assert method(kind, net, "fc").explain(x, [3, 1]).shape[0] == 2


def test_errors_of_the_caller(net: nn.Module, x: torch.Tensor) -> None:
    def told(match: str, error: type[Exception] = UsageError) -> Any:
        return pytest.raises(error, match=match)

    for kind in OF_UNITS:
        with told("unit 5: conv3 has 5 \\(0-4\\)"):
            method(kind, net, "conv3").explain(x, [0, 5])
        with told("units"):
            method(kind, net, "conv3").explain(x, [1], target=0)
        with told("units"):
            method(kind, net, "conv3").explain(x)
        with told("units are those of a layer; found none"):
            method(kind, net).explain(x, [0])
    for kind in OF_CLASSES:
        with told("class 4: the network has 4 \\(0-3\\)"):
            method(kind, net, "conv3").explain(x, target=4)
    for kind in KINDS:
        for wrong in (x[0], x.repeat(2, 1, 1, 1)):
            with told("one picture \\(1, C, H, W\\) is needed"):
                method(kind, net, "conv3").explain(wrong, [0])
        with told("unknown layer 'conv9'; did you mean", ModelError):
            method(kind, net, "conv9").explain(x, [0])
    with told("class 2: the network has 2"):
        Gradient(nn.Conv2d(2, 2, 3)).explain(x, target=2)
    with told("layer '0' gives the shape \\(312,\\); a tensor"):
        Gradient(nn.Sequential(nn.Flatten(0), nn.Unflatten(0, (1, 312))), "0").explain(x, [0])


def test_positions(net: nn.Module, x: torch.Tensor) -> None:
    with Probe(net, ["conv2"]) as probe:
        maps = probe(x)[1]["conv2"][0]
    row, column = divmod(int(maps[3].argmax()), maps.shape[2])
    assert torch.equal(Gradient(net, "conv2").explain(x, [3]), Gradient(net, "conv2", at=(row, column)).explain(x, [3]))
    everywhere = [
        Gradient(net, "conv2", at=(row, column)).explain(x, [3])
        for row in range(maps.shape[1])
        for column in range(maps.shape[2])
    ]
    assert_close(Gradient(net, "conv2", at="sum").explain(x, [3]), torch.stack(everywhere).sum(0))
    corner = Gradient(net, "conv1", at=(0, 0)).explain(x, [0])[0]
    assert corner[:, :2, :2].all()
    assert not corner[:, 2:].any()
    assert not corner[:, :, 2:].any()


@pytest.mark.parametrize(
    ("at", "layer", "match"),
    [
        ((6, 0), "conv2", "at: found \\(6, 0\\); maps of 'conv2' have rows 0-5 and columns 0-5"),
        ((0, -1), "conv2", "at: found"),
        ((0, 0), "fc", "'fc' gives no maps; allowed: 'max', 'sum'"),
        ("min", "conv2", "at: found 'min'; allowed: 'max', 'sum', \\(row, column\\)"),
        ((1,), "conv2", "at: found \\(1,\\)"),
    ],
)
def test_positions_that_are_none(net: nn.Module, x: torch.Tensor, at: Any, layer: str, match: str) -> None:
    with pytest.raises(UsageError, match=match):
        Gradient(net, layer, at=at).explain(x, [0])


@pytest.mark.parametrize(
    ("ending", "looked_behind"),
    [
        (lambda s: s.softmax(1), True),
        (lambda s: F.log_softmax(input=s, dim=1), True),
        (lambda s: torch.softmax(s[:, :, None, None], 1).flatten(1), True),
        (lambda s: s.softmax(1) * 2, False),
        (lambda s: s.sigmoid(), True),
        (lambda s: s * s.softmax(1).sum(), False),
    ],
)
def test_what_counts_as_a_last_activation(ending: Any, looked_behind: bool, net: nn.Module, x: torch.Tensor) -> None:
    class Ending(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = net

        def forward(self, x: torch.Tensor) -> Any:
            return ending(self.net(x))

    leaf = x.clone().requires_grad_()
    scores = net(leaf) if looked_behind else Ending()(leaf)
    assert_close(Gradient(Ending()).explain(x, target=1), torch.autograd.grad(scores[0, 1], leaf)[0])


def test_layers_by_every_name_that_a_probe_takes(x: torch.Tensor) -> None:
    class Named(Reused):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(torch.sigmoid(x))

    net = seeded(Named)
    for layer in ("sigmoid", "relu:2", "conv1", "mean"):
        assert Gradient(net, layer).explain(x, [1]).any()
        assert GuidedBackprop(net, layer).explain(x, [1]).any()


def test_the_network_may_write_over_its_input(x: torch.Tensor) -> None:
    class Centred(nn.Sequential):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x.sub_(1))  # type: ignore[no-any-return]

    net, before = Centred(nn.Conv2d(2, 3, 3)), x.clone()
    for kind in ("gradient", "integrated_gradients", "occlusion", "activation"):
        assert method(kind, net, "0").explain(x, [0]).any()
    assert torch.equal(x, before)


def test_units_go_in_as_many_goes_as_memory_asks_for(net: nn.Module, x: torch.Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = GuidedBackprop(net, "conv3").explain(x, range(5))
    goes = []
    together = _backprop._batched_gradients
    monkeypatch.setattr(_backprop, "_batched_gradients", lambda *given: goes.append(len(given[2])) or together(*given))
    monkeypatch.setattr(_backprop, "MOST_VALUES", 2 * 6 * 13 * 12)  # conv1 gives 6 maps of 13 x 12
    assert_close(GuidedBackprop(net, "conv3").explain(x, range(5)), whole)
    assert goes == [2, 2, 1]
    monkeypatch.setattr(_backprop, "MOST_VALUES", 1)
    assert_close(GuidedBackprop(net, "conv3").explain(x, range(5)), whole)
    assert goes[3:] == [1] * 5


@pytest.mark.parametrize("kind", ["gradient", "guided_backprop", "integrated_gradients"])
def test_a_way_back_that_is_cut_is_told(kind: str, x: torch.Tensor) -> None:
    class Cut(nn.Sequential):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x.detach())  # type: ignore[no-any-return]

    for net in (Cut(nn.Conv2d(2, 3, 3)), Cut(nn.Conv2d(2, 3, 3)).requires_grad_(False)):
        with pytest.raises(ModelError, match=f"{kind} needs a way back to the input"):
            method(kind, net, "0").explain(x, [0])


def test_the_examples_of_the_page_run(capsys: pytest.CaptureFixture[str]) -> None:
    page = (ROOT / "docs" / "explain.md").read_text(encoding="utf-8")
    names: dict[str, Any] = {"rgb": np.full((28, 28, 3), 200, np.uint8)}
    for example in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        exec(example, names)
    assert capsys.readouterr().out == 4 * "(50, 1, 28, 28)\n"
    assert names["apart"].conv1.weight is names["model"].module.conv1.weight
    assert all(f"| `{kind}` |" in page for kind in KINDS)


# What each method shows by itself


def test_grad_cam(net: nn.Module, x: torch.Tensor) -> None:
    best = int(net(x).argmax())
    cam = GradCam(net, "last")
    assert torch.equal(cam.explain(x), cam.explain(x, target=best))
    assert torch.equal(cam.explain(x), cam.explain(x, range(5)))
    assert (cam.explain(x, [2]) >= 0).all()
    for layer, match in (("fc", "'fc' gives 4 values"), ("mean", "'mean' gives 5 values")):
        with pytest.raises(ModelError, match=f"grad_cam needs a layer that gives maps; {match}"):
            GradCam(net, layer).explain(x)
    with pytest.raises(ModelError, match="grad_cam needs a layer that gives maps"):
        GradCam(net).explain(x)


def test_grad_cam_of_a_layer_that_does_not_lead_to_the_scores(x: torch.Tensor) -> None:
    class Aside(Reused):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.pool(x)
            return super().forward(x.detach())

    net = seeded(Aside)
    for frozen in (False, True):
        with pytest.raises(ModelError, match="grad_cam needs a way from the layer to the scores; 'pool:1' has none"):
            GradCam(net.requires_grad_(not frozen), "pool:1").explain(x)


def test_occlusion_refines_what_it_shows(net: nn.Module, x: torch.Tensor) -> None:
    occlusion = Occlusion(net, "conv3", patch=3, stride=1)
    results = list(occlusion.refine(x, [0, 1]))
    assert [tuple(result.shape) for result in results] == [(2, 1, 13, 12)] * 4
    errors = [float((result - results[-1]).abs().sum()) for result in results]
    assert errors[0] > errors[2] > errors[3] == 0
    assert torch.equal(results[-1], occlusion.explain(x, [0, 1]))


def test_where_occlusion_has_not_looked_yet_its_neighbour_counts() -> None:
    """Every patch covers nine ones, so all results are the same everywhere."""
    net = nn.Sequential(nn.Conv2d(1, 1, 1, bias=False))
    nn.init.ones_(net[0].weight)
    for result in Occlusion(net, "0", at="sum", patch=3, stride=3).refine(torch.ones(1, 1, 30, 30), [0]):
        assert_close(result, torch.full((1, 1, 30, 30), 9.0))


def test_occlusion_looks_at_every_patch_once(x: torch.Tensor) -> None:
    pictures: list[torch.Tensor] = []

    class Watched(Reused):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            pictures.extend(x.clone())
            return super().forward(x)

    Occlusion(seeded(Watched), "conv3", patch=4, stride=3, fill=7).explain(x, [0])
    covered = [tuple((one[0] == 7).nonzero()[0].tolist()) for one in pictures[1:]]
    assert sorted(covered) == [(row, column) for row in (0, 3, 6, 9) for column in (0, 3, 6, 9)]
    assert {int((one[0] == 7).sum()) for one in pictures[1:]} == {16, 12}  # cut off at the right


def test_between_two_results_of_occlusion_the_network_is_as_it_was(net: nn.Module, x: torch.Tensor) -> None:
    steps = Occlusion(net, "conv3").refine(x, [0])
    next(steps)
    assert untouched(net)
    assert torch.is_grad_enabled()
    with Probe(net, ["conv1"]) as probe:
        probe(x)
    assert next(steps).any()


@pytest.mark.parametrize(("patch", "stride"), [(0, 1), (3, 0), (3, 4), (-2, None)])
def test_patches_that_are_none(net: nn.Module, x: torch.Tensor, patch: int, stride: int | None) -> None:
    with pytest.raises(UsageError, match="allowed: a patch of 1 or more, a stride from 1 to the patch"):
        Occlusion(net, "conv3", patch=patch, stride=stride).explain(x, [0])


def test_a_patch_larger_than_the_picture(net: nn.Module, x: torch.Tensor) -> None:
    found = Occlusion(net, "fc", patch=40, stride=5).explain(x, [0])
    drop = net(x)[0, 0] - net(torch.zeros_like(x))[0, 0]
    assert_close(found, drop.detach().expand_as(found))


def test_integrated_gradients_are_complete(net: nn.Module, x: torch.Tensor) -> None:
    found = IntegratedGradients(net, "fc", baseline=0.5, steps=200).explain(x, range(4))
    difference = (net(x) - net(torch.full_like(x, 0.5)))[0].detach()
    assert_close(found.sum((1, 2, 3)), difference, rtol=0.02, atol=0.002)
    for steps in (0, 1001):
        with pytest.raises(UsageError, match=f"steps: found {steps}; allowed: 1 to 1000"):
            IntegratedGradients(net, "fc", steps=steps).explain(x, [0])


# Networks from Caffe and Keras: their ReLUs are found, and their softmax is looked behind

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
    spread = DeconvnetUnpooled(net, "act", at=(0, 0)).explain(x, [0])
    assert_close(spread, DeconvnetUnpooled(net, "act", at=(0, 0)).explain(torch.rand_like(x), [0]))  # of no picture's switches
    assert spread.any()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("kind", ["gradient", "guided_backprop", "grad_cam", "occlusion"])
def test_weights_of_other_types_are_explained_as_they_are(kind: str, dtype: torch.dtype, net: nn.Module, x: torch.Tensor) -> None:
    layer = next(name for name, inner in net.named_modules() if isinstance(inner, nn.Conv2d))
    asked = {"target": 1} if kind == "grad_cam" else {"units": [0]}
    wanted = method_class(kind)(net, layer).explain(x, **asked)
    found = method_class(kind)(copy.deepcopy(net).to(dtype), layer).explain(x, **asked)
    assert_close(
        found.float() / wanted.abs().max(), wanted / wanted.abs().max(), rtol=0, atol=1e-5 if dtype == torch.float64 else 0.05
    )


class OneByOne(nn.Module):
    """Looks at its batch: it takes one picture, and flattens it by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(2, 3, 3, padding=1), nn.Linear(3 * 64, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        assert len(x) == 1
        score: torch.Tensor = self.head(self.conv(x).view(x.size(0), -1))
        return score


@pytest.mark.parametrize("side", [2, 4, 8])
def test_occlusion_of_few_patches_and_of_a_network_that_takes_one_picture(side: int) -> None:
    net, x = seeded(OneByOne), picture(2, 8, 8)
    found = Occlusion(net, patch=side, stride=side).explain(x, target=1)
    for row, column in ((0, 0), (8 - side, 8 - side)):
        covered = x.clone()
        covered[..., row : row + side, column : column + side] = 0
        assert_close(found[0, 0, row, column], (net(x) - net(covered))[0, 1].detach())

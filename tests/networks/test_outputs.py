import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from livecnn.app.watch import watch
from livecnn.dreams.api import dream
from livecnn.errors import ModelError
from livecnn.explain.api import explanations
from livecnn.networks.bundle import bundle_from_module, load, save
from livecnn.networks.inspection.probe import Probe
from livecnn.networks.outputs import Output
from tests.helpers.files import rows_of

INPUT = {"kind": "plain", "size": [8, 8], "channels": 3}
Ending = Callable[[torch.Tensor], torch.Tensor]


class Net(nn.Module):
    """Some units with weights, then a function."""

    input = INPUT

    def __init__(self, units: int, ending: Ending) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 4, 3), nn.Linear(4 * 36, units)
        self.ending = ending

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.ending(self.head(self.conv(x).relu().flatten(1)))


def pooled(tail: Ending = lambda maps: maps) -> nn.Sequential:
    class Tail(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return tail(x)

    return nn.Sequential(nn.Conv2d(3, 5, 3), Tail(), nn.AdaptiveAvgPool2d(1), nn.Flatten())


@pytest.mark.parametrize(
    ("units", "ending", "kind"),
    [
        (5, lambda s: s, "logits"),
        (5, lambda s: s / 0.1 + 3, "logits"),
        (5, nn.BatchNorm1d(5), "logits"),
        (5, lambda s: s.softmax(1), "softmax"),
        (5, lambda s: torch.softmax(s[:, :, None, None], 1).squeeze(3).squeeze(2), "softmax"),
        (5, lambda s: s.exp() / s.exp().sum(1, keepdim=True), "softmax"),
        (1, lambda s: torch.cat([1 - s.sigmoid(), s.sigmoid()], 1), "softmax"),
        (5, nn.LogSoftmax(1), "log_softmax"),
        (5, nn.Sigmoid(), "sigmoid"),
        (1, lambda s: s.sigmoid(), "sigmoid"),
        (5, nn.Hardsigmoid(), "sigmoid"),
        (1, lambda s: s, "numbers"),
        (1, nn.Softmax(1), "numbers"),
        (5, nn.Tanh(), "numbers"),
        (5, nn.ReLU(), "numbers"),
        (5, lambda s: 100 * s.sigmoid(), "numbers"),
        (5, lambda s: torch.cat([s[:, :2].sigmoid(), s[:, 2:].softmax(1)], 1), "numbers"),
        (5, lambda s: s.detach(), "numbers"),
    ],
)
def test_the_last_function_tells(units: int, ending: Ending, kind: str) -> None:
    bundle = bundle_from_module(Net(units, ending))
    assert bundle.output.kind == kind
    assert bool(bundle.assumption) == (kind == "numbers")


@pytest.mark.parametrize(("classes", "kind"), [(None, "numbers"), (list("abcde"), "logits")])
def test_pooled_features_are_scores_where_they_have_names(classes: list[str] | None, kind: str) -> None:
    """SqueezeNet ends so; features of a network without its head do, too."""
    assert bundle_from_module(pooled(torch.relu), classes=classes, input=INPUT).output.kind == kind
    assert bundle_from_module(pooled(), input=INPUT).output.kind == "logits"


def test_parameters_of_inference_mode_hide_nothing() -> None:
    with torch.inference_mode():
        net = Net(3, nn.Softmax(1))
    assert bundle_from_module(net).output.kind == "softmax"


@pytest.mark.parametrize(
    ("kind", "given", "reading", "scores"),
    [
        ("softmax", [0.2, 0.3, 0.5], "distribution", [0.2, 0.3, 0.5]),
        ("softmax", [0.2, 0.3, 0.51], "distribution", [0.2, 0.3, 0.51]),  # as bfloat16 rounds; never twice
        ("logits", [2.0, 0.0], "distribution", [0.880797, 0.119203]),
        ("logits", [0.0, math.nan], "distribution", [math.nan, math.nan]),
        ("log_softmax", [math.log(0.9), math.log(0.1)], "distribution", [0.9, 0.1]),
        ("sigmoid", [0.018], "distribution", [0.982, 0.018]),
        ("sigmoid", [0.9, 0.8, 0.1], "labels", [0.9, 0.8, 0.1]),
        ("sigmoid_logits", [0.0, 2.0], "labels", [0.5, 0.880797]),
        ("sigmoid_logits", [2.0], "distribution", [0.119203, 0.880797]),
        ("numbers", [-25.0, 0.098], "numbers", [-25.0, 0.098]),
    ],
)
def test_scores_by_hand(kind: Any, given: list[float], reading: str, scores: list[float]) -> None:
    output = Output(kind, len(given))
    assert output.reading == reading
    assert output.scores(torch.tensor([given], dtype=torch.float64))[0].tolist() == pytest.approx(scores, abs=1e-6, nan_ok=True)


@pytest.mark.parametrize(
    ("names", "classes"),
    [(None, ("0", "1")), (["cat", "dog"], ("cat", "dog")), (["envelope"], ("not envelope", "envelope"))],
)
def test_a_single_unit_has_two_sides(names: list[str] | None, classes: tuple[str, ...]) -> None:
    assert bundle_from_module(Net(1, nn.Sigmoid()), classes=names).classes == classes


def test_too_many_names() -> None:
    with pytest.raises(ModelError, match=r"^Net: the network gives scores of shape \(1, 1\); \(1, 3\) is needed for 3 classes$"):
        bundle_from_module(Net(1, nn.Sigmoid()), classes=list("abc"))


def test_what_is_said_counts() -> None:
    net = Net(1, lambda s: s)
    assert bundle_from_module(net, output="sigmoid_logits").output == Output("sigmoid_logits", 1)
    net.output = {"kind": "sigmoid_logits"}  # type: ignore[assignment]
    said = bundle_from_module(net)
    assert (said.output.kind, said.classes, said.assumption) == ("sigmoid_logits", ("0", "1"), "")
    with pytest.raises(ModelError, match=r"^Net: unknown output 'odds'; allowed: softmax, log_softmax, "):
        bundle_from_module(net, output="odds")
    with pytest.raises(ModelError, match=r"output\.kind: found 'odds'; allowed: softmax, log_softmax, "):
        bundle_from_module(net, output={"kind": "odds"})
    with pytest.raises(ModelError, match=r"^Net: its `output` is a int; allowed: softmax, .*, or a dict as in model\.yaml"):
        bundle_from_module(net, output=3)  # type: ignore[arg-type]


def test_a_card_says_it(tmp_path: Path) -> None:
    bundle = load("lenet-mnist")
    assert bundle.card is not None
    assert bundle.output.kind == "softmax"
    card = bundle.card.model_dump(mode="json", exclude={"weights", "check"})
    folder = save(tmp_path / "net", bundle.module, {**card, "output": {"kind": "sigmoid"}})
    assert load(folder).output == Output("sigmoid", 10)


class Several(nn.Module):
    """Features, logits of four, probabilities of three, and a single number."""

    input = INPUT

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.four, self.three, self.one = nn.Conv2d(3, 4, 3), nn.Linear(144, 4), nn.Linear(144, 3), nn.Linear(144, 1)

    def forward(self, x: torch.Tensor) -> dict[str, Any]:
        found = self.conv(x).relu().flatten(1)
        return {"age": self.one(found), "logits": self.four(found), "heads": [self.three(found).softmax(1)]}


def test_the_softmax_among_several_outputs_is_the_answer() -> None:
    bundle = bundle_from_module(Several().eval())
    assert bundle.output == Output("softmax", 3, "heads.0")
    x = torch.rand(1, 3, 8, 8)
    given = bundle.module(x)
    with Probe(bundle.module, ["conv"], bundle.output.name) as probe:
        torch.testing.assert_close(probe(x)[0], given["heads"][0])


@pytest.mark.parametrize(("name", "kind", "units"), [("logits", "logits", 4), ("age", "numbers", 1), ("heads.0", "softmax", 3)])
def test_another_output_can_be_chosen(name: str, kind: Any, units: int) -> None:
    chosen = bundle_from_module(Several(), output=name)
    assert (chosen.output.kind, chosen.output.units, len(chosen.classes)) == (kind, units, units)
    assert bundle_from_module(Several(), output={"name": name, "kind": "numbers"}).output.reading == "numbers"
    with pytest.raises(ModelError, match=r"^Several: unknown output 'ages'; did you mean 'age'\?"):
        bundle_from_module(Several(), output="ages")


def test_a_run_and_explanations_are_of_the_chosen_output(tmp_path: Path) -> None:
    net = Several().eval()
    watch(net, output="logits", source="demo", headless=True, frames=1, scores=tmp_path / "s.csv")
    header, row = rows_of(tmp_path / "s.csv")
    assert header[5:] == list("0123")
    assert sum(map(float, row[5:])) == pytest.approx(1, abs=1e-5)
    net.output = "logits"  # type: ignore[assignment]
    image = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    found = explanations(net, image, classes="0-3", method="gradient").parts[0]
    logits = net(bundle_from_module(net).prepare(image))["logits"][0]
    assert found.values.tolist() == pytest.approx(logits.tolist(), abs=1e-5)


class Maps(nn.Module):
    """A few maps, then a function."""

    input = INPUT

    def __init__(self, maps: int, ending: Ending = lambda maps: maps) -> None:
        super().__init__()
        self.conv, self.ending = nn.Conv2d(3, maps, 3), ending

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.ending(self.conv(x))


@pytest.mark.parametrize(
    ("maps", "ending", "kind"),
    [
        (5, lambda m: m, "class_maps"),
        (5, lambda m: nn.functional.interpolate(m, scale_factor=2, mode="bilinear"), "class_maps"),
        (2, lambda m: m.softmax(1), "class_maps"),
        (3, lambda m: m, "maps"),  # colors
        (1, lambda m: m.sigmoid(), "maps"),
        (64, lambda m: m.relu(), "maps"),  # features
        (5, lambda m: m.flatten(2).transpose(1, 2), "maps"),
    ],
)
def test_maps_are_told_apart(maps: int, ending: Ending, kind: str) -> None:
    bundle = bundle_from_module(Maps(maps, ending).eval())
    assert bundle.output.kind == kind
    assert bundle.assumption == ""
    assert len(bundle.classes) == bundle.output.units


def test_three_maps_with_names_are_classes() -> None:
    assert bundle_from_module(Maps(3), classes=["sky", "road", "car"]).output.kind == "class_maps"


def test_scores_of_maps_by_hand() -> None:
    given = torch.tensor([[[[0.9, 0.1], [0.1, 0.1]], [[0.0, 0.2], [0.3, 0.0]], [[0.0, 0.0], [0.0, 0.0]]]])
    shares = Output("class_maps", 3)
    assert shares.scores(given).tolist() == [[0.5, 0.5, 0.0]]
    picture = shares.picture(given)
    assert picture is not None
    assert picture.tolist() == [[0, 1], [1, 0]]
    assert Output("maps", 3).scores(given)[0].tolist() == pytest.approx([0.3, 0.125, 0.0])
    colors = Output("maps", 3).picture(given)
    assert colors is not None
    assert colors.shape == (2, 2, 3)
    assert Output("maps", 64).picture(torch.zeros(1, 64, 2, 2)) is None


@pytest.mark.parametrize("maps", [1, 5, 64])
def test_networks_that_give_maps_go_everywhere(tmp_path: Path, maps: int) -> None:
    net = Maps(maps).eval()
    watch(net, source="demo", headless=True, frames=2, scores=tmp_path / "s.csv", record=tmp_path / "film.gif")
    assert len(rows_of(tmp_path / "s.csv")[1]) == 5 + maps
    image = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    x = bundle_from_module(net).prepare(image).requires_grad_()
    (slope,) = torch.autograd.grad(net(x)[0, 0].mean(), x)
    found = explanations(net, image, classes=[0], method="gradient").parts[0]
    torch.testing.assert_close(torch.from_numpy(found.maps), slope)
    assert dream(net, "conv", [0], steps=2).images.shape[0] == 1

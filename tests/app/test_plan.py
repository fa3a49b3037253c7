from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from livecnn import paths
from livecnn.app.plan import Plan, load_views, make_context
from livecnn.app.screen.figure import FigureView
from livecnn.errors import ConfigError, LivecnnError, ModelError, SourceError, UsageError
from livecnn.layout.layout import load_layout
from livecnn.networks.bundle import Bundle
from livecnn.networks.pipelines.plain import PlainPipeline
from livecnn.sources.demo import DemoSource
from livecnn.types import Scene

CAMERA = "layout: cam\npanels: {cam: {kind: camera}}\n"
TWO = """models: {ours: lenet-mnist, theirs: MODEL}
layout: a b
panels:
  a: {kind: scores}
  b: {kind: KIND, model: theirs}
"""


@pytest.fixture
def own(tmp_path: Path) -> Path:
    return tmp_path / "own.yaml"


def test_a_plan_holds_all_that_a_run_needs_and_opens_nothing(own: Path) -> None:
    own.write_text(f"source: folder:{own.parent}/missing\n{CAMERA}")
    plan = Plan.of(str(own))
    assert plan.layout.path == own
    assert plan.views == [plan.layout]
    assert plan.bundle.name == plan.context.model == "lenet-mnist"
    assert plan.context.shapes["conv1"] == (1, 20, 24, 24)
    assert plan.source.address.endswith("missing")
    assert isinstance(Plan.of(str(own), source="demo").source, DemoSource)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"model: lenet-mnst\n{CAMERA}", "own.yaml:1: model: lenet-mnst: .*did you mean 'lenet-mnist'"),
        (f"name: x\nsource: fulder:x\n{CAMERA}", "own.yaml:2: source: source 'fulder:x': .*did you mean 'folder'"),
        ("layout: n\npanels:\n  n: {kind: neurons, layer: ip2, sort_by_class: 3}", "own.yaml:3: panels.n.sort_by_class: found 3"),
        ("layout: m\npanels:\n  m: {kind: feature_maps, layer: conv9}", "own.yaml:3: panels.m.layer: unknown layer 'conv9'"),
        (f"views: [sorted]\n{CAMERA}", r"sorted\.yaml:3: panels\.n\.sort_by_class"),  # found before it is opened
        (f"views: [lenet]\nmodel: other\n{CAMERA}", "own.yaml:1: views.0: .*shows the model 'lenet-mnist', this layout 'other'"),
        (TWO.replace("MODEL", "nix").replace("KIND", "scores"), r"own\.yaml:1: models\.theirs: nix: neither"),
        (f"model: lenet-mnist\n{TWO}".replace("KIND", "scores"), r"own\.yaml:1: model: found `models`, too"),
        (
            TWO.replace("model: theirs", "model: thiers").replace("KIND", "scores"),
            r"own\.yaml:5: panels\.b\.model: no network is named 'thiers'; .*did you mean 'theirs'",
        ),
        (
            "layout: cam\npanels:\n  cam: {kind: camera, model: a}",
            r"own\.yaml:3: panels\.cam\.model: no network is named 'a'; the layout has no `models`",
        ),
        (
            TWO.replace("MODEL", "lenet-mnist").replace("KIND", "feature_maps, layer: conv9"),
            r"own\.yaml:5: panels\.b\.layer: unknown layer 'conv9'",
        ),
        (
            TWO.replace("MODEL", "lenet-mnist").replace("KIND", "scores") + "views: [one]",
            r"own\.yaml:6: views\.0: .*it shows the model 'lenet-mnist', this layout 'lenet-mnist, lenet-mnist'",
        ),
    ],
)
def test_what_a_layout_asks_for_in_vain_is_told_with_its_line(own: Path, text: str, message: str) -> None:
    (own.parent / "one.yaml").write_text(CAMERA)
    (own.parent / "sorted.yaml").write_text("layout: n\npanels:\n  n: {kind: neurons, layer: ip2, sort_by_class: 3}")
    own.write_text(text)
    with pytest.raises(ConfigError, match=message):
        Plan.of(str(own))


@pytest.mark.parametrize(
    ("asked", "error", "message"),
    [
        ({"model": "nix"}, ModelError, "^nix: neither"),
        ({"source": "nix"}, SourceError, "^source 'nix'"),
        ({"overrides": ["model=nix"]}, LivecnnError, "--set model=nix: model: nix: n"),
        ({"overrides": ["source=nix"]}, LivecnnError, "--set source=nix: source: s"),
    ],
)
def test_what_the_command_line_asks_for_in_vain_is_told_without_a_file(
    asked: dict[str, Any], error: type[LivecnnError], message: str
) -> None:
    with pytest.raises(error, match=message):
        Plan.of("lenet", **asked)


def test_views_are_each_shown_once(own: Path) -> None:
    views = load_views(load_layout("lenet-sorted"))
    assert [view.path.stem for view in views] == ["lenet", "lenet-sorted", "lenet-overview", "explorer"]
    own.write_text(f"views: [lenet, own, {paths.layouts()['lenet']}]\n{CAMERA}")
    assert [view.name for view in load_views(load_layout(own))] == [load_layout("lenet").name, "own"]
    own.write_text(f"views: [lenet]\n{CAMERA}")
    assert [view.name for view in load_views(load_layout(own))] == ["own", load_layout("lenet").name]


@pytest.mark.parametrize("first", ["views: [lenet]\nname: generic", "views: [lenet, twin]"])
def test_two_views_of_one_name_are_refused(own: Path, first: str) -> None:
    name = load_layout("lenet").name
    (own.parent / "twin.yaml").write_text(f"name: {name}\n{CAMERA}")
    own.write_text(f"{first}\n{CAMERA}".replace("generic", name))
    with pytest.raises(ConfigError, match=rf"own.yaml:1: views\.\d: found '.*'; .* has the name '{name}', too"):
        load_views(load_layout(own))


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """A network of another kind: 3 classes, layers of its own, 8x8 pixels in colour."""
    (tmp_path / "tinynet.py").write_text(
        "from torch import nn\n"
        "def make():\n"
        "    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(144, 3))\n"
        "    net.input = {'kind': 'plain', 'size': [8, 8], 'channels': 3}\n"
        "    net.classes = ['cat', 'dog', 'owl']\n"
        "    return net\n"
    )
    return tmp_path


def test_two_networks_on_one_picture(own: Path, other: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(other))
    own.write_text(TWO.replace("MODEL", "'tinynet:make'").replace("KIND", "feature_maps, layer: '0'"))
    with pytest.raises(ConfigError, match=r"own\.yaml:1: models\.theirs: tinynet:make: .*--allow-code"):
        Plan.of(str(own))
    plan = Plan.of(str(own), allow_code=True, source="demo")
    assert (plan.bundle.name, plan.others["theirs"].classes) == ("lenet-mnist", ("cat", "dog", "owl"))
    assert plan.context.model == "lenet-mnist · tinynet:make"
    screen = FigureView(plan.layout, plan.context)
    assert screen.drawers["a"].context.classes == tuple("0123456789")
    assert screen.drawers["b"].context.shapes["0"] == (1, 4, 6, 6)
    with plan.source as source, plan.observer(torch.device("cpu")) as observe:
        observe.watch(screen.reducers)
        frame = source.read()
        assert frame is not None
        tick = observe(frame)
        screen.show(Scene(frame, tick))
        screen.draw()
        observe.watch({})
        assert not observe(frame).others["theirs"].views
    beside = tick.others["theirs"]
    assert set(tick.views) == set()
    assert set(beside.views) == {"b"}
    assert len(tick.scores) == 10
    assert len(beside.scores) == 3
    assert beside.patch.shot is tick.patch.shot
    assert beside.patch.prepared.tensor.shape == (1, 3, 8, 8)
    with torch.no_grad():
        wanted = plan.others["theirs"].module(plan.others["theirs"].prepare(tick.patch.shot)).softmax(1)[0]
    assert np.allclose(beside.scores, wanted, atol=1e-6)


def test_one_model_cannot_stand_for_two(own: Path) -> None:
    own.write_text(TWO.replace("MODEL", "lenet-mnist").replace("KIND", "scores"))
    with pytest.raises(UsageError, match=r"--model: .*own\.yaml names several; allowed: --set models\.ours=nix"):
        Plan.of(str(own), model="nix")
    plan = Plan.of(str(own), ["models.theirs=lenet-mnist"])
    assert plan.layout.networks == {"ours": "lenet-mnist", "theirs": "lenet-mnist"}
    own.write_text(CAMERA)
    with pytest.raises(ConfigError, match=r"models: found \{'theirs': 'lenet-mnist'\}; start livecnn again for another network"):
        plan.reread()


def test_without_a_layout_there_is_one_for_every_model(own: Path, other: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Plan.of(None).layout.path.stem == "lenet"
    assert Plan.of(None, default="replay").layout.path.stem == "replay"
    assert Plan.of(None, model="lenet-mnist").layout.path.stem == "lenet"  # the first that shows it
    monkeypatch.syspath_prepend(str(other))
    plan = Plan.of(None, ["figure.theme=light"], default="replay", model="tinynet:make", source="demo", allow_code=True)
    assert plan.layout.figure.theme == "light"
    assert {panel.kind for panel in plan.layout.panels.values()} == {"camera", "patch", "scores", "feature_maps", "neurons"}
    assert plan.context.classes == ("cat", "dog", "owl")
    with pytest.raises(ModelError, match=r"^nix: neither"):
        Plan.of(None, model="nix")
    with pytest.raises(ConfigError, match="nose"):
        Plan.of(None, ["nose=1"], model="tinynet:make", allow_code=True)


@pytest.mark.parametrize("order", ["RGB", "BGR"])
def test_panels_know_the_order_of_the_channels(order: str) -> None:
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 2)).eval()
    assert make_context(Bundle("net", net, ("a", "b"), PlainPipeline(size=(4, 4), order=order))).channels == order

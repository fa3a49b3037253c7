from __future__ import annotations

from pathlib import Path

import pytest

from livecnn import paths
from livecnn.config import load_layout
from livecnn.errors import ConfigError, LivecnnError, ModelError, SourceError
from livecnn.plan import Plan, load_views
from livecnn.sources.demo import Demo

CAMERA = "layout: cam\npanels: {cam: {kind: camera}}\n"


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
    assert isinstance(Plan.of(str(own), source="demo").source, Demo)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"model: lenet-mnst\n{CAMERA}", "own.yaml:1: model: lenet-mnst: .*did you mean 'lenet-mnist'"),
        (f"name: x\nsource: fulder:x\n{CAMERA}", "own.yaml:2: source: source 'fulder:x': .*did you mean 'folder'"),
        ("layout: n\npanels:\n  n: {kind: neurons, layer: ip2, sort_by_class: 3}", "own.yaml:3: panels.n.sort_by_class: found 3"),
        ("layout: m\npanels:\n  m: {kind: feature_maps, layer: conv9}", "own.yaml:3: panels.m.layer: unknown layer 'conv9'"),
    ],
)
def test_what_a_layout_asks_for_in_vain_is_told_with_its_line(own: Path, text: str, message: str) -> None:
    own.write_text(text)
    with pytest.raises(ConfigError, match=message):
        Plan.of(str(own))


def test_a_view_that_does_not_fit_is_found_before_it_is_opened(own: Path) -> None:
    (own.parent / "other.yaml").write_text("layout: n\npanels:\n  n: {kind: neurons, layer: ip2, sort_by_class: 3}")
    own.write_text(f"views: [other]\n{CAMERA}")
    with pytest.raises(ConfigError, match=r"other\.yaml:3: panels\.n\.sort_by_class"):
        Plan.of(str(own))


@pytest.mark.parametrize(
    ("asked", "error", "message"),
    [({"model": "nix"}, ModelError, "^nix: neither"), ({"source": "nix"}, SourceError, "^source 'nix'")],
)
def test_what_the_command_line_asks_for_in_vain_is_told_without_a_file(
    asked: dict[str, str], error: type[LivecnnError], message: str
) -> None:
    with pytest.raises(error, match=message):
        Plan.of("lenet", **asked)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "message"), [("model=nix", "--set model=nix: model: nix: n"), ("source=nix", "--set source=nix: s")]
)
def test_what_an_override_asks_for_in_vain(change: str, message: str) -> None:
    with pytest.raises(LivecnnError, match=message):
        Plan.of("lenet", [change])


def test_views_are_each_shown_once(own: Path) -> None:
    views = load_views(load_layout("lenet-sorted"))
    assert [view.path.stem for view in views] == ["lenet", "lenet-sorted", "lenet-overview"]
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


def test_views_share_one_network(own: Path) -> None:
    own.write_text(f"views: [lenet]\nmodel: other\n{CAMERA}")
    with pytest.raises(ConfigError, match=r"own.yaml:1: views.0: .*shows the model 'lenet-mnist', this layout 'other'"):
        load_views(load_layout(own))

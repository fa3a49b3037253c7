import json
import sys
from pathlib import Path

import pytest

from livecnn import paths
from livecnn.cli import main
from livecnn.layout.layout import json_schema, load_layout, markdown
from tests.cli.conftest import Refused

LAYOUT = """\
layout: maps
panels:
  maps: {kind: feature_maps, layer: CONV, channels: 0-2}
"""


def test_list_names_every_shipped_layout_and_says_what_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(paths.layouts())
    assert all(load_layout(name).description in line for name, line in zip(paths.layouts(), lines, strict=True))


@pytest.mark.parametrize("name", paths.layouts())
def test_every_shipped_layout_is_fine(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    layout = load_layout(name)
    missing = [model for model in layout.networks.values() if model not in paths.bundles()]
    if missing:
        pytest.skip(f"the weights of {missing[0]} do not ship; tests/integration checks with others")
    assert main(["config", "check", name]) == 0
    assert capsys.readouterr().out == f"{name}: fine: {len(layout.panels)} panels, model {layout.model}\n"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("0-2", "0-2, colours: 3", ":3: panels.maps.colours: unknown key; did you mean 'colormap'?"),
        ("CONV", "konv1", ":3: panels.maps.layer: unknown layer 'konv1'; did you mean 'conv1'?"),
        ("0-2", "20", ":3: panels.maps.channels: channel 20: conv1 has 20 (0-19)"),
        ("layout: maps", "layout: maps\nmodel: nix", ":2: model: nix: neither a model that is at hand nor a bundle's folder"),
        ("layout: maps", "layout: maps\nmodel: usernet:make", ":2: model: usernet:make: this would run Python code"),
    ],
)
def test_check_tells_what_is_wrong(tmp_path: Path, refused: Refused, old: str, new: str, message: str) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(LAYOUT.replace(old, new).replace("CONV", "conv1"))
    assert message in refused(["config", "check", str(file)])


def test_check_with_a_model_from_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "usernet.py").write_text(
        "from torch import nn\ndef make(): return nn.Sequential(nn.Conv2d(1, 3, 28), nn.Flatten())"
    )
    (tmp_path / "mine.yaml").write_text(f"model: usernet:make\n{LAYOUT.replace('CONV', 'JUST')}".replace("JUST", "'0'"))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    assert main(["config", "check", "mine.yaml", "--allow-code"]) == 0
    out, err = capsys.readouterr()
    assert out == "mine.yaml: fine: 1 panel, model usernet:make\n"
    assert err == f"livecnn: --allow-code: running {tmp_path / 'usernet.py'}\n"


def test_schema_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "schema"]) == 0
    assert json.loads(capsys.readouterr().out) == json_schema()


def test_schema_as_the_page_in_docs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "schema", "--markdown"]) == 0
    assert capsys.readouterr().out == markdown()

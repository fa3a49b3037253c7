"""A new panel, source, importer or method is one file, and everything that lists or takes kinds serves it."""

import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from click.shell_completion import ShellComplete
from PIL import Image as PillowImage

import livecnn
from livecnn import cli
from livecnn.app.plan import Plan
from livecnn.cli import main
from livecnn.explain import methods
from livecnn.explain.rendering import names
from livecnn.types import Frame
from tests.helpers.controlled_screen import controlled, seven

Output = pytest.CaptureFixture[str]

PANEL = '''
from typing import Literal

from pydantic import Field

from livecnn.panels.base.drawer import Drawer
from livecnn.panels.base.spec import PanelSpec


class MottoPanel(PanelSpec):
    """A heading and nothing else."""

    kind: Literal["motto"] = Field("motto", description="A motto.")
    words: str = Field("look", description="What the heading says.")

    def drawer(self, name, context):
        drawer = Drawer(name, context)
        drawer.titles = (self.words,)
        return drawer
'''
SOURCE = '''
import numpy as np

from livecnn.sources import Source


class StripesSource(Source):
    """Two pictures of stripes."""

    def open(self):
        self.name, self.interval, self._left = f"stripes {self.address}", 0.1, 2

    def read(self):
        self._left -= 1
        stripes = np.tile(np.repeat(np.uint8([0, 255]), 20), 120).reshape(60, 80, 1)
        return None if self._left < 0 else self._frame(stripes.repeat(3, 2))
'''
IMPORTER = '''
import torch

from livecnn.networks.architectures.lenet import Lenet
from livecnn.networks.importers import Imported, Importer


class SeedImporter(Importer):
    """A LeNet with weights from the seed that a file tells."""

    suffixes = (".seed",)

    def __call__(self, files, **_):
        torch.manual_seed(int(files[0].read_text()))
        digits = {"kind": "plain", "size": [28, 28], "channels": 1}
        return Imported(Lenet().eval(), "lenet", input=digits, classes=tuple("abcdefghij"))
'''
METHOD = '''
from dataclasses import KW_ONLY, dataclass

from livecnn.explain.backprop import Backprop


@dataclass(frozen=True, eq=False)
class SteepPlaces(Backprop):
    """A power of the gradient."""

    meaning = "where the value is steep"

    _: KW_ONLY
    steps: int = 2

    def explain(self, x, units=(), target=None):
        return super().explain(x, units, target) ** self.steps
'''
FILES = {
    "panels/motto": PANEL,
    "sources/stripes": SOURCE,
    "networks/importers/seed": IMPORTER,
    "explain/methods/steep_places": METHOD,
}
LAYOUT = """
name: mine
model: lenet-mnist
source: stripes:wide
layout: motto unit
focus: {methods: [steep_places], grid: steep_places}
panels:
  motto: {kind: motto, words: See it think}
  unit: {kind: unit}
"""


@pytest.fixture(autouse=True)
def new_kinds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Each of the files lies in a folder that its room searches, too; a picture and a layout lie in the working folder."""
    for name, text in FILES.items():
        file = tmp_path / "kinds" / f"{name}.py"
        file.parent.mkdir(parents=True)
        file.write_text(text)
        package = importlib.import_module(f"livecnn.{'.'.join(name.split('/')[:-1])}")
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(file.parent)])
    methods.kinds.cache_clear()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LIVECNN_MODELS", str(tmp_path / "models"))
    PillowImage.fromarray(np.random.default_rng(0).integers(0, 255, (40, 40), np.uint8)).save("x.png")
    (tmp_path / "mine.yaml").write_text(LAYOUT)
    yield
    methods.kinds.cache_clear()
    methods.method_class.cache_clear()
    for name in FILES:
        *_, kind = name.split("/")
        module = sys.modules.pop(f"livecnn.{name.replace('/', '.')}", None)
        if module is not None:
            delattr(sys.modules[module.__name__.rpartition(".")[0]], kind)


def completed(*words: str) -> list[str]:
    complete = ShellComplete(cli.livecnn, {}, "livecnn", "_LIVECNN_COMPLETE")
    return [item.value for item in complete.get_completions(list(words[:-1]), words[-1])]


def test_the_schema_of_layouts_has_the_panel(capsys: Output) -> None:
    assert main(["config", "schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert schema["$defs"]["MottoPanel"]["properties"]["words"]["default"] == "look"
    assert main(["config", "schema", "--markdown"]) == 0
    page = capsys.readouterr().out
    assert "### motto\n\nA heading and nothing else.\n" in page
    assert "What the heading says. |" in page


def test_a_layout_with_all_of_them_runs(capsys: Output) -> None:
    assert main(["config", "check", "mine.yaml"]) == 0
    capsys.readouterr()
    assert main(["run", "mine.yaml", "--headless", "--frames", "2", "--record", "x.gif", "--stats", "s.json"]) == 0
    assert capsys.readouterr().out.startswith("recorded x.gif")
    assert json.loads(Path("s.json").read_text())["ticks"] == 2


def test_keys_of_the_explorer_lead_to_the_method(tmp_path: Path) -> None:
    with controlled(Plan.of("explorer", source="stripes:"), Frame(seven(), 0, 0.0), tmp_path, box=1.0) as rig:
        shown = []
        for _ in range(6):
            rig.controls.explorer.grid_method()
            shown.append(rig.screen.focus.grid)
        assert shown == ["deconvnet", "deconvnet_unpooled", "gradient", "guided_backprop", "steep_places", "activation"]
        rig.controls.explorer.next_method()
        assert rig.screen.focus.methods == ("activation", "guided_backprop", "steep_places")


def test_a_source_is_named_on_the_command_line(capsys: Output) -> None:
    assert main(["run", "lenet", "--source", "stripes:", "--headless", "--once", "--record", "y.gif"]) == 0
    assert main(["run", "lenet", "--source", "stripe:", "--headless"]) == 2
    assert "did you mean 'stripes'" in capsys.readouterr().err


def test_an_importer_reads_its_files(tmp_path: Path, capsys: Output) -> None:
    (tmp_path / "x.seed").write_text("7")
    assert main(["models", "import", "x.seed", "--name", "seven"]) == 0
    assert livecnn.load("seven").classes == tuple("abcdefghij")
    (tmp_path / "x.sed").touch()
    assert main(["models", "import", "x.sed", "--name", "eight"]) == 2
    assert ".seed (seed)" in capsys.readouterr().err


def test_a_method_explains(capsys: Output) -> None:
    words = ["explain", "x.png", "--layer", "conv2", "--units", "3", "--method", "steep_places", "--steps", "4"]
    assert main([*words, "--compare", "gradient", "--out", "d/"]) == 0
    assert (Path("d") / "conv2_003_steep_places.png").exists()
    assert main([*words, "--out", "y.png"]) == 0
    capsys.readouterr()
    steep = livecnn.explanations("lenet-mnist", "x.png", "conv2", 3, method="steep_places", steps=2)
    plain = livecnn.explanations("lenet-mnist", "x.png", "conv2", 3, method="gradient")
    assert np.array_equal(steep.parts[0].maps, plain.parts[0].maps ** 2)
    assert names("steep_places") == ("steep places",)


def test_a_method_is_completed_and_in_the_help(capsys: Output) -> None:
    assert completed("explain", "x.png", "--method", "st") == ["steep_places"]
    assert completed("explain", "x.png", "--compare", "gradient,st") == ["gradient,steep_places"]
    sys.modules.pop("livecnn.cli.explain", None)  # its text is made when it is imported
    assert main(["explain", "--help"]) == 0
    assert "integrated_gradients, steep_places." in " ".join(capsys.readouterr().out.split())
    sys.modules.pop("livecnn.cli.explain", None)

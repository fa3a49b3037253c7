import json
import sys
from pathlib import Path

import pytest

from livecnn import load
from livecnn.cli import main
from livecnn.panels.details.text import field_lines, size_line, window_lines
from livecnn.panels.strip.flowchart import facts
from tests.cli.conftest import Refused
from tests.helpers.paths import ROOT

Output = pytest.CaptureFixture[str]

LENET = """\
layer    type       output    parameters  kernel  stride  padding  sees   every
conv1    Conv2d     20x24x24         520  5x5     1       0        5x5    1
pool1    MaxPool2d  20x12x12              2x2     2       0        6x6    2
conv2    Conv2d     50x8x8        25,050  5x5     1       0        14x14  2
pool2    MaxPool2d  50x4x4                2x2     2       0        16x16  4
flatten  flatten    800                                            16x16
ip1      Linear     500          400,500                           28x28
relu1    ReLU       500                                            28x28
ip2      Linear     10             5,010                           28x28
prob     Softmax    10                                             28x28
lenet-mnist: 8 layers, 431,080 parameters, input 1x28x28
"""

BRANCHES = """\
import torch
from torch import nn

class Net(nn.Module):
    classes = ["a", "b"]
    input = {"kind": "plain", "size": [12, 10], "channels": 3}

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 3, (3, 1), stride=(2, 1), padding=(1, 0), groups=3)
        self.wide = nn.Conv2d(3, 3, 3, padding=2, dilation=2)
        self.up = nn.Upsample(scale_factor=2)
        self.fc = nn.Linear(3, 2)

    def forward(self, x):
        x = self.conv(x)
        return self.fc(torch.amax(self.up(x + self.wide(x)), (2, 3)))
"""


def test_the_table(capsys: Output) -> None:
    assert main(["layers", "lenet-mnist"]) == 0
    assert capsys.readouterr() == (LENET, "")
    assert LENET in (ROOT / "docs" / "layers.md").read_text(encoding="utf-8")


def test_branches_groups_and_what_is_not_known(tmp_path: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "waysnet.py").write_text(BRANCHES)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    assert main(["layers", "waysnet:Net", "--allow-code"]) == 0
    assert (
        capsys.readouterr().out
        == """\
layer  type      output   parameters  kernel  stride  padding  dilation  groups  sees   every  from
conv   Conv2d    3x6x10           12  3x1     2x1     1x0                3       3x1    2x1
wide   Conv2d    3x6x10           84  3x3     1       2        2                 11x5   2x1
add    add       3x6x10                                                          11x5   2x1    conv, wide
up     Upsample  3x12x20                                                         ?
amax   amax      3                                                               12x10
fc     Linear    2                 8                                             12x10
waysnet:Net: 4 layers, 104 parameters, input 3x12x10
"""
    )


def test_as_data(tmp_path: Path, capsys: Output) -> None:
    path = tmp_path / "new" / "lenet.json"
    assert main(["layers", "lenet-mnist", "--json", str(path)]) == 0
    assert capsys.readouterr() == (LENET, "")
    assert [file.name for file in path.parent.iterdir()] == ["lenet.json"]
    data = json.loads(path.read_text())
    assert (data["model"], data["input"], data["parameters"], len(data["nodes"])) == ("lenet-mnist", [1, 28, 28], 431080, 9)
    assert data["nodes"][1]["inputs"] == ["conv1"]
    assert main(["layers", "lenet-mnist", "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out) == data


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["lenet-mnits"], "lenet-mnits: neither a model that is at hand nor a bundle's folder; did you mean 'lenet-mnist'?"),
        (["net:make"], "net:make: this would run Python code of yours or of others; allowed with --allow-code"),
        (["lenet-mnist", "--json", "FOLDER"], "FOLDER: cannot be written: it is a folder"),
        ([], "Missing argument 'MODEL'."),
    ],
)
def test_mistakes(tmp_path: Path, refused: Refused, words: list[str], message: str) -> None:
    told = refused(["layers", *(word.replace("FOLDER", str(tmp_path)) for word in words)])
    assert told.startswith(message.replace("FOLDER", str(tmp_path)))


def test_tooltip_panel_and_command_agree_on_a_window(tmp_path: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("tallnets.py").write_text(
        "from torch import nn\n\n\ndef net():\n"
        "    body = nn.Conv2d(1, 2, (3, 5), (1, 2), (0, 1)), nn.Flatten(), nn.Linear(2 * 8 * 6, 2)\n"
        "    network = nn.Sequential(*body)\n"
        "    network.input = {'kind': 'plain', 'size': [10, 13], 'channels': 1}\n    return network\n"
    )
    assert main(["layers", "tallnets:net", "--allow-code"]) == 0
    row = capsys.readouterr().out.splitlines()[1].split()
    assert row == ["0", "Conv2d", "2x8x6", "32", "3x5", "1x2", "0x1", "3x5", "1x2"]
    node = load("tallnets:net", allow_code=True).architecture.nodes[0]
    assert facts(node)[2:] == ["output 8×6×2", "32 parameters", "kernel 3×5, stride 1×2, padding 0×1", "sees 3×5 pixels"]
    assert window_lines(node) == ("kernel 3×5 · stride 1×2 · padding 0×1",)
    assert (size_line(node), field_lines(node)) == ("2 maps, 8×6", ("each value sees 3×5 pixels",))

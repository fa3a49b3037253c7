import sys
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from livecnn.errors import ModelError
from livecnn.networks import bundle as bundles
from livecnn.networks.architectures.lenet import Lenet
from livecnn.networks.importers.torch import TorchImporter
from tests.helpers.files import Payload

CARD: dict[str, Any] = {
    "name": "mine",
    "input": {"kind": "plain", "size": [28, 28], "channels": 1},
    "classes": list("0123456789"),
    "licence": "MIT",
    "source": "random numbers",
}
CODE = """
from pathlib import Path

from torch import nn

def net(width=4):
    Path("ran").touch()
    return nn.Sequential(nn.Conv2d(1, width, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 10))
"""


@pytest.fixture
def lenet() -> Lenet:
    torch.manual_seed(0)
    return Lenet()


def prefixed(state: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {f"{prefix}{name}": tensor for name, tensor in state.items()}


@pytest.mark.parametrize(
    "wrapped",
    [
        lambda state: state,
        lambda state: OrderedDict(prefixed(state, "module.")),
        lambda state: prefixed(state, "_orig_mod."),
        lambda state: prefixed(state, "_orig_mod.module."),
        lambda state: {"state_dict": prefixed(state, "module."), "epoch": 7, "loss": 0.5},
        lambda state: {"state_dict": {**prefixed(state, "model.net."), "loss.weight": torch.ones(3)}, "hyper_parameters": {}},
        lambda state: {"params": state, "best": np.float64(98.1), "steps": np.int64(3)},
        lambda state: {"optimizer": {"state": {0: {"step": torch.ones(1)}}}, "ema": {"module": prefixed(state, "backbone.")}},
        lambda state: {"model": {"state_dict": state}, "optimizer": {"lr": 0.1}},
        lambda state: {name: tensor.double() for name, tensor in state.items()},
        lambda state: {name: nn.Parameter(tensor) for name, tensor in state.items()},
    ],
)
def test_state_dicts_and_what_they_lie_in(lenet: Lenet, tmp_path: Path, wrapped: Callable[[Any], Any]) -> None:
    torch.save(wrapped(lenet.state_dict()), tmp_path / "w.pt")
    imported = TorchImporter()([tmp_path / "w.pt"], architecture="lenet")
    x = torch.rand(2, 1, 28, 28)
    assert torch.equal(imported.module(x), lenet(x))
    assert (imported.architecture, imported.options, imported.module.training) == ("lenet", {}, False)


def test_safetensors(lenet: Lenet, tmp_path: Path) -> None:
    save_file(prefixed(lenet.state_dict(), "module."), tmp_path / "w.safetensors")
    imported = TorchImporter()([tmp_path / "w.safetensors"], architecture="lenet")
    assert torch.equal(imported.module.get_parameter("conv1.weight"), lenet.conv1.weight)


def test_weights_of_a_gpu_come_to_the_cpu(lenet: Lenet, tmp_path: Path) -> None:
    torch.save(lenet.state_dict(), tmp_path / "cpu.pth")
    with zipfile.ZipFile(tmp_path / "cpu.pth") as here, zipfile.ZipFile(tmp_path / "cuda.pth", "w") as there:
        for name in here.namelist():
            content = here.read(name)
            if name.endswith("data.pkl"):
                assert b"\x03\x00\x00\x00cpu" in content
                content = content.replace(b"\x03\x00\x00\x00cpu", b"\x06\x00\x00\x00cuda:7")
            there.writestr(name, content)
    weight = TorchImporter()([tmp_path / "cuda.pth"], architecture="lenet").module.get_parameter("conv1.weight")
    assert torch.equal(weight, lenet.conv1.weight)


def test_without_an_architecture(lenet: Lenet, tmp_path: Path) -> None:
    torch.save(lenet.state_dict(), tmp_path / "w.pt")
    message = r"w\.pt: holds weights alone; give the --architecture that they are for: .*lenet.*, package\.module:factory$"
    with pytest.raises(ModelError, match=message):
        TorchImporter()([tmp_path / "w.pt"])


@pytest.mark.parametrize("name", ["checkpoint.pth.tar", "lightning.ckpt", "pytorch_model.bin", "W.PTH", "W.SAFETENSORS"])
def test_files_by_other_names(tmp_path: Path, lenet: Lenet, name: str) -> None:
    (save_file if name.endswith("RS") else torch.save)(lenet.state_dict(), tmp_path / name)
    x = torch.rand(1, 1, 28, 28)
    torch.testing.assert_close(TorchImporter()([tmp_path / name], architecture="lenet").module(x), lenet.eval()(x))


def test_what_the_factory_says_of_its_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = "    net.input = {'kind': 'plain', 'size': [30, 20], 'channels': 1, 'mean': [0.5]}\n    net.classes = ['cat', 'dog']\n"
    code = (
        "from torch import nn\ndef net():\n    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())\n"
    )
    (tmp_path / "saying.py").write_text(f"{code}{told}    return net\n")
    monkeypatch.syspath_prepend(tmp_path)
    torch.save({"0.weight": torch.rand(2, 1, 3, 3), "0.bias": torch.rand(2)}, tmp_path / "w.pth")
    imported = TorchImporter()([tmp_path / "w.pth"], architecture="saying:net", allow_code=True)
    assert imported.input == {"kind": "plain", "size": [30, 20], "channels": 1, "mean": [0.5]}
    assert imported.classes == ("cat", "dog")


@pytest.mark.parametrize(
    ("content", "options", "architecture", "message"),
    [
        ({"a": torch.zeros(1)}, {}, "lenet",
         r"w\.pt: the tensors are not those of Lenet: missing: conv1\.weight, .*; unexpected: a"),
        ({"state_dict": {"epoch": 3}}, {}, "lenet", r"w\.pt: found a dict under 'state_dict'; a state dict is needed"),
        ({"a": torch.zeros(1)}, {"depth": 3}, "lenet", r"^lenet: its options do not fit: .*'depth'"),
        ({"a": torch.zeros(1)}, {"classes": -3}, "squeezenet", r"^squeezenet: its options do not fit: .*negative dimension"),
        ({"a": torch.zeros(1)}, {"classes": 10**30}, "alexnet", r"^alexnet: its options do not fit: [^\n]+$"),
        ({"a": torch.zeros(1)}, {}, "lenett", r"unknown kind 'lenett' in architectures; did you mean 'lenet'\?"),
        ({"a": torch.zeros(1)}, {}, "my:net",
         r"^my:net: this would run Python code of yours or of others; allowed with --allow-code"),
    ],
)  # fmt: skip
def test_mistakes(tmp_path: Path, content: Any, options: dict[str, Any], architecture: str, message: str) -> None:
    torch.save(content, tmp_path / "w.pt")
    with pytest.raises(ModelError, match=message):
        TorchImporter()([tmp_path / "w.pt"], architecture=architecture, options=options)


def test_one_file(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"found 2 files \(a\.pt, b\.pt\); allowed: 1"):
        TorchImporter()([Path("a.pt"), Path("b.pt")], architecture="lenet")
    with pytest.raises(ModelError, match=r"w\.pt: cannot be read: No such file"):
        TorchImporter()([tmp_path / "w.pt"], architecture="lenet")


def test_code_in_a_checkpoint_is_refused_with_nothing_run(tmp_path: Path) -> None:
    torch.save({"state_dict": {"a": torch.zeros(1)}, "hook": Payload(tmp_path / "mark")}, tmp_path / "w.pth")
    with pytest.raises(ModelError, match=r"refused, and nothing of it was run: it would run code \(\w+\.mkdir\)"):
        TorchImporter()([tmp_path / "w.pth"], architecture="lenet")
    assert not (tmp_path / "mark").exists()


def test_programs_are_told_what_to_do(lenet: Lenet, tmp_path: Path) -> None:
    x = torch.zeros(1, 1, 28, 28)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.trace(lenet, x), tmp_path / "script.pt")  # type: ignore[no-untyped-call]
        torch.export.save(torch.export.export(lenet, (x,)), tmp_path / "program.pt2")
    message = r"script\.pt: is a TorchScript program, whose layers cannot be watched; allowed: the state"
    with pytest.raises(ModelError, match=message):
        TorchImporter()([tmp_path / "script.pt"], architecture="lenet")
    with pytest.raises(ModelError, match=r"program\.pt2: is a program of torch\.export, and reading it may run code; allowed: "):
        TorchImporter()([tmp_path / "program.pt2"])


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A factory of the user's own, in the current folder; the file `ran` tells that it ran."""
    (tmp_path / "factory_of_mine.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    monkeypatch.delitem(sys.modules, "factory_of_mine", raising=False)
    return tmp_path


def test_a_network_of_the_users_own_code(code: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = "factory_of_mine:net"
    net = nn.Sequential(nn.Conv2d(1, 6, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 10))
    torch.save(net.state_dict(), code / "w.pt")
    with pytest.raises(ModelError, match=r"would run Python code of yours or of others; allowed with --allow-code"):
        TorchImporter()([code / "w.pt"], architecture=spec, options={"width": 6})
    assert not (code / "ran").exists()

    imported = TorchImporter()([code / "w.pt"], architecture=spec, options={"width": 6}, allow_code=True)
    assert f"running {code / 'factory_of_mine.py'}" in capsys.readouterr().err
    bundles.save(code / "mine", imported.module, {**CARD, "architecture": spec, "options": dict(imported.options)})
    (code / "ran").unlink()
    with pytest.raises(ModelError, match=r"model\.yaml:\d+: architecture: factory_of_mine:net: this would run Python code"):
        bundles.load(code / "mine")
    assert not (code / "ran").exists()
    x = torch.rand(1, 1, 28, 28)
    assert torch.equal(bundles.load(code / "mine", allow_code=True).module(x), net(x))
    assert f"running {code / 'factory_of_mine.py'}" in capsys.readouterr().err


def test_options_that_a_factory_does_not_know(code: Path) -> None:
    torch.save({}, code / "w.pt")
    with pytest.raises(ModelError, match=r"factory_of_mine:net: the code failed: TypeError: .*'depth'"):
        TorchImporter()([code / "w.pt"], architecture="factory_of_mine:net", options={"depth": 6}, allow_code=True)


@pytest.mark.filterwarnings("ignore:.isinstance.treespec:FutureWarning")  # torch's own
def test_a_program_of_torch_export_through_a_function(code: Path) -> None:
    net = nn.Sequential(OrderedDict(conv=nn.Conv2d(1, 6, 3), relu=nn.ReLU(), flat=nn.Flatten(), fc=nn.Linear(4056, 10)))
    torch.export.save(torch.export.export(net, (torch.zeros(1, 1, 28, 28),)), code / "net.pt2")
    (code / "exported_net.py").write_text(
        "import torch\n\n"
        "def net():\n"
        "    network = torch.export.unflatten(torch.export.load('net.pt2'))\n"
        "    network.input = {'kind': 'plain', 'size': [28, 28], 'channels': 1}\n"
        "    return network\n"
    )
    bundle = bundles.load("exported_net:net", allow_code=True)
    shapes = bundle.shapes()
    assert {name: shapes[name] for name in ("conv", "fc")} == {"conv": (1, 6, 26, 26), "fc": (1, 10)}

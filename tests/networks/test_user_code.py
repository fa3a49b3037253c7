import sys
import textwrap
from pathlib import Path

import pytest
from torch import nn

from livecnn.errors import ModelError
from livecnn.networks import user_code as usercode


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, from which code is imported; what was imported is forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    return tmp_path


def put(path: Path, code: str) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(textwrap.dedent(code))
    return path


def test_a_factory_in_the_current_folder(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = put(folder / "netmade.py", "from torch.nn import ReLU\nprint('code runs')\ndef make(): return ReLU()")
    assert isinstance(usercode.build("netmade:make"), nn.ReLU)
    out, err = capsys.readouterr()
    assert err == f"livecnn: --allow-code: running {path}\n"
    assert out == "code runs\n"


def test_the_path_is_printed_before_any_code_runs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(folder / "pkgmade" / "__init__.py", "raise RuntimeError('first line\\nsecond')")
    path = put(folder / "pkgmade" / "inner.py", "")
    with pytest.raises(ModelError, match=r"^pkgmade\.inner:make: the code failed: RuntimeError: first line"):
        usercode.build("pkgmade.inner:make")
    assert capsys.readouterr().err == f"livecnn: --allow-code: running {path}\n"


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("nowhere:make", r"^no module 'nowhere'; searched: "),
        ("netmade.deeper:make", r"^no module 'netmade\.deeper'; searched: "),
        ("__main__:make", r"^no module '__main__'|has no function 'make'"),
        ("netmade:mak", r"netmade has no function 'mak'; did you mean 'make'\? allowed: make, text, broken"),
        ("netmade:NUMBER", r"netmade has no function 'NUMBER'; allowed: make"),
        ("netmade:text", r"^netmade:text: returned a str; a torch\.nn\.Module is needed"),
        ("netmade:broken", r"^netmade:broken: the code failed: ZeroDivisionError: "),
        ("netmade", r"^netmade: allowed: package\.module:factory"),
        ("../netmade:make", r"allowed: package\.module:factory"),
        ("syntaxmade:make", r"^syntaxmade:make: the code failed: SyntaxError: "),
    ],
)
def test_what_goes_wrong(folder: Path, spec: str, message: str) -> None:
    put(folder / "netmade.py", "NUMBER = 5\ndef make(): ...\ndef text(): return 'a'\ndef broken(): return 1 / 0")
    put(folder / "syntaxmade.py", "def (:")
    with pytest.raises(ModelError, match=message):
        usercode.build(spec)


def test_an_error_of_livecnn_in_the_code_passes_unchanged(folder: Path) -> None:
    put(folder / "netmade.py", "from livecnn.errors import ModelError\ndef make(): raise ModelError('mine')")
    with pytest.raises(ModelError, match=r"^mine$"):
        usercode.build("netmade:make")

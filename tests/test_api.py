import re
import subprocess
import sys
from pathlib import Path

import pytest

import livecnn
from livecnn import errors
from livecnn.app import watch as watching
from livecnn.networks import bundle as bundles
from livecnn.networks.inspection import probe

HEAVY = {"torch", "matplotlib", "cv2", "numpy", "pydantic", "PySide6"}


def modules_after(code: str) -> set[str]:
    """Names of the modules that a fresh process has loaded."""
    command = [sys.executable, "-c", f"{code}; import sys; print(*sys.modules)"]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())


def test_importing_the_package_loads_nothing_heavy() -> None:
    assert not HEAVY & modules_after("import livecnn; livecnn.ConfigError; livecnn.__version__; dir(livecnn)")


def test_a_window_can_be_tried_without_the_networks() -> None:
    assert "torch" not in modules_after("import livecnn.cli.doctor, livecnn.app.toolkit.backend")


def test_public_names() -> None:
    assert livecnn.Probe is probe.Probe
    assert livecnn.layers_of is probe.layers_of
    assert livecnn.load is bundles.load
    assert livecnn.watch is watching.watch
    for name in livecnn.__all__:
        assert getattr(livecnn, name) is not None
    assert {*dir(livecnn), "__version__"} == set(livecnn.__all__)


def test_every_error_is_public() -> None:
    public = {name for name in livecnn.__all__ if name.endswith("Error")}
    assert public == {name for name in vars(errors) if name.endswith("Error")}


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="No livecnn attribute nose"):
        livecnn.nose  # noqa: B018
    assert not hasattr(livecnn, "__wrapped__")


def test_the_version_can_be_read_without_importing() -> None:
    text = Path(livecnn.__file__).read_text(encoding="utf-8")
    assert re.search(r'^__version__ = "(\d+\.\d+\.\d+)"$', text, re.MULTILINE)[1] == livecnn.__version__

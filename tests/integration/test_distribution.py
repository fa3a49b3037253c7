"""What is promised about installing livecnn: declared dependencies, what ships, and the Makefile's two commands."""

import ast
import os
import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import livecnn
from tests.helpers.paths import ROOT

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

DISTRIBUTIONS = {"cv2": "opencv-python", "PIL": "pillow", "yaml": "pyyaml"}  # where the import has another name
UNDECLARED = {
    "imageio-ffmpeg",
    "keras",
    "h5py",
    "onnx",
    "opentsne",
    "umap",
    "pyarrow",
    "ray",
    "prompt-toolkit",
    "pydantic-core",
    "typing-extensions",
}  # extras; pydantic's other half, which it pins itself; for type checkers alone
UNIMPORTED = {"pyside6-essentials"}  # matplotlib loads it for a Qt window


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def imported(path: Path) -> set[str]:
    """Top-level names that a module imports, at its top or inside a function."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module)
    return {name.split(".")[0] for name in names}


def test_dependencies_are_what_the_package_imports(project: dict[str, Any]) -> None:
    used = set[str]().union(*map(imported, (ROOT / "livecnn").rglob("*.py"))) - set(sys.stdlib_module_names) - {"livecnn"}
    distributions = {canonicalize_name(DISTRIBUTIONS.get(name, name)) for name in used}
    declared = {canonicalize_name(Requirement(text).name) for text in project["project"]["dependencies"]}
    assert distributions - UNDECLARED == declared - UNIMPORTED


def test_constraints_lie_inside_the_declared_ranges(project: dict[str, Any]) -> None:
    texts = [*project["project"]["dependencies"], *project["project"]["optional-dependencies"]["dev"]]
    declared = {requirement.name: requirement for requirement in map(Requirement, texts)}
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [Requirement(line) for line in lines if not line.startswith("#")]
    assert "torch" in [pin.name for pin in pins]
    for pin in pins:
        (version,) = (part.version for part in pin.specifier)
        assert declared[pin.name].specifier.contains(version), pin


def test_installed_metadata() -> None:
    assert metadata.version("livecnn") == livecnn.__version__
    (script,) = metadata.entry_points(group="console_scripts", name="livecnn")
    assert script.load()(["--version"]) == 0
    assert metadata.metadata("livecnn")["License-Expression"] == "MIT"


def test_changelog_tells_of_this_version() -> None:
    assert f"## [{livecnn.__version__}]" in (ROOT / "CHANGELOG.md").read_text()


def test_what_the_wheel_takes_in_is_there(project: dict[str, Any]) -> None:
    taken = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert {"configs", "models"} <= set(taken)
    for folder, inside in taken.items():
        assert any((ROOT / folder).iterdir()), folder
        assert inside == f"livecnn/_shipped/{folder}"


needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What make looks at, as after a set-up that is complete."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path / name)
        os.utime(tmp_path / name, (1000, 1000))
    (tmp_path / ".venv/bin").mkdir(parents=True)
    for index, name in enumerate(("bin/pip", ".installed-run", ".installed-dev")):
        (tmp_path / ".venv" / name).touch()
        os.utime(tmp_path / ".venv" / name, (2000 + index, 2000 + index))
    return tmp_path


def make(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    # A make that runs these tests must not hand its own flags down.
    env = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
    return subprocess.run(["make", *words], cwd=folder, env=env, capture_output=True, text=True, timeout=60, check=False)


@needs_make
@pytest.mark.parametrize(
    ("target", "command"), [("demo", ".venv/bin/livecnn"), ("test", ".venv/bin/pytest -q -n 2 --dist worksteal")]
)
def test_second_run_installs_nothing(checkout: Path, target: str, command: str) -> None:
    assert make(checkout, "--dry-run", target).stdout.splitlines() == [command]


@needs_make
@pytest.mark.parametrize("changed", ["pyproject.toml", "constraints.txt"])
@pytest.mark.parametrize("target", ["demo", "test"])
def test_changed_requirements_are_installed(checkout: Path, target: str, changed: str) -> None:
    (checkout / changed).touch()
    assert re.search(r"pip install .*-c constraints\.txt -e", make(checkout, "--dry-run", target).stdout)


@needs_make
def test_no_python_is_said_clearly(checkout: Path) -> None:
    shutil.rmtree(checkout / ".venv")
    done = make(checkout, "demo", "PYTHONS=no-such-python neither-this")
    assert done.returncode != 0
    assert "needs Python 3.10 or newer with its venv module; looked for: no-such-python neither-this." in done.stderr
    assert not (checkout / ".venv").exists()


@needs_make
def test_an_old_python_is_passed_over(checkout: Path) -> None:
    shutil.rmtree(checkout / ".venv")
    old, new = checkout / "old", checkout / "new"
    old.write_text("#!/bin/sh\nexit 1\n")
    new.write_text('#!/bin/sh\necho "$@" >> asked\n')
    for python in (old, new):
        python.chmod(0o755)
    make(checkout, ".venv/bin/pip", "PYTHONS=./old ./new")
    assert (checkout / "asked").read_text().splitlines()[-1] == "-m venv .venv"


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="None lives for ever from Python 3.12 on")
def test_qt_keeps_count_of_what_it_is_given() -> None:
    gui = pytest.importorskip("PySide6.QtGui")
    image = gui.QImage(8, 8, gui.QImage.Format.Format_RGBX8888)
    before = sys.getrefcount(None)
    for _ in range(5000):
        image.setDevicePixelRatio(1.0)
    # A reference lost at each call ends the process when there are none left.
    assert sys.getrefcount(None) > before - 1000

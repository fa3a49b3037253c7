"""What the doctor finds, on computers that have everything and on such that lack something."""

import io
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path

import matplotlib as mpl
import pytest
import torch

from livecnn import __version__, paths
from livecnn.app.toolkit import backend as toolkits
from livecnn.cli import doctor, main
from livecnn.cli.doctor import Finding, examine
from livecnn.errors import UsageError
from livecnn.io import recorders as recorder
from livecnn.sources import camera

Interpreter = Callable[[str], None]
Output = pytest.CaptureFixture[str]
GOOD = Finding("Python", "ok", "3.12")
POOR = Finding("camera", "warning", "none found", "plug one in")
BAD = Finding("model", "failed", "damaged", "reinstall")


def the(findings: Iterator[Finding]) -> Finding:
    """The only finding."""
    (found,) = findings
    return found


def by_name(findings: Iterator[Finding]) -> dict[str, Finding]:
    return {finding.name: finding for finding in findings}


@pytest.fixture
def interpreter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Interpreter:
    """Makes a shell script stand in for the Python that a camera or a display is asked from."""

    def make(script: str) -> None:
        path = tmp_path / "python"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(path))

    return make


@pytest.fixture
def devices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Instead of /dev."""
    folder = tmp_path / "dev"
    folder.mkdir()
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(camera, "DEV", folder)
    return folder


def test_a_check_that_raises_is_a_failed_line_and_the_next_one_follows() -> None:
    def broken() -> Iterator[Finding]:
        yield Finding("a", "ok", "fine")
        raise ZeroDivisionError("oops\nand more")

    def whole() -> Iterator[Finding]:
        yield Finding("b", "ok", "fine")

    first, second, third = examine([broken, whole])
    assert (first.name, third.name) == ("a", "b")
    assert (second.name, second.status, second.found) == ("broken", "failed", "ZeroDivisionError: oops")
    assert second.advice


def test_what_is_not_fine_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    findings = list(examine())
    assert {"Python", "torch", "opencv-python", "model", "window", "GPU", "fonts", "recordings", "ffmpeg"} <= {
        finding.name for finding in findings
    }
    assert all(bool(finding.advice) == (finding.status != "ok") for finding in findings)
    assert not [finding for finding in findings if finding.status == "failed"]


def test_python(monkeypatch: pytest.MonkeyPatch) -> None:
    assert the(doctor.python()).status == "ok"
    monkeypatch.setattr(doctor, "OLDEST_PYTHON", (99, 1))
    found = the(doctor.python())
    assert (found.status, found.advice) == ("failed", "install Python 99.1 or newer")


def test_packages_are_told_with_their_versions() -> None:
    found = by_name(doctor.packages())
    assert found["livecnn"].found == __version__
    assert found["torch"] == Finding("torch", "ok", torch.__version__)
    assert "pydantic" not in found


@pytest.mark.parametrize(
    ("requirement", "status", "found"),
    [
        ("opencv-python<5,>=4.12", "failed", "5.0.1; needed is <5,>=4.12"),
        ("matplotlib!=3.11.0,!=3.11.1,>=3.10", "failed", "3.11.1; needed is !=3.11.0,!=3.11.1,>=3.10"),
        ("pyside6-essentials>=6.6", "warning", "not installed; needed is >=6.6"),
        ("click>=8.1", "failed", "not installed; needed is >=8.1"),
    ],
)
def test_packages_outside_their_range(monkeypatch: pytest.MonkeyPatch, requirement: str, status: str, found: str) -> None:
    versions = {"opencv-python": "5.0.1", "matplotlib": "3.11.1", "numpy": "2.4.0", "torch": "2.13.0"}

    def version(name: str) -> str:
        try:
            return versions[name]
        except KeyError:
            raise metadata.PackageNotFoundError(name) from None

    monkeypatch.setattr(metadata, "requires", lambda _: [requirement, "unwanted; extra == 'dev'"])
    monkeypatch.setattr(metadata, "version", version)
    name = requirement.partition("!" if "!" in requirement else "<" if "<" in requirement else ">")[0]
    everything = by_name(doctor.packages())
    assert everything[name] == Finding(name, status, found, f"pip install '{requirement}'")  # type: ignore[arg-type]
    assert "unwanted" not in everything


@pytest.mark.parametrize(
    ("line", "found", "advice"),
    [
        (
            "raise OSError('libcudnn.so: no')",
            "cannot be imported: OSError: libcudnn.so: no",
            "pip install --force-reinstall 'numpy'",
        ),
        (
            "from livecnn.errors import LivecnnError; raise LivecnnError('lacks libGL; apt install libgl1')",
            "lacks libGL",
            "apt install libgl1",
        ),
    ],
)
def test_a_package_that_cannot_be_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, found: str, advice: str
) -> None:
    (tmp_path / "broken_package.py").write_text(line)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(doctor, "SHOWN", {"numpy": "broken_package"})
    monkeypatch.setattr(metadata, "requires", lambda _: None)
    told = by_name(doctor.packages())["numpy"]
    assert (told.status, told.advice) == ("failed", advice)
    assert told.found.endswith(found)


def test_packages_of_a_livecnn_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(_name: str) -> None:
        raise metadata.PackageNotFoundError("livecnn")

    monkeypatch.setattr(metadata, "requires", absent)
    found = by_name(doctor.packages())
    assert found["livecnn"].status == "warning"
    assert found["torch"].status == "ok"


def test_no_camera(devices: Path) -> None:
    found = the(doctor.cameras())
    assert (found.status, found.found) == ("warning", "none found")


def test_a_camera_tells_its_size_and_rate(devices: Path, interpreter: Interpreter) -> None:
    (devices / "video0").touch()
    interpreter('echo "640x480, 30 pictures a second"')
    assert the(doctor.cameras()) == Finding(f"camera {devices}/video0", "ok", "640x480, 30 pictures a second")


def test_a_camera_that_fails_is_told_beside_one_that_works(devices: Path, interpreter: Interpreter) -> None:
    for i in range(2):
        (devices / f"video{i}").touch()
    interpreter('case "$3" in *0) echo fine;; *) echo "camera 1: held by cheese (process 7); close it" >&2; exit 1;; esac')
    good, bad = doctor.cameras()
    assert good.status == "ok"
    assert (bad.status, bad.found, bad.advice) == ("warning", "camera 1: held by cheese (process 7)", "close it")


def test_a_camera_whose_driver_hangs(devices: Path, interpreter: Interpreter, monkeypatch: pytest.MonkeyPatch) -> None:
    (devices / "video0").touch()
    interpreter("exec sleep 60")
    monkeypatch.setattr(doctor, "LIMIT", 0.1)
    found = the(doctor.cameras())
    assert (found.status, found.found) == ("warning", "no answer within 0.1 s")
    assert found.advice


def test_a_real_file_that_is_no_camera(devices: Path) -> None:
    (devices / "video0").touch()
    assert "not a camera" in the(doctor.cameras()).found


def test_cameras_where_the_system_does_not_list_them(interpreter: Interpreter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    interpreter('[ "$3" -lt 2 ] && echo fine || exit 3')
    assert [(found.name, found.status) for found in doctor.cameras()] == [("camera 0", "ok"), ("camera 1", "ok")]
    interpreter("exit 3")
    found = the(doctor.cameras())
    assert (found.name, found.status, found.found) == ("camera 0", "warning", "ended with code 3")


def test_looking_at_a_camera(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from livecnn import sources

    demo = sources.open_source("demo")
    monkeypatch.setattr(sources, "open_source", lambda _: demo)
    doctor.try_camera("0")
    words = capsys.readouterr().out.split()
    assert words[0] == "640x480,"
    assert int(words[1]) > 0
    monkeypatch.undo()
    with pytest.raises(SystemExit, match=f"allowed: a number from 0 to {camera._HIGHEST}"):
        doctor.try_camera("nonsense")


def test_no_display(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toolkits, "has_display", lambda: False)
    found = the(doctor.window())
    assert (found.status, found.found) == ("warning", "no display")


@pytest.mark.parametrize(("toolkit", "status", "word"), [("qtagg", "ok", "Qt"), ("tkagg", "warning", "Tk, because")])
def test_a_window_that_opens(
    toolkit: str, status: str, word: str, interpreter: Interpreter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(toolkits, "has_display", lambda: True)
    monkeypatch.setattr(toolkits, "backend", lambda: toolkit)
    interpreter("exit 0")
    found = the(doctor.window())
    assert found.status == status
    assert found.found.startswith(f"{toolkit}: {word}")


def test_a_window_that_does_not_open(interpreter: Interpreter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toolkits, "has_display", lambda: True)
    monkeypatch.setattr(toolkits, "backend", lambda: "qtagg")
    interpreter("echo 'no plugin xcb' >&2; echo 'core dumped' >&2; kill -ABRT $$")
    found = the(doctor.window())
    assert (found.status, found.found) == ("failed", "no plugin xcb")
    assert found.advice

    def neither() -> str:
        raise UsageError("no window toolkit; install one")

    monkeypatch.setattr(toolkits, "backend", neither)
    assert the(doctor.window()) == Finding("window", "failed", "no window toolkit", "install one")


def test_opening_a_window(monkeypatch: pytest.MonkeyPatch) -> None:
    class Manager:
        destroyed = False

        def destroy(self) -> None:
            self.destroyed = True

    manager = Manager()
    monkeypatch.setattr(toolkits, "new_manager", lambda *_: manager)
    doctor.try_window("qtagg")
    assert manager.destroyed

    def refuse(*_: object) -> None:
        raise UsageError("no window on display :7")

    monkeypatch.setattr(toolkits, "new_manager", refuse)
    with pytest.raises(SystemExit, match="no window on display :7"):
        doctor.try_window("qtagg")


def test_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("livecnn.networks.device.pick_device", lambda _: torch.device("cpu"))
    assert the(doctor.gpu()).found.startswith("none: the CPU is used")
    # A device that takes tensors and cannot give back a number stands in for a GPU that PyTorch was not built for.
    monkeypatch.setattr("livecnn.networks.device.pick_device", lambda _: torch.device("meta"))
    found = the(doctor.gpu())
    assert found.status == "failed"
    assert "--device cpu" in found.advice
    monkeypatch.setattr(torch.nn.functional, "conv2d", lambda *_: torch.ones(1))
    assert the(doctor.gpu()).status == "ok"


def test_fonts(monkeypatch: pytest.MonkeyPatch) -> None:
    assert the(doctor.fonts()).status == "ok"

    def findfont(*_: object, fallback_to_default: bool) -> str:
        raise ValueError

    monkeypatch.setattr("matplotlib.font_manager.findfont", findfont)
    assert the(doctor.fonts()).status == "failed"


@pytest.mark.parametrize(("display", "status"), [(True, "warning"), (False, "failed")])
def test_folders_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, display: bool, status: str) -> None:
    (tmp_path / "recordings").touch()
    monkeypatch.setattr(toolkits, "has_display", lambda: display)
    monkeypatch.setenv("LIVECNN_MODELS", str(tmp_path / "recordings" / "models"))
    monkeypatch.setattr(mpl, "get_cachedir", lambda: str(Path(doctor.tempfile.gettempdir()) / "matplotlib-x7"))
    found = by_name(doctor.folders())
    assert (found["recordings"].status, found["your models"].status) == (status, "warning")
    assert found["recordings"].found == f"{tmp_path}/recordings: not writable: Not a directory"
    assert "temporary" in found["matplotlib's cache"].found
    assert found["torch's cache"].status == "ok"


def test_folders_are_not_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert by_name(doctor.folders())["recordings"].status == "ok"
    assert not list(tmp_path.iterdir())


def test_ffmpeg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "ffmpeg"
    monkeypatch.setattr(recorder, "find_ffmpeg", lambda: str(program))
    assert the(doctor.ffmpeg()).found.startswith("does not run: FileNotFoundError")
    program.write_text("#!/bin/sh\necho ffmpeg version 7.1 and so on\n")
    program.chmod(0o755)
    assert the(doctor.ffmpeg()) == Finding("ffmpeg", "ok", f"7.1 at {program}")
    monkeypatch.undo()
    monkeypatch.setattr(shutil, "which", lambda _: None)
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    assert "MP4 needs ffmpeg" in the(doctor.ffmpeg()).advice


def test_a_model_whose_weights_have_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert the(doctor.model()).found == "lenet-mnist: 431,080 weights, checksum right"
    shutil.copytree(paths.shipped("models") / "lenet-mnist", tmp_path / "lenet-mnist")
    with (tmp_path / "lenet-mnist" / "weights.safetensors").open("ab") as file:
        file.write(b"!")
    monkeypatch.setattr(paths, "shipped", lambda _: tmp_path)
    found = the(doctor.model())
    assert found.status == "failed"
    assert "damaged or changed" in found.found


@pytest.fixture
def finding(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def make(*findings: Finding) -> None:
        monkeypatch.setattr(doctor, "CHECKS", (lambda: iter(findings),))

    return make


def test_lines_with_signs_and_advice(finding: Callable[..., None], capsys: Output) -> None:
    finding(GOOD, POOR, BAD)
    assert main(["doctor"]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "✓ Python               3.12",
        "⚠ camera               none found",
        "                       → plug one in",
        "✗ model                damaged",
        "                       → reinstall",
        "",
        "livecnn cannot work yet: model.",
    ]


def test_warnings_do_not_fail(finding: Callable[..., None], capsys: Output) -> None:
    finding(GOOD, POOR)
    assert main(["doctor"]) == 0
    assert capsys.readouterr().out.endswith("\n\nlivecnn works here.\n")


def test_where_only_ascii_can_be_printed(finding: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    finding(POOR)
    out = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(out, encoding="ascii"))
    assert main(["doctor"]) == 0
    sys.stdout.flush()
    assert out.getvalue().decode("ascii").splitlines()[1] == "                        -> plug one in"


@pytest.mark.parametrize(("findings", "code"), [((GOOD, POOR), 0), ((POOR, BAD), 1)])
def test_json(finding: Callable[..., None], capsys: Output, findings: tuple[Finding, ...], code: int) -> None:
    finding(*findings)
    assert main(["doctor", "--json"]) == code
    told = json.loads(capsys.readouterr().out)
    assert [Finding(**entry) for entry in told] == list(findings)
    assert list(told[0]) == ["name", "status", "found", "advice"]


def test_the_real_thing() -> None:
    done = subprocess.run([sys.executable, "-m", "livecnn", "doctor", "--json"], capture_output=True, check=False, timeout=100)
    failed = [entry for entry in json.loads(done.stdout) if entry["status"] == "failed"]
    assert (done.returncode, done.stderr) == (bool(failed), b"")

"""`livecnn doctor`: what works here and what to do.

A check is a function that yields Findings; `CHECKS` lists them. What a check needs is imported in it, so that a package that is
missing or broken costs its own lines and no others.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import json
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from livecnn import __version__
from livecnn.errors import LivecnnError, first_line

if TYPE_CHECKING:
    from packaging.requirements import Requirement

Status = Literal["ok", "warning", "failed"]

OLDEST_PYTHON = (3, 10)
SHOWN = {  # package -> what of it must be importable; the others are told only if something is wrong with them
    "numpy": "numpy",
    "opencv-python": "livecnn._cv2",
    "torch": "torch",
    "matplotlib": "matplotlib.figure",
    "pyside6-essentials": "",  # the window has a check of its own
}
OPTIONAL = "pyside6-essentials"
LIMIT = 30.0  # seconds that a driver or a display gets to answer
COUNTED = 15  # pictures behind a camera's rate
MOST_CAMERAS = 5  # tried where the system does not list them
REINSTALL = "reinstall livecnn: pip install --force-reinstall --no-deps livecnn, or a fresh checkout"
# status -> symbol, the same for an output that has only ASCII, colour on a terminal
SIGNS = {"ok": ("✓", "ok", "green"), "warning": ("⚠", "!!", "yellow"), "failed": ("✗", "XX", "red")}
NAME_WIDTH = 20


@click.command()
@click.option("--json", "as_json", is_flag=True, help="As a list of {name, status, found, advice}.")
def command(as_json: bool) -> int:
    """Tell what works here and what to do about the rest.

    Ends with 0 if the main job works (a camera, a GPU or ffmpeg may be missing), with 1 if not.
    """
    findings = []
    for finding in examine():
        findings.append(finding)
        if not as_json:
            _show(finding)
    failed = [finding.name for finding in findings if finding.status == "failed"]
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(finding) for finding in findings], indent=2))
    else:
        click.echo(f"\nlivecnn cannot work yet: {', '.join(failed)}." if failed else "\nlivecnn works here.")
    return 1 if failed else 0


def _show(finding: Finding) -> None:
    sign, plain, color = SIGNS[finding.status]
    sign = sign if _can_print(sign + "→") else plain
    click.echo(f"{click.style(sign, fg=color)} {finding.name:{NAME_WIDTH}} {finding.found}")
    if finding.advice:
        arrow = "→" if _can_print("→") else "->"
        click.echo(f"{'':{len(sign) + NAME_WIDTH + 2}}{arrow} {finding.advice}")


def _can_print(text: str) -> bool:
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True


@dataclasses.dataclass(frozen=True)
class Finding:
    """One line. ok: nothing to do; warning: the main job works without; failed: it does not. advice: "" where there is none."""

    name: str
    status: Status
    found: str
    advice: str = ""


def examine(checks: Iterable[Callable[[], Iterator[Finding]]] | None = None) -> Iterator[Finding]:
    """The findings of all checks, each as soon as it is there. A check that raises is a failed finding of its own."""
    for check in CHECKS if checks is None else checks:
        yield from _guarded(check)


def python() -> Iterator[Finding]:
    """Check the version of Python."""
    enough = sys.version_info >= OLDEST_PYTHON
    advice = "" if enough else f"install Python {'.'.join(map(str, OLDEST_PYTHON))} or newer"
    yield Finding("Python", "ok" if enough else "failed", f"{platform.python_version()} on {platform.platform()}", advice)


def packages() -> Iterator[Finding]:
    """Versions against the ranges that livecnn was installed with, and whether the large ones can be imported."""
    from packaging.requirements import Requirement

    try:
        needed = [Requirement(text) for text in metadata.requires("livecnn") or ()]
    except metadata.PackageNotFoundError:
        needed = []
        yield Finding("livecnn", "warning", f"{__version__}, not installed: allowed versions unknown", "pip install -e .")
    else:
        yield Finding("livecnn", "ok", __version__)
    allowed = {need.name.lower(): need for need in needed if need.marker is None or need.marker.evaluate({"extra": ""})}
    for name in SHOWN:
        yield _package(allowed.pop(name, Requirement(name)))
    yield from (finding for finding in map(_package, allowed.values()) if finding.status != "ok")


def cameras() -> Iterator[Finding]:
    """Each in a process of its own, which may hang."""
    from livecnn.sources.camera import video_devices

    listed = sys.platform == "linux"
    findings: list[Finding] = []
    for address in video_devices() if listed else map(str, range(MOST_CAMERAS)):
        findings.append(_camera(address))
        if findings[-1].status != "ok" and not listed:
            break
    if not findings:
        findings.append(Finding("camera", "warning", "none found", "plug one in; until then the built-in demo plays"))
    elif findings[0].status == "ok" and not listed:
        findings = [finding for finding in findings if finding.status == "ok"]  # the last one tells only where they end
    yield from findings


def window() -> Iterator[Finding]:
    """Check that a window can be opened."""
    from livecnn.app.toolkit.backend import backend, has_display

    if not has_display():
        advice = "log in on a desktop or set DISPLAY to see it live; until then runs are recorded into recordings/"
        yield Finding("window", "warning", "no display", advice)
        return
    try:
        toolkit = backend()
        run_in_subprocess(try_window, toolkit)
    except LivecnnError as error:
        yield Finding("window", "failed", *_split(error, "README.md names the system packages; --headless runs without a window"))
    else:
        qt = toolkit == "qtagg"
        found = f"{toolkit}: {'Qt, the fastest' if qt else 'Tk, because Qt for Python or a library of its is missing'}; it opens"
        advice = "" if qt else "pip install PySide6-Essentials: several times as fast"
        yield Finding("window", "ok" if qt else "warning", found, advice)


def gpu() -> Iterator[Finding]:
    """Check that the device that would be chosen computes."""
    import torch

    from livecnn.networks.device import pick_device

    device = pick_device("auto")
    if device.type == "cpu":
        found = f"none: the CPU is used ({torch.get_num_threads()} threads)"
        yield Finding("GPU", "warning", found, "LeNet needs none; for large networks see pytorch.org, Get Started")
        return
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "Apple's GPU"
    try:
        torch.nn.functional.conv2d(torch.ones(1, 1, 8, 8, device=device), torch.ones(1, 1, 3, 3, device=device)).sum().item()
    except Exception as error:  # a driver too old, an architecture that this PyTorch was not built for
        advice = "run with --device cpu, or install the PyTorch that fits the driver: pytorch.org, Get Started"
        yield Finding("GPU", "failed", f"{device}: {name}: {_line(error)}", advice)
    else:
        yield Finding("GPU", "ok", f"{device}: {name}")


def fonts() -> Iterator[Finding]:
    """Check that matplotlib's font is there."""
    from matplotlib.font_manager import FontProperties, findfont

    try:
        paths = [findfont(FontProperties(family="DejaVu Sans", weight=w), fallback_to_default=False) for w in ("normal", "bold")]
    except ValueError:
        advice = "pip install --force-reinstall matplotlib, which brings it"
        yield Finding("fonts", "failed", "DejaVu Sans is missing", advice)
    else:
        yield Finding("fonts", "ok", f"DejaVu Sans in {Path(paths[0]).parent}")


def folders() -> Iterator[Finding]:
    """Check that the folders livecnn writes to are writable."""
    import matplotlib as mpl
    import torch.hub

    from livecnn import paths
    from livecnn.app.run import RECORDINGS
    from livecnn.app.toolkit.backend import has_display

    places: list[tuple[str, Path, Status, str]] = [
        ("recordings", RECORDINGS.absolute(), "warning" if has_display() else "failed", "start livecnn in a folder of yours"),
        ("your models", paths.user_models(), "warning", "set LIVECNN_MODELS to a folder of yours"),
        ("matplotlib's cache", Path(mpl.get_cachedir()), "warning", "set MPLCONFIGDIR to a folder of yours"),
        ("torch's cache", Path(torch.hub.get_dir()), "warning", "set TORCH_HOME to a folder of yours"),
    ]
    for name, folder, otherwise, advice in places:
        makeshift = folder.name.startswith("matplotlib-") and folder.parent == Path(tempfile.gettempdir())
        reason = "matplotlib makes a temporary one" if makeshift else _unwritable(folder)
        found = f"{folder}: not writable: {reason}" if reason else f"{folder}"
        yield Finding(name, otherwise if reason else "ok", found, advice if reason else "")


def ffmpeg() -> Iterator[Finding]:
    """Check that ffmpeg is there and runs."""
    from livecnn.io.recorders import find_ffmpeg

    try:
        program = find_ffmpeg()
        told = subprocess.run([program, "-version"], capture_output=True, text=True, check=True, timeout=LIMIT).stdout
    except LivecnnError as error:
        yield Finding("ffmpeg", "warning", "none", str(error))
    except (OSError, subprocess.SubprocessError) as error:
        advice = "install another ffmpeg; until then record GIF instead of MP4"
        yield Finding("ffmpeg", "warning", f"does not run: {_line(error)}", advice)
    else:
        yield Finding("ffmpeg", "ok", f"{' '.join(told.split()[2:3])} at {program}")


def model() -> Iterator[Finding]:
    """Loading it verifies its checksum, and that every weight fits."""
    from livecnn import paths
    from livecnn.networks import bundle as bundles

    folder = paths.shipped("models") / "lenet-mnist"
    try:
        bundle = bundles.load(folder)
    except LivecnnError as error:
        yield Finding("model", "failed", str(error), REINSTALL)
    else:
        count = sum(tensor.numel() for tensor in bundle.module.parameters())
        yield Finding("model", "ok", f"{bundle.name}: {count:,} weights, checksum right")


CHECKS: tuple[Callable[[], Iterator[Finding]], ...] = (python, packages, model, window, cameras, gpu, fonts, folders, ffmpeg)


def _guarded(check: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    try:
        yield from check()
    except Exception as error:
        yield Finding(check.__name__, "failed", _line(error), "this could not be checked; see to the other lines first")


def _package(need: Requirement) -> Finding:
    name, advice = need.name, f"pip install '{need}'"
    wrong: Status = "warning" if name.lower() == OPTIONAL else "failed"
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        return Finding(name, wrong, f"not installed; needed is {need.specifier}", advice)
    if not need.specifier.contains(version, prereleases=True):
        return Finding(name, wrong, f"{version}; needed is {need.specifier}", advice)
    module = SHOWN.get(name.lower())
    try:
        if module:
            importlib.import_module(module)
    except LivecnnError as error:
        return Finding(name, wrong, *_split(error, advice))
    except Exception as error:
        return Finding(name, wrong, f"{version} cannot be imported: {_line(error)}", f"pip install --force-reinstall '{need}'")
    return Finding(name, "ok", version)


def _camera(address: str) -> Finding:
    name = f"camera {address}"
    try:
        return Finding(name, "ok", run_in_subprocess(try_camera, address))
    except LivecnnError as error:
        return Finding(name, "warning", *_split(error, "unplug it and plug it in again, or try another"))


def _unwritable(folder: Path) -> str:
    """Why no file can be made in a folder, or in the nearest one that exists, in which it would be made; "" if one can."""
    nearest = next(place for place in (folder, *folder.parents) if place.exists())
    try:
        tempfile.TemporaryFile(dir=nearest).close()
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _split(error: LivecnnError, otherwise: str) -> tuple[str, str]:
    """Split an error into its finding and its advice, which stands after a semicolon; else take other advice."""
    found, _, advice = str(error).partition("; ")
    return found, advice or otherwise


def _line(error: Exception) -> str:
    return f"{type(error).__name__}: {first_line(error)}"


def run_in_subprocess(trial: Callable[[str], None], argument: str) -> str:
    """Return what `try_camera` or `try_window` prints in a process of its own. Raises LivecnnError if it fails."""
    code = f"import sys; from livecnn.cli import doctor; doctor.{trial.__name__}(sys.argv[1])"
    process = subprocess.Popen(
        [sys.executable, "-c", code, argument], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace"
    )
    try:
        out, err = process.communicate(timeout=LIMIT)
    except subprocess.TimeoutExpired:
        process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):  # a driver may keep even a killed process waiting
            process.communicate(timeout=1)
        raise LivecnnError(f"no answer within {LIMIT:g} s") from None
    if process.returncode:
        said = err.strip().splitlines() or [f"ended with code {process.returncode}"]
        raise LivecnnError(said[-1] if process.returncode > 0 else said[0])  # killed by a signal: Qt says why, then more
    return out.strip()


def try_camera(address: str) -> None:
    """Print a camera's size and rate. Ends the process with what is wrong with it."""
    from livecnn.sources import open_source

    with _told(), open_source(f"camera:{address}") as source:
        frame = source.read()
        start = time.monotonic()
        for _ in range(COUNTED):
            frame = source.read()
        seconds = time.monotonic() - start
        assert frame is not None
        height, width = frame.image.shape[:2]
        print(f"{width}x{height}, {COUNTED / seconds:.0f} pictures a second")


def try_window(toolkit: str) -> None:
    """Open a window, unseen, and close it. Ends the process with what is wrong with the display."""
    from matplotlib.figure import Figure

    from livecnn.app.toolkit.backend import new_manager

    with _told():
        new_manager(Figure(), toolkit).destroy()


@contextlib.contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except LivecnnError as error:
        raise SystemExit(str(error)) from error

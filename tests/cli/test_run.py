"""`livecnn run` from its words: what a newcomer types, and every mistake."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image as PillowImage
from PIL import ImageSequence

import livecnn.app.run
from livecnn.app.run import RunOptions
from livecnn.cli import main
from livecnn.sources import SourceOptions
from tests.cli.conftest import Refused

Output = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _no_display(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("sys.platform", "linux")


def test_every_option_arrives(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[RunOptions] = []
    monkeypatch.setattr(livecnn.app.run, "run", given.append)
    words = "run own.yaml --source folder:x --model m --device cpu --record a.gif --headless --frames 7 --set a.b=1 --set c=[2,3]"
    words += (
        " --stats s.json --scores c.csv --fullscreen --once --camera-size 640x480 --camera-fps 30 --fps 2.5 --seed 4 --allow-code"
    )
    assert main(words.split()) == 0
    assert given == [
        RunOptions(
            config="own.yaml",
            source="folder:x",
            model="m",
            device="cpu",
            record=Path("a.gif"),
            headless=True,
            frames=7,
            overrides=("a.b=1", "c=[2,3]"),
            stats=Path("s.json"),
            scores=Path("c.csv"),
            fullscreen=True,
            once=True,
            allow_code=True,
            source_options=SourceOptions((640, 480), 30.0, 2.5, 4),
        )
    ]


def test_alone_without_a_display_it_records(elsewhere: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(livecnn.app.run, "UNSEEN_FRAMES", 3)
    monkeypatch.setattr("livecnn.sources.camera.CameraSource.open", _no_camera)
    assert main([]) == 0
    out, err = capsys.readouterr()
    (path,) = (elsewhere / "recordings").iterdir()
    assert out.splitlines() == [
        f"recorded recordings/{path.name} ({path.stat().st_size / 1e6:.1f} MB)",
        "There is no display here, so this went into a file. For a window, run livecnn on a desktop, or set DISPLAY.",
    ]
    assert err == "livecnn: no camera found: the demo plays\n"
    with PillowImage.open(path) as film:
        assert film.size == (1280, 720)
        assert [frame.info["duration"] for frame in ImageSequence.Iterator(film)] == [100, 100, 100]


def _no_camera(_: object) -> None:
    from livecnn.errors import SourceError

    raise SourceError("camera 0: no such camera")


def test_without_a_display_the_wishes_of_the_user_count(elsewhere: Path, capsys: Output) -> None:
    words = ["run", "--source", "demo", "--frames", "2", "--fps", "5", "--record", "own/x.gif", "--set", "figure.size=[320, 240]"]
    assert main(words) == 0
    assert capsys.readouterr().out.startswith("recorded own/x.gif (")
    with PillowImage.open(elsewhere / "own" / "x.gif") as film:
        assert film.size == (320, 240)
        assert film.info["duration"] == 200


def test_headless_writes_only_what_was_asked_for(elsewhere: Path, capsys: Output) -> None:
    words = ["run", "--source", "demo", "--headless", "--frames", "2", "--stats", "s.json", "--set", "figure.size=[320, 240]"]
    assert main(words) == 0
    assert capsys.readouterr() == ("", "")
    assert [path.name for path in elsewhere.iterdir()] == ["s.json"]
    assert json.loads((elsewhere / "s.json").read_text())["ticks"] == 2


HEADLESS = ["run", "--headless", "--frames", "1"]
DEMO = [*HEADLESS, "--source", "demo"]


def layout(**changes: object) -> str:
    """A small layout, changed, as a file `own.yaml`; a value of None takes a key out."""
    data: dict[str, object] = {
        "model": "lenet-mnist",
        "layout": "cam conv",
        "panels": {"cam": {"kind": "camera"}, "conv": {"kind": "feature_maps", "layer": "conv1"}},
    }
    data |= changes
    return yaml.safe_dump({key: value for key, value in data.items() if value is not None})


CONV = {"kind": "feature_maps", "layer": "conv1"}


def panels(**changes: object) -> str:
    return layout(panels={"cam": {"kind": "camera"}, "conv": {**CONV, **changes}})


MISTAKES: dict[str, tuple[list[str], str]] = {
    "frames": (["run", "--frames", "-3"], "Invalid value for '--frames': -3 is not in the range x>=1"),
    "camera size": (["run", "--camera-size", "640"], "'640' is not a size; allowed: WIDTHxHEIGHT, e.g. 640x480"),
    "fps": (["run", "--fps", "0"], "Invalid value for '--fps'"),
    "layout missing": (["run", "nowhere.yaml"], "nowhere.yaml: neither a file nor a layout that ships; "),
    "set without a value": ([*DEMO, "--set", "panels"], "panels"),
    "set an unknown key": ([*DEMO, "--set", "figure.sise=[1, 2]"], "figure.sise"),
    "set a channel": ([*DEMO, "--set", "panels.conv1.channels=0-99"], "panels.conv1.channels: .*0-19"),
    "set a colour map": ([*DEMO, "--set", "panels.conv1.colormap=jet"], "panels.conv1.colormap: .*gray"),
    "set no YAML": ([*DEMO, "--set", "figure.size=[1,"], "figure.size"),
    "source": ([*HEADLESS, "--source", "webcam"], "source 'webcam': no such kind, folder or file; "),
    "folder missing": ([*HEADLESS, "--source", "folder:nowhere"], "folder nowhere: no such folder"),
    "folder unreadable": (
        [*HEADLESS, "--source", "folder:broken"],
        "folder broken: none of 1 pictures can be read; first: a.png: ",
    ),
    "camera": ([*HEADLESS, "--source", "camera:77"], "camera 77: "),
    "address": ([*HEADLESS, "--source", "http://127.0.0.1:9/x"], "127.0.0.1:9"),
    "model": ([*DEMO, "--model", "nowhere"], "nowhere: neither a model that is at hand nor a bundle's folder"),
    "model without a card": ([*DEMO, "--model", "empty"], "empty"),
    "model that would run code": ([*DEMO, "--model", "own:factory"], "own:factory: this would run Python code .*--allow-code"),
    "record suffix": ([*DEMO, "--record", "x.avi"], r"x.avi: unknown suffix '.avi'; allowed: .gif, .mp4"),
    "record into a folder": ([*DEMO, "--record", "empty"], "Invalid value for '--record': File 'empty' is a directory"),
    "record below a file": ([*DEMO, "--record", "own.yaml/x.gif"], "own.yaml/x.gif: cannot be written: own.yaml is not a folder"),
    "stats below a file": ([*DEMO, "--stats", "own.yaml/s.json"], "own.yaml/s.json: cannot be written"),
    "scores below a file": ([*DEMO, "--scores", "own.yaml/c.csv"], "own.yaml/c.csv: cannot be written"),
    "scores on a full disk": ([*DEMO, "--scores", "/dev/full"], "/dev/full: cannot be written"),
}


@pytest.fixture
def things(elsewhere: Path) -> None:
    """What the mistakes are made with."""
    (elsewhere / "empty").mkdir()
    (elsewhere / "broken").mkdir()
    (elsewhere / "broken" / "a.png").write_bytes(b"no picture")
    (elsewhere / "own.yaml").write_text(layout())


@pytest.mark.usefixtures("things")
@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes(elsewhere: Path, refused: Refused, mistake: str) -> None:
    words, message = MISTAKES[mistake]
    before = sorted(elsewhere.rglob("*"))
    assert re.search(message, refused(words))
    assert sorted(elsewhere.rglob("*")) == before  # nothing half done is left


LAYOUTS: dict[str, tuple[str, str]] = {
    "empty": ("", "own.yaml"),
    "no YAML": ("layout: [", r"own.yaml:\d+"),
    "a list": ("- a\n- b\n", "own.yaml"),
    "unknown model": (layout(model="lenet"), "lenet: neither a model that is at hand .*lenet-mnist"),
    "unknown source": (layout(source="webcam"), "source 'webcam'"),
    "layer of other shape": (panels(layer="ip1"), r"own.yaml:\d+: panels.conv.layer: "),
    "colour map": (panels(colormap="grey"), r"own.yaml:\d+: panels.conv.colormap: .*gray"),
    "scale": (panels(scale="log"), r"own.yaml:\d+: panels.conv.scale: "),
    "view": (layout(views=["nowhere"]), r"own.yaml:\d+: views.*nowhere"),
}


@pytest.mark.parametrize("mistake", LAYOUTS)
def test_mistakes_in_a_layout(elsewhere: Path, refused: Refused, mistake: str) -> None:
    text, message = LAYOUTS[mistake]
    (elsewhere / "own.yaml").write_text(text)
    assert re.search(message, refused(["run", "own.yaml", "--headless", "--frames", "1"]))


def test_pictures_of_all_kinds_are_read_or_skipped(elsewhere: Path, capsys: Output) -> None:
    folder = elsewhere / "zoo"
    folder.mkdir()
    rng = np.random.default_rng(0)
    gray = rng.integers(0, 256, (30, 40), np.uint8)
    for name, image in {
        "gray.png": PillowImage.fromarray(gray),
        "alpha.png": PillowImage.fromarray(rng.integers(0, 256, (30, 40, 4), np.uint8), "RGBA"),
        "deep.png": PillowImage.fromarray(gray.astype(np.uint16) * 257),
        "cmyk.jpg": PillowImage.fromarray(gray).convert("CMYK"),
        "dot.png": PillowImage.new("RGB", (1, 1)),
    }.items():
        image.save(folder / name)
    (folder / "zero.png").write_bytes(b"")
    (folder / "torn.png").write_bytes((folder / "gray.png").read_bytes()[:100])
    words = ["run", "--headless", "--frames", "9", "--once", "--source", f"folder:{folder}", "--stats", "s.json"]
    assert main(words) == 0
    told = capsys.readouterr().err
    assert told.startswith("livecnn: skipped 2: ")
    assert "zero.png: the file is empty" in told
    assert "torn.png: " in told
    assert json.loads((elsewhere / "s.json").read_text())["ticks"] == 5


def test_activations_that_are_no_numbers(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    from livecnn.networks.architectures.lenet import Lenet

    forward: Callable[..., torch.Tensor] = Lenet.forward
    monkeypatch.setattr(Lenet, "forward", lambda self, x: forward(self, x) * float("nan"))
    words = ["run", "--headless", "--frames", "60", "--source", "demo", "--fps", "12", "--scores", "c.csv", "--seed", "1"]
    assert main([*words, "--set", "figure.size=[320, 240]"]) == 0
    rows = [line.split(",") for line in (elsewhere / "c.csv").read_text().splitlines()[1:]]
    assert {row[3] for row in rows} == {""}  # no class is invented
    assert "nan" in {row[5] for row in rows}


def test_what_is_imported_is_never_searched_for_garbage() -> None:
    code = "import gc; from livecnn.cli import main; main(['run', 'none.yaml']); assert gc.isenabled() and gc.get_freeze_count()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (0, 1)

"""`livecnn dream` from its words."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PillowImage

import livecnn
from livecnn.cli import main
from livecnn.dreams import api as dream_files
from livecnn.dreams.ascent import Dream
from livecnn.io import files as outputs
from tests.cli.conftest import Refused
from tests.helpers.files import contents

Output = pytest.CaptureFixture[str]
UNITS = ["dream", "--layer", "conv2", "--units", "3,7"]


def test_a_picture(elsewhere: Path, capsys: Output) -> None:
    assert main([*UNITS, "--steps", "5", "--out", "new/x.png"]) == 0
    assert capsys.readouterr() == ("new/x.png: 2 dreams, 5 steps\n", "")
    assert [path.name for path in (elsewhere / "new").iterdir()] == ["x.png"]
    with PillowImage.open("new/x.png") as image:
        assert (np.asarray(image) == livecnn.dream("lenet-mnist", "conv2", "3,7", steps=5).picture()).all()


def test_a_film_of_the_ascent(elsewhere: Path, capsys: Output) -> None:
    for name in ("a.gif", "b.gif"):
        assert main(["dream", "lenet-mnist", "--classes", "3", "--steps", "70", "--out", name]) == 0
    assert capsys.readouterr().out == "a.gif: 1 dream, 70 steps\nb.gif: 1 dream, 70 steps\n"
    assert (elsewhere / "a.gif").read_bytes() == (elsewhere / "b.gif").read_bytes()
    with PillowImage.open("a.gif") as film:
        assert getattr(film, "n_frames", 0) == 35  # every second step


def test_a_folder(elsewhere: Path) -> None:
    words = "dream --classes 3,5 --parameters pixels --decay 0.01 --blur-every 3 --seed 4 --steps 6 --over max --out d/"
    assert main(words.split()) == 0
    found = livecnn.dream(
        "lenet-mnist", classes="3,5", parameters="pixels", decay=0.01, blur_every=3, seed=4, steps=6, over="max"
    )
    assert sorted(contents(elsewhere / "d")) == ["class-3.png", "class-5.png", "manifest.json", "state.safetensors"]
    told = json.loads((elsewhere / "d" / "manifest.json").read_text())
    assert (told["decay"], told["blur_every"], told["seed"], told["steps"], told["units"]) == (0.01, 3, 4, 6, [3, 5])
    for row, image, value in zip(told["images"], found.images, found.values, strict=True):
        assert row["value"] == pytest.approx(float(value), rel=1e-5)
        with PillowImage.open(elsewhere / "d" / row["file"]) as shown:
            assert (np.asarray(shown) == image).all()
    assert [row["class"] for row in told["images"]] == [3, 5]


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_goes_on_with_the_same_command(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch, ending: signal.Signals
) -> None:
    words = [*UNITS, "--steps", "12", "--out"]
    assert main([*words, "whole/"]) == 0
    stepped = Dream._stepped

    def interrupted(self: Dream, state: Any, *given: Any) -> Any:
        if state.step == 7:
            os.kill(os.getpid(), ending)
        return stepped(self, state, *given)

    with monkeypatch.context() as patch:
        patch.setattr(Dream, "_stepped", interrupted)
        assert main([*words, "broken/"]) == 128 + ending
    assert list(contents(elsewhere / "broken")) == ["state.safetensors"]
    steps: list[int] = []
    monkeypatch.setattr(Dream, "_stepped", lambda self, state, *given: steps.append(state.step) or stepped(self, state, *given))
    assert main([*words, "broken/", "--resume"]) == 0
    assert steps[0] == 7
    assert contents(elsewhere / "broken") == contents(elsewhere / "whole")


def test_a_killed_run_goes_on(elsewhere: Path) -> None:
    code = """
import os, signal, sys
from livecnn.dreams import api as dream_files
from livecnn.cli import main
keep = dream_files._keep
def killed(*given):
    keep(*given)
    if given[2].step == 5:
        os.kill(os.getpid(), signal.SIGKILL)
dream_files._keep, dream_files.OFTEN = killed, -1.0
sys.exit(main(sys.argv[1:]))
"""
    words = [*UNITS, "--steps", "12", "--out"]
    assert subprocess.run([sys.executable, "-c", code, *words, "d/"], check=False).returncode == -signal.SIGKILL
    assert list(contents(elsewhere / "d")) == ["state.safetensors"]
    assert main([*words, "d/"]) == 0
    assert main([*words, "whole/"]) == 0
    assert contents(elsewhere / "d") == contents(elsewhere / "whole")


def test_a_run_that_is_interrupted_at_once_leaves_nothing(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Dream, "_stepped", interrupted)
    assert main([*UNITS, "--steps", "3", "--out", "d/"]) == 130
    assert contents(elsewhere / "d") == {}


def test_a_finished_run_goes_on_further(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dream_files, "OFTEN", -1.0)  # how often the state is kept makes no difference
    for words in (["--steps", "4", "--out", "d/"], ["--steps", "4", "--out", "d/"], ["--steps", "9", "--out", "d"]):
        assert main([*UNITS, *words]) == 0
    assert main([*UNITS, "--steps", "9", "--out", "whole/"]) == 0
    assert contents(elsewhere / "d") == contents(elsewhere / "whole")


def test_a_state_that_cannot_be_written(elsewhere: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise outputs.write_error(Path("d/state.safetensors"), OSError(28, "No space left on device"))

    monkeypatch.setattr(dream_files, "write_atomically", full)
    assert main([*UNITS, "--steps", "3", "--out", "d/"]) == 2
    assert capsys.readouterr().err == "livecnn: d/state.safetensors: cannot be written: No space left on device\n"
    assert contents(elsewhere / "d") == {}


def test_units_that_nothing_excites_are_named(elsewhere: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    (elsewhere / "deadnet.py").write_text(
        "from torch import nn\nclass Net(nn.Sequential):\n    input = {'kind': 'plain', 'size': [8, 8], 'channels': 1}\n"
        "    def __init__(self):\n        super().__init__(nn.Conv2d(1, 3, 8), nn.ReLU(), nn.Flatten())\n"
        "        self[0].weight.data[:2] = 0\n        self[0].bias.data[:] = -9\n"
    )
    monkeypatch.syspath_prepend(elsewhere)
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    words = ["dream", "deadnet:Net", "--units", "0-2", "--steps", "2", "--allow-code"]
    assert main([*words, "--layer", "1", "--out", "x.png"]) == 0
    assert capsys.readouterr().out == "x.png: 3 dreams, 2 steps; nothing excites 0, 1\n"


def test_an_ascent_that_goes_beyond_all_numbers(elsewhere: Path, capsys: Output) -> None:
    assert main(["dream", "--classes", "3", "--steps", "9", "--rate", "1e38", "--out", "d/"]) == 2
    told = "the ascent came to what is no number; a smaller rate, or smaller weights, are needed"
    assert capsys.readouterr().err == f"livecnn: step 2: {told}\n"
    assert "state.safetensors" in contents(elsewhere / "d")


def test_values_that_are_no_numbers_are_null(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (elsewhere / "nannet.py").write_text(
        "from torch import nn\nclass Net(nn.Sequential):\n    input = {'kind': 'plain', 'size': [8, 8], 'channels': 1}\n"
        "    def __init__(self):\n        super().__init__(nn.Conv2d(1, 2, 8), nn.Flatten())\n"
        "    def forward(self, x):\n        return super().forward(x) * float('nan')\n"
    )
    monkeypatch.syspath_prepend(elsewhere)
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    assert main(["dream", "nannet:Net", "--classes", "0-1", "--steps", "2", "--allow-code", "--out", "d/"]) == 0
    assert [row["value"] for row in json.loads((elsewhere / "d" / "manifest.json").read_text())["images"]] == [None, None]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--layer", "conv9", "--units", "0", "--out", "x.png"], "unknown layer 'conv9'; did you mean 'conv2'?"),
        (["--classes", "10", "--out", "x.png"], "class 10: lenet-mnist has 10 (0-9)"),
        (["--classes", "1", "--out", "x.bmp"], "x.bmp: unknown suffix '.bmp'; allowed: .png, .gif, .mp4, or a folder: x.bmp/"),
        (["--classes", "1", "--out", "x.png", "--resume"], "--resume: x.png is no folder; allowed with --out FOLDER/"),
        (["--classes", "1", "--out", "new/", "--resume"], "--resume: new holds no run to go on with"),
        (["--classes", "1", "--steps", "3", "--out", "done/"], "done: holds another run (layer conv2, now None); name another"),
        ([*UNITS[1:], "--seed", "1", "--out", "done/"], "done: holds another run (seed 0, now 1); name another folder"),
        ([*UNITS[1:], "--steps", "2", "--out", "done/"], "done: holds a run of 4 steps already; ask for as many or more"),
        (
            ["--classes", "1", "--blur", "101", "--out", "x.png"],
            "Invalid value for '--blur': 101.0 is not in the range 0<=x<=100.",
        ),
        (["--classes", "1", "--out", "broken/"], "broken/state.safetensors: not the state of a run: "),
        (["--classes", "1"], "Missing option '--out'"),
    ],
)
def test_mistakes(elsewhere: Path, refused: Refused, words: list[str], message: str) -> None:
    if "done/" in words:
        assert main([*UNITS, "--steps", "4", "--out", "done/"]) == 0
    (elsewhere / "broken").mkdir()
    (elsewhere / "broken" / "state.safetensors").write_bytes(b"nonsense")
    assert refused(["dream", *words]).startswith(message)
    assert not (elsewhere / "x.png").exists()

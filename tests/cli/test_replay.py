"""`livecnn replay` from its words."""

import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image as PillowImage

from livecnn.app import replay as replaying
from livecnn.app.replay import ReplayFilter, ReplayOptions
from livecnn.cli import main
from tests.cli.conftest import Refused
from tests.helpers.mnist_files import typeset, write_mnist

Output = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _data(elsewhere: Path) -> None:
    (elsewhere / "data").mkdir()
    write_mnist(elsewhere / "data", *typeset(200), "test")


def test_every_option_arrives(monkeypatch: pytest.MonkeyPatch, capsys: Output) -> None:
    given: list[ReplayOptions] = []
    monkeypatch.setattr(replaying, "run_replay", lambda options: given.append(options) or "done")
    words = "replay data own.yaml --out pictures/ --scores c.csv --summary p.png --only-class 7 --min-score 0.5 --max-score 0.9"
    words += " --wrong --limit 3 --shuffle --seed 4 --order class --fps 2.5 --hold 2 --loop 3 --size 640x480 --jobs 2"
    words += " --model m --device cpu --set a.b=1 --set c=[2,3] --force --allow-code"
    assert main(words.split()) == 0
    choice = ReplayFilter("7", 0.5, 0.9, True, 3, True, 4, "class")
    files: dict[str, Any] = {"out": "pictures/", "scores": Path("c.csv"), "summary": Path("p.png")}
    expected = ReplayOptions("data", "own.yaml", **files, choice=choice, fps=2.5, hold=2, loop=3, size=(640, 480), jobs=2)
    assert given == [replace(expected, model="m", device="cpu", overrides=("a.b=1", "c=[2,3]"), force=True, allow_code=True)]
    assert main(["replay", "data"]) == 0
    assert given[1] == ReplayOptions("data")
    assert capsys.readouterr().out == "done\ndone\n"


def test_one_line_at_the_end(capsys: Output) -> None:
    assert (
        main(["replay", "data", "replay-sorted", "--out", "x.gif", "--limit", "2", "--only-class", "7", "--size", "320x240"]) == 0
    )
    out, err = capsys.readouterr()
    assert re.fullmatch(r"2 frames, \d right, \d wrong, \d+\.\d s, x\.gif \d+\.\d [kM]B\n", out)
    assert err == ""


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("data --out x.gif --fps 0", "'--fps'"),
        ("data --out x.gif --order size", "'name', 'score', 'class'"),
        ("data --out x.tar", "unknown suffix '.tar'"),
        ("data nolayout --out x.gif", "nolayout"),
    ],
)
def test_a_mistake_is_one_line(words: str, message: str, refused: Refused) -> None:
    assert message in refused(["replay", *words.split()])
    assert not Path("x.gif").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signal")
def test_ctrl_c_leaves_a_film_that_plays(elsewhere: Path) -> None:
    words = [sys.executable, "-m", "livecnn", "replay", "data", "--out", "x.gif", "--jobs", "2"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    part = elsewhere / "x.part.gif"
    deadline = time.monotonic() + 60
    while not (part.exists() and part.stat().st_size > 200_000) and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err.strip()) == (130, "")
    with PillowImage.open("x.gif") as film:
        assert 1 < film.n_frames < 200  # type: ignore[attr-defined]
    assert not part.exists()

"""Windows from their opening to their end, however that comes about: exit code, messages, files."""

import csv
import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from livecnn._cv2 import cv2
from tests.helpers.virtual_display import NO_QT, Display, Program, code_of, until

FILES = ("--record", "x.gif", "--stats", "stats.json", "--scores", "scores.csv")


def check_files(folder: Path) -> dict[str, object]:
    """What was recorded plays, the table has whole rows; returns the statistics."""
    assert sorted(path.name for path in folder.iterdir()) == ["scores.csv", "stats.json", "x.gif"]
    video = cv2.VideoCapture(str(folder / "x.gif"))
    assert video.read()[0]
    video.release()
    assert (folder / "x.gif").read_bytes()[-1:] == b";"
    with (folder / "scores.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert len(rows) > 1
    assert {len(row) for row in rows} == {15}
    report: dict[str, object] = json.loads((folder / "stats.json").read_text())
    return report


@pytest.mark.parametrize("toolkit", ["Qt", "Tk"])
def test_a_live_window_frozen_and_interrupted(display: Display, tmp_path: Path, toolkit: str) -> None:
    with Program(display, tmp_path / "run", "run", "--source", "demo", *FILES, code=code_of(toolkit)) as program:
        program.wait_for_window()
        program.wait_for_motion()
        program.key("space")
        until(program.steady, "the picture is frozen")
        frozen = program.shot()
        program.key("space")
        until(lambda: not np.array_equal(program.shot(), frozen), "the picture goes on")
        program.wait_for_motion()
        program.interrupt()
        code, out, err = program.end()
        assert (code, err.strip()) == (130, "")  # a line end, after the ^C of a terminal
        assert out.startswith("recorded x.gif (")
        report = check_files(program.folder)
    assert report["source_state"] == "live"
    assert report["backend"] == f"{toolkit.lower()}agg"
    assert report["frame_age_ms"]["p50"] > 0  # type: ignore[index]


@pytest.mark.parametrize("toolkit", ["Qt", "Tk"])
def test_the_window_manager_closes_it(display: Display, tmp_path: Path, toolkit: str) -> None:
    code = code_of(toolkit)
    with Program(display, tmp_path, "run", "lenet-sorted", "--source", "demo", "--fullscreen", code=code) as program:
        program.wait_for_window()
        until(lambda: program.size() == (1920, 1080), "it fills the screen")
        program.key("alt+F4")
        assert program.end() == (0, "", "")


def broken(target: str, error: str, calls: int = 10) -> str:
    """Python for a livecnn in which a method raises at that call."""
    module, owner, method = target.rsplit(".", 2)
    return f"""
import sys, itertools
from livecnn.errors import SourceError
from livecnn.cli import main
from {module} import {owner}
calls, real = itertools.count(1), {owner}.{method}
def method(*args):
    if next(calls) >= {calls}:
        raise {error}
    return real(*args)
{owner}.{method} = method
sys.exit(main())
"""


DEFECT = "livecnn: internal error: ZeroDivisionError: oops (--debug shows the traceback)\n"
BREAKING = {  # what breaks: code, exit code, message
    "source": (broken("livecnn.sources.demo.DemoSource.read", "SourceError('demo: torn')"), 2, "livecnn: demo: torn\n"),
    "model": (broken("livecnn.networks.architectures.lenet.Lenet.forward", "ZeroDivisionError('oops')"), 1, DEFECT),
    "panel": (broken("livecnn.panels.scores.ScoresDrawer.show", "ZeroDivisionError('oops')"), 1, DEFECT),
    "full disk": (
        broken("livecnn.io.recorders.GifRecorder._put", "OSError(28, 'No space left on device')", 4),
        2,
        "livecnn: x.gif: No space left on device after 3 pictures\n",
    ),
}


@pytest.fixture(scope="module")
def breaking(display: Display, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Program]]:
    """All at once, as each mostly waits; with Tk for every other one."""
    with ExitStack() as stack:
        programs = {}
        for i, (name, (code, *_)) in enumerate(BREAKING.items()):
            folder, words = tmp_path_factory.mktemp("broken"), ("run", "--source", "demo", *FILES)
            programs[name] = stack.enter_context(Program(display, folder, *words, code=NO_QT * (i % 2) + code))
        yield programs


@pytest.mark.parametrize("place", BREAKING)
def test_whatever_breaks_closes_the_window_and_is_told(breaking: dict[str, Program], place: str) -> None:
    program = breaking[place]
    code, out, err = program.end()
    assert (code, err) == BREAKING[place][1:]
    assert out.startswith("recorded x.gif (")
    report = check_files(program.folder)
    assert report["source_state"] == ("lost" if place == "source" else "live")


def test_a_display_that_does_not_answer(tmp_path: Path) -> None:
    with Program(Display(":7654"), tmp_path, "run", "--source", "demo") as program:
        code, out, err = program.end()
    assert (code, out) == (2, "")
    assert err == "livecnn: no window on display :7654: Invalid DISPLAY variable; --headless runs without one\n"

"""One window, all keys: after each, the window shows what the same screen shows without one, pixel by pixel."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from livecnn import bundles
from livecnn.theme import Metrics
from livecnn.types import Frame, Image
from tests.controlled import Controlled, controlled, seven
from tests.windows import TK, Display, Program, until


@pytest.fixture(scope="module", params=["Qt", "Tk"])
def program(request: pytest.FixtureRequest, display: Display, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """On a folder with a single picture, so that whatever changes was changed by a key."""
    if request.param == "Tk":
        pytest.importorskip("tkinter", reason="this Python has no Tk")
    pictures = tmp_path_factory.mktemp("source") / "pictures"
    pictures.mkdir()
    PillowImage.fromarray(seven()).save(pictures / "seven.png")
    words = ("run", "--source", f"folder:{pictures}", "--stats", "stats.json")
    code = TK if request.param == "Tk" else None
    with Program(display, tmp_path_factory.mktemp("window"), *words, code=code) as program:
        program.wait_for_window()
        yield program
        program.key("q")
        assert program.end() == (0, "", "")
        assert f'"backend": "{request.param.lower()}agg"' in (program.folder / "stats.json").read_text()


@pytest.fixture
def oracle(tmp_path: Path) -> Iterator[Controlled]:
    with controlled(bundles.load("lenet-mnist"), Frame(seven(), 0, 0.0, "seven.png"), tmp_path, box=1.0) as oracle:
        oracle.live.source_name = "pictures"
        oracle.live.refresh()
        yield oracle


def without_numbers(picture: Image) -> Image:
    """Without the strip on top, which tells rates and ages, and the one at the bottom, where messages come and go."""
    height, width = picture.shape[:2]
    metrics = Metrics.of(width, height)
    return picture[metrics.header : height - metrics.px(66)]


def until_it_shows(program: Program, expected: Image) -> None:
    def same() -> bool:
        shot = program.shot()
        return shot.shape == expected.shape and bool(np.array_equal(without_numbers(shot), without_numbers(expected)))

    until(same, "the window shows what it should")


@pytest.mark.parametrize(
    ("presses", "back"),
    [
        (["3"], ["3"]),
        (["0", "9"], ["9"]),
        (["k"], ["k"] * 8),
        (["plus"], ["minus"]),
        (["minus", "minus"], ["plus", "plus"]),
        (["m"], ["m"]),
        (["h"], ["h"]),
        (["v"], ["v", "v"]),
        (["v", "v", "5"], ["5", "v"]),
        (["space", "3", "v", "space"], ["3", "v", "v"]),
    ],
    ids="-".join,
)
def test_keys(program: Program, oracle: Controlled, presses: list[str], back: list[str]) -> None:
    names = {"plus": "+", "minus": "-", "space": " "}
    before = oracle.screen.pixels()
    until_it_shows(program, before)
    changed = oracle.press(*(names.get(key, key) for key in presses))
    program.key(*presses)
    until_it_shows(program, changed)
    after = oracle.press(*(names.get(key, key) for key in back))
    program.key(*back)
    until_it_shows(program, after)

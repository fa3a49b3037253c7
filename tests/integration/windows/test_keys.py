"""One window, all keys: after each, the window shows what the same screen shows without one, pixel by pixel."""

from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image as PillowImage

from livecnn.app.screen.figure import FigureView
from livecnn.drawing.theme import THEMES, Metrics
from livecnn.panels.base.spec import COLORMAPS
from livecnn.panels.status import StatusDrawer
from livecnn.types import Image
from tests.helpers.controlled_screen import Controlled, folder_of_seven
from tests.helpers.virtual_display import Display, Program, code_of, until


@pytest.fixture(scope="module", params=["Qt", "Tk"])
def program(request: pytest.FixtureRequest, display: Display, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    words = ("run", "--source", f"folder:{folder_of_seven(tmp_path_factory.mktemp('source'))}", "--stats", "stats.json")
    with Program(display, tmp_path_factory.mktemp("window"), *words, code=code_of(request.param)) as program:
        program.wait_for_window()
        yield program
        program.key("q")
        assert program.end() == (0, "", "")
        assert f'"backend": "{request.param.lower()}agg"' in (program.folder / "stats.json").read_text()


def without_numbers(picture: Image, screen: FigureView) -> Image:
    """Without what tells rates and ages, and without the strip at the bottom where messages come and go."""
    height, width = picture.shape[:2]
    metrics = Metrics.of(width, height)
    picture = picture.copy()
    for drawer in screen.drawers.values():
        if isinstance(drawer, StatusDrawer):
            x, y, w, h = drawer.body
            picture[y : y + h, x : x + w] = 0
    return picture[metrics.header : height - metrics.px(66)]


def says_frozen(picture: Image) -> bool:
    """Is there a word in the accent colour in the right half of the strip on top?"""
    height, width = picture.shape[:2]
    facts = picture[: Metrics.of(width, height).header, width // 2 :]
    return bool((facts == THEMES["dark"].accent).all(axis=2).any())


def until_it_shows(program: Program, oracle: Controlled) -> None:
    """Until the window shows what the oracle shows."""
    expected = without_numbers(oracle.screen.pixels(), oracle.screen)

    def same() -> bool:
        shot = program.shot()
        if shot.shape != oracle.screen.pixels().shape:
            return False
        return bool(np.array_equal(without_numbers(shot, oracle.screen), expected))

    until(same, "the window shows what it should")


@pytest.mark.parametrize(
    ("presses", "back"),
    [
        (["3"], ["3"]),
        (["0", "9"], ["9"]),
        (["k"], ["k"] * len(COLORMAPS)),  # after the last one the layout's own
        (["plus", "minus"], ["plus"]),  # it is as large as can be
        (["minus", "minus"], ["plus", "plus"]),
        (["m"], ["m"]),
        (["h"], ["h"]),
        (["v"], ["v", "v", "v"]),
        (["v", "v", "5"], ["5", "v", "v"]),
        (["space", "3", "v", "space"], ["3", "v", "v", "v"]),
    ],
    ids="-".join,
)
def test_keys(program: Program, oracle: Controlled, presses: list[str], back: list[str]) -> None:
    names = {"plus": "+", "minus": "-", "space": " "}
    until_it_shows(program, oracle)
    for keys in (presses, back):
        oracle.press(*(names.get(key, key) for key in keys))
        program.key(*keys)
        until_it_shows(program, oracle)


def test_a_click_on_a_views_name_opens_it(program: Program, oracle: Controlled) -> None:
    for index in (2, 0):
        place, _ = oracle.screen.header.tabs[index]
        x, y = place.x + place.w // 2, place.y + place.h // 2
        oracle.controls.point(x, y)
        program.click(x, y)
        until_it_shows(program, oracle)


@pytest.mark.parametrize("size", [(800, 600), (1000, 700), (640, 400), (1280, 720)])
def test_resizing_keeps_every_pixel_in_place(program: Program, oracle: Controlled, size: tuple[int, int]) -> None:
    program.resize(*size)
    oracle.resize(*size)
    until_it_shows(program, oracle)


def test_full_screen_and_back(program: Program, oracle: Controlled) -> None:
    for size in ((1920, 1080), (1280, 720)):
        program.key("f")
        oracle.resize(*size)
        until_it_shows(program, oracle)


def test_a_snapshot_is_the_window(program: Program) -> None:
    program.key("space")
    until(lambda: says_frozen(program.shot()), "the window says that it is frozen")
    shot = program.shot()
    program.key("s")
    folder = program.folder / "recordings"
    until(lambda: bool(list(folder.glob("*.png"))), "there is a snapshot")
    (path,) = folder.iterdir()
    with PillowImage.open(path) as image:
        np.testing.assert_array_equal(np.asarray(image), shot)
    # The message comes and goes, though the picture stands still.
    until(lambda: not np.array_equal(program.shot(), shot), "a message tells of the snapshot")
    until(lambda: np.array_equal(program.shot(), shot), "the message is gone")
    program.key("space")

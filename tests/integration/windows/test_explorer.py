"""The explorer in a real window, by real keys and a real mouse: it shows what the same screen shows without a window."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import livecnn
from livecnn.analysis.annotations.store import Annotations, annotations_path
from livecnn.app.plan import Plan
from livecnn.panels.base.targets import ButtonTarget, LayerTarget, Target
from livecnn.selection import Action, Unit
from livecnn.types import Frame, Image
from tests.helpers.controlled_screen import Controlled, controlled, folder_of_seven, seven
from tests.helpers.mnist_files import typeset, write_mnist
from tests.helpers.scenes import place
from tests.helpers.virtual_display import Display, Program, until

PANELS = ("strip", "layer", "scores")  # which show no times and no explanations, so that every pixel is known


@pytest.fixture(scope="module")
def marks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of annotations; programs inherit it."""
    folder = tmp_path_factory.mktemp("marks")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(os.environ, "LIVECNN_ANNOTATIONS", str(folder))
        yield folder


@pytest.fixture(scope="module")
def tops(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """What conv1 did over a few digits; programs inherit it."""
    folder = tmp_path_factory.mktemp("tops")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(os.environ, "LIVECNN_TOPS", str(folder))
        write_mnist(folder, *typeset(30), "test")
        livecnn.top(folder, layers="conv1")
        yield folder


@pytest.fixture(scope="module")
def program(display: Display, marks: Path, tops: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    pictures = folder_of_seven(tmp_path_factory.mktemp("source"))
    with Program(display, tmp_path_factory.mktemp("window"), "run", "explorer", "--source", f"folder:{pictures}") as program:
        program.wait_for_window()
        yield program
        program.key("q")
        assert program.end() == (0, "", "")


@pytest.fixture
def oracle(marks: Path, tops: Path, tmp_path: Path) -> Iterator[Controlled]:
    with controlled(Plan.of("explorer", source="demo"), Frame(seven(), 0, 0.0, "seven.png"), tmp_path, box=1.0) as oracle:
        path = annotations_path(oracle.screen.layout.path, oracle.screen.layout.from_file, "lenet-mnist")
        oracle.screen.context.session.annotations = Annotations.open(path, "lenet-mnist")
        yield oracle


def cards(picture: Image, oracle: Controlled) -> list[Image]:
    places = (oracle.screen.drawers[name].card for name in PANELS)
    return [picture[y : y + h, x : x + w] for x, y, w, h in places]


def until_it_shows(program: Program, oracle: Controlled) -> None:
    oracle.live.refresh()
    expected = cards(oracle.screen.pixels(), oracle)
    until(
        lambda: all(map(np.array_equal, cards(program.shot(), oracle), expected)),
        f"the window shows {oracle.screen.focus}",
    )


def click(program: Program, oracle: Controlled, target: Target, **held: bool) -> None:
    x, y = place(oracle.screen, target)
    program.hover(x, y)
    oracle.controls.drag(x, y)
    program.click(x, y, *held)
    oracle.click(x, y, **held)


def test_layers_units_and_muting_by_mouse_and_keys(program: Program, oracle: Controlled) -> None:
    until_it_shows(program, oracle)
    click(program, oracle, LayerTarget("conv1"))
    until_it_shows(program, oracle)  # with the words about the node beside it
    click(program, oracle, Unit("conv1", 7))
    until_it_shows(program, oracle)
    click(program, oracle, Unit("conv1", 12), ctrl=True)
    assert oracle.screen.context.session.muted.units == {("conv1", 12)}
    until_it_shows(program, oracle)  # scores as well
    for key in ("Right", "Down", "Left", "Up", "x", "o", "o", "bracketright", "bracketright", "t", "3", "3", "z"):
        program.key(key)
        oracle.press({"bracketright": "]"}.get(key, key.lower()))
    assert (oracle.screen.focus.layer, oracle.screen.context.session.muted.units) == ("conv2", frozenset())
    program.key("o", "o", "o")
    oracle.press("o", "o", "o")
    until_it_shows(program, oracle)


def mark(folder: Path, layer: str, unit: int) -> dict[str, Any]:
    """What the file says of a unit."""
    files = list(folder.glob("*.annotations.json"))  # not one that is still being written
    units = json.loads(files[0].read_text())["units"] if files else {}
    return dict(units.get(layer, {}).get(str(unit), {}))


def test_marks_and_notes_are_in_the_file_at_once(program: Program, oracle: Controlled, marks: Path) -> None:
    click(program, oracle, LayerTarget("conv1"))
    until_it_shows(program, oracle)
    x, y = place(oracle.screen, Unit("conv1", 3))
    program.key("a")
    program.click(x, y)
    until(lambda: mark(marks, "conv1", 3).get("verdict") == "good", "a click marks it as good")
    program.click(*place(oracle.screen, Unit("conv1", 5)), times=2)  # elsewhere, or its first would be the second there
    until(lambda: mark(marks, "conv1", 5).get("verdict") == "bad", "a double click marks one as bad")
    program.click(x, y, "shift")
    until(lambda: not mark(marks, "conv1", 3), "Shift and a click take the mark away")
    program.key("a", "y")
    until(lambda: mark(marks, "conv1", 3).get("verdict") == "good", "a key marks it")
    program.key("n", "o", "k", "q", "Return")
    until(lambda: mark(marks, "conv1", 3).get("note") == "okq", "a note is kept, and q did not quit")


def strongest(picture: Image, oracle: Controlled) -> tuple[Image, Image]:
    """Its tabs, and its images without the preferred one, which goes on changing."""
    x, y, w, h = oracle.screen.drawers["strongest"].card
    top = h // 6
    return picture[y : y + top, x : x + w], picture[y + top : y + h, x : x + w // 2]


def test_tabs_lead_from_the_collection_to_this_session_and_back(program: Program, oracle: Controlled) -> None:
    def until_equal(part: int) -> Image:
        expected = strongest(oracle.screen.pixels(), oracle)[part]
        until(lambda: np.array_equal(strongest(program.shot(), oracle)[part], expected), "the window shows the same")
        return expected

    click(program, oracle, LayerTarget("conv1"))
    click(program, oracle, Unit("conv1", 7))
    collection = until_equal(0), until_equal(1)
    click(program, oracle, ButtonTarget(Action.CHOOSE_SHOTS, "session"))
    assert not np.array_equal(until_equal(0), collection[0])
    until(lambda: not np.array_equal(strongest(program.shot(), oracle)[1], collection[1]), "the window shows its own shots")
    click(program, oracle, ButtonTarget(Action.CHOOSE_SHOTS, "collection"))
    program.hover(5, 5)
    oracle.controls.drag(5, 5)
    oracle.live.refresh()
    assert np.array_equal(until_equal(0), collection[0])
    assert np.array_equal(until_equal(1), collection[1])

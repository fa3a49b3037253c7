"""Pictures of `livecnn shell` in a real window, while somebody types."""

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from livecnn._cv2 import cv2
from tests.helpers.virtual_display import NO_QT, Display, until

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals of this kind")
if sys.platform != "win32":
    from tests.helpers.pseudo_terminal import Terminal

SEVEN = "explain --layer conv2 --units 0-4"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    sheet = np.full((200, 200, 3), 235, np.uint8)
    cv2.polylines(sheet, [np.array([[60, 50], [140, 50], [90, 160]])], False, (20, 20, 20), 12)
    PillowImage.fromarray(sheet).save(tmp_path / "seven.png")
    return tmp_path


def window(display: Display, title: str) -> str:
    """Its id, once it is there."""
    until(lambda: bool(display.xdotool("search", "--onlyvisible", "--name", title)), f"{title!r} is shown")
    return display.xdotool("search", "--onlyvisible", "--name", title)


def gone(display: Display) -> None:
    until(lambda: not display.xdotool("search", "--onlyvisible", "--name", "explain"), "the window is closed")


@pytest.mark.parametrize("toolkit", ["Qt", "Tk"])
def test_a_picture_beside_the_prompt(display: Display, folder: Path, toolkit: str) -> None:
    if toolkit == "Tk":
        pytest.importorskip("tkinter", reason="this Python has no Tk")
    env = {"DISPLAY": display.name, "LIVECNN_HISTORY": str(folder / "history")}
    with Terminal(folder, "shell", "lenet-mnist", "seven.png", env=env, first="" if toolkit == "Qt" else NO_QT) as terminal:
        terminal.type_after("❯", f"{SEVEN} --out outside.png\r")
        terminal.type_after("outside.png: 5 explanations", f"{SEVEN}\r")
        terminal.wait_for("in the window: 5 explanations; the network says 7")
        first = window(display, f"^{SEVEN}$")
        outside = np.asarray(PillowImage.open(folder / "outside.png"))
        height, width = outside.shape[:2]
        until(lambda: np.array_equal(display.shot()[:height, :width], outside), "the picture is seen")

        terminal.type("explain --clas")  # it lives while somebody types
        display.xdotool("windowsize", first, width // 2, height)
        small = cv2.resize(outside, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
        top = (height - height // 2) // 2
        until(lambda: np.array_equal(display.shot()[top : top + height // 2, : width // 2], small), "it follows the window")
        display.xdotool("key", "s")
        window(display, "^saved as recordings/livecnn-")
        (saved,) = (folder / "recordings").glob("*.png")
        assert saved.read_bytes() == (folder / "outside.png").read_bytes()

        terminal.type("ses 7\r")
        terminal.wait_for("in the window: 1 explanation")
        assert window(display, "^explain --classes 7$") == first
        display.xdotool("key", "q")
        gone(display)

        terminal.type("explain --classes 8\r")
        terminal.wait_for("in the window: 1 explanation")
        window(display, "^explain --classes 8$")
        display.xdotool("key", "alt+F4")
        gone(display)

        terminal.type("explain --classes 9\r")
        terminal.wait_for("in the window: 1 explanation")
        window(display, "^explain --classes 9$")
        terminal.type("quit\r")
        assert terminal.end() == 0
    gone(display)
    assert "Traceback" not in terminal.told


@pytest.mark.parametrize("toolkit", ["Qt", "Tk"])
def test_a_window_that_is_closed_while_the_next_picture_is_made(display: Display, folder: Path, toolkit: str) -> None:
    if toolkit == "Tk":
        pytest.importorskip("tkinter", reason="this Python has no Tk")
    env = {"DISPLAY": display.name, "LIVECNN_HISTORY": str(folder / "history")}
    with Terminal(folder, "shell", "lenet-mnist", "seven.png", env=env, first="" if toolkit == "Qt" else NO_QT) as terminal:
        terminal.type_after("❯", "explain --classes 7\r")
        terminal.wait_for("in the window: 1 explanation")
        window(display, "^explain --classes 7$")
        terminal.type("dream --layer conv2 --units 0-7 --steps 1000\r")
        terminal.wait_for("step/s")
        display.xdotool("key", "alt+F4")
        terminal.wait_for("in the window: 8 dreams")
        window(display, "^dream --layer conv2")
        gone(display)
        terminal.type("quit\r")
        assert terminal.end() == 0


def test_a_recordings_folder_that_cannot_be_made(display: Display, folder: Path) -> None:
    (folder / "recordings").touch()
    env = {"DISPLAY": display.name, "LIVECNN_HISTORY": str(folder / "history")}
    with Terminal(folder, "shell", "lenet-mnist", "seven.png", env=env) as terminal:
        terminal.type_after("❯", "explain --classes 7\r")
        terminal.wait_for("in the window: 1 explanation")
        window(display, "^explain --classes 7$")
        display.xdotool("key", "s")
        window(display, "cannot be written: recordings is not a folder")
        terminal.type("quit\r")
        assert terminal.end() == 0

"""What somebody who gives a show does with a window, and what happens to it meanwhile; with real events, in Qt and in Tk."""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from livecnn import paths
from livecnn._cv2 import cv2
from livecnn.drawing.theme import Metrics
from livecnn.types import Image
from tests.helpers.controlled_screen import Controlled, folder_of_seven
from tests.helpers.servers import MjpegServer
from tests.helpers.virtual_display import Display, Program, code_of, until


@pytest.fixture(params=["Qt", "Tk"])
def code(request: pytest.FixtureRequest) -> str | None:
    return code_of(request.param)


@pytest.fixture
def network_camera() -> Iterator[MjpegServer]:
    with MjpegServer((320, 240)) as server:
        yield server


def white(picture: Image) -> int:
    """Pixels of paper."""
    return int((picture == 255).all(axis=2).sum())


def sheet(program: Program) -> tuple[int, int, int]:
    """Left, top and side of the pad's sheet in the window."""
    rows, columns = np.nonzero((program.shot() == 255).all(axis=2))
    left, top = int(np.percentile(columns, 2)), int(np.percentile(rows, 2))
    return left, top, int(np.percentile(columns, 98)) - left


def films(folder: Path) -> list[Path]:
    return sorted((folder / "recordings").glob("*"))


def plays(path: Path) -> bool:
    film = cv2.VideoCapture(str(path))
    try:
        return bool(film.read()[0])
    finally:
        film.release()


def test_drawing_on_the_pad(display: Display, tmp_path: Path, code: str | None) -> None:
    with Program(display, tmp_path, "run", "--source", "pad", code=code) as program:
        program.wait_for_window()
        until(lambda: white(program.shot()) > 20_000, "the sheet is there")
        left, top, side = sheet(program)
        before = white(program.shot())

        def stroke(button: int, *points: tuple[float, float]) -> None:
            places = [(left + round(x * side), top + round(y * side)) for x, y in points]
            display.xdotool("mousemove", *places[0], "mousedown", button)
            for place in places[1:]:
                display.xdotool("mousemove", *place)
            display.xdotool("mouseup", button)

        stroke(1, (0.3, 0.25), (0.5, 0.25), (0.7, 0.25), (0.6, 0.5), (0.5, 0.75))
        until(lambda: white(program.shot()) < before - 500, "the stroke is seen")
        until(program.steady, "the picture stands still")
        drawn = white(program.shot())
        stroke(3, (0.3, 0.25), (0.7, 0.25))
        until(lambda: white(program.shot()) > drawn + 200, "the eraser has erased")
        program.key("c")
        until(lambda: abs(white(program.shot()) - before) < 500, "the sheet is clean")
        program.key("q")
        assert program.end()[0] == 0


def test_from_the_demo_to_the_pad_and_back(display: Display, tmp_path: Path) -> None:
    with Program(display, tmp_path, "run", "--source", "demo") as program:
        program.wait_for_window()
        program.key("p")
        until(lambda: white(program.shot()) > 20_000, "the sheet is there")
        program.key("p")
        until(lambda: white(program.shot()) < 5_000, "the demo is back")
        program.wait_for_motion()
        program.key("q")
        assert program.end() == (0, "", "")


@pytest.mark.parametrize(("toolkit", "number", "expected"), [("Qt", signal.SIGTERM, 143), ("Tk", signal.SIGINT, 130)])
def test_a_recording_is_finished_when_the_program_is_asked_to_end(
    display: Display, tmp_path: Path, toolkit: str, number: signal.Signals, expected: int
) -> None:
    code = code_of(toolkit)
    with Program(display, tmp_path, "run", "--source", "demo", "--stats", "stats.json", code=code) as program:
        program.wait_for_window()
        program.key("r")
        until(lambda: bool(films(tmp_path)), "the film has begun")
        until(lambda: program.shot()[40:80, -140:].max(axis=(0, 1))[0] > 200, "the mark is there")
        program.process.send_signal(number)
        exit_code, out, _ = program.end()
    assert exit_code == expected
    (film,) = films(tmp_path)
    assert out == f"recorded recordings/{film.name} ({film.stat().st_size / 1e6:.1f} MB)\n"
    assert plays(film)
    assert (tmp_path / "stats.json").exists()


def test_a_recording_survives_a_kill(display: Display, tmp_path: Path) -> None:
    with Program(display, tmp_path, "run", "--source", "demo", "--record", "x.gif") as program:
        program.wait_for_window()
        until(lambda: (tmp_path / "x.part.gif").exists() and (tmp_path / "x.part.gif").stat().st_size > 200_000, "it grows")
        program.process.kill()
        program.process.wait()
    assert [path.name for path in tmp_path.iterdir()] == ["x.part.gif"]
    assert plays(tmp_path / "x.part.gif")


def test_a_layout_is_edited_while_it_is_on_show(display: Display, tmp_path: Path) -> None:
    layout = tmp_path / "mine.yaml"
    text = paths.layouts()["lenet"].read_text().replace("views: [lenet,", "views: [mine,")
    layout.write_text(text)
    with Program(display, tmp_path, "run", "mine.yaml", "--source", "demo") as program:
        program.wait_for_window()
        before = program.shot()
        layout.write_text(text.replace("kind: camera", "kind: kamera"))
        banner = (slice(40, 90), slice(300, 1000))
        until(lambda: red(program.shot()[banner]) > 1000, "the mistake is told")
        layout.write_text(text.replace("figure:", "figure:\n  theme: light"))
        until(lambda: program.shot()[2, 2].min() > 200, "the layout is another")
        assert red(program.shot()[banner]) < 1000
        layout.write_text(text)
        until(lambda: bool((program.shot()[2, 2] == before[2, 2]).all()), "the first layout is back")
        program.key("q")
        assert program.end() == (0, "", "")


def red(picture: Image) -> int:
    red, green, blue = (picture[..., i].astype(int) for i in range(3))
    return int(((red > 120) & (red > 2 * green) & (red > 2 * blue)).sum())


def test_a_network_camera_that_goes_and_comes_back(display: Display, tmp_path: Path, network_camera: MjpegServer) -> None:
    with Program(display, tmp_path, "run", "--source", network_camera.address, "--stats", "s.json") as program:
        program.wait_for_window()
        program.wait_for_motion()
        network_camera.cut()
        until(lambda: red(program.shot()) > 300, "the loss is told")
        program.key("v")  # the window lives
        network_camera.restore()
        until(lambda: red(program.shot()) == 0 and not program.steady(), "it is back")
        program.key("q")
        assert program.end() == (0, "", "")
    assert '"source_state": "live"' in (tmp_path / "s.json").read_text()
    assert '"reconnects": 1' in (tmp_path / "s.json").read_text()


def below_header(picture: Image) -> Image:
    """Without the rates and ages."""
    return picture[Metrics.of(picture.shape[1], picture.shape[0]).header :]


def shows(program: Program, picture: Image, tolerance: float = 0.0) -> Callable[[], bool]:
    """Does the window show that, by the mean difference of its pixels?"""

    def same() -> bool:
        shot = program.shot()
        if shot.shape != picture.shape:
            return False
        return float(np.abs(below_header(shot).astype(int) - below_header(picture)).mean()) <= tolerance

    return same


def test_minimised_and_restored(display: Display, tmp_path: Path, code: str | None, oracle: Controlled) -> None:
    folder_of_seven(tmp_path)
    with Program(display, tmp_path, "run", "--source", "folder:pictures", code=code) as program:
        program.wait_for_window()
        until(shows(program, oracle.press()), "the picture is there")
        display.xdotool("windowminimize", program.id)
        until(lambda: program.id not in display.xdotool("search", "--onlyvisible", "--name", "^livecnn$"), "it is gone")
        display.xdotool("windowmap", program.id)
        until(shows(program, oracle.press()), "it is back, every pixel in place")
        program.key("q")
        assert program.end() == (0, "", "")


def test_a_screen_of_another_density(
    display: Display, tmp_path: Path, oracle: Controlled, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QT_SCALE_FACTOR", "1.25")
    folder_of_seven(tmp_path)
    with Program(display, tmp_path, "run", "--source", "folder:pictures") as program:
        program.wait_for_window()
        until(shows(program, oracle.resize(1600, 900)), "every pixel is one of the figure's own")
        program.resize(1100, 1000)
        until(shows(program, oracle.resize(1100, 1000)), "also after a resize")
        program.key("Escape")  # as q
        assert program.end() == (0, "", "")


MOVED = """
import sys
from livecnn.cli import main
from livecnn.app.toolkit.qtagg import FigureCanvas
from livecnn.app.window import Window
tick, ticks = Window._tick, []
def moved(window, frame):
    ticks.append(frame)
    if len(ticks) == 2:  # on to a screen of another density
        FigureCanvas.devicePixelRatioF = lambda canvas: 1.25
        window._canvas._update_pixel_ratio()
    return tick(window, frame)
Window._tick = moved
sys.exit(main())
"""


def test_on_to_a_screen_of_another_density(display: Display, tmp_path: Path, oracle: Controlled) -> None:
    folder_of_seven(tmp_path)
    with Program(display, tmp_path, "run", "--source", "folder:pictures", code=MOVED) as program:
        program.wait_for_window()
        fine = oracle.resize(1600, 900)
        # This display has pixels of one size: the picture, drawn for finer ones, is shown scaled down.
        wanted = cv2.resize(fine, (1280, 720), interpolation=cv2.INTER_LINEAR)
        until(shows(program, np.asarray(wanted, np.uint8), tolerance=4.0), "the whole picture, finer")
        program.key("q")
        assert program.end() == (0, "", "")

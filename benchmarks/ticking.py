"""What the peers of live_tick.py have in common: the same ticks to show, the same words, and the same clock."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import torch

from livecnn.networks.bundle import load  # before Qt: what OpenCV does to Qt's environment is undone in there

# isort: split
from matplotlib.backends.qt_compat import QtCore, QtGui, QtWidgets

from livecnn.app.plan import input_box_share, make_context
from livecnn.app.screen.figure import FigureView
from livecnn.engine.crop import Cropper
from livecnn.engine.observer import Observer
from livecnn.engine.reducers import Mosaic
from livecnn.layout.layout import load_layout
from livecnn.sources import SourceOptions, open_source
from livecnn.types import Image, LoopStatus, Scene, SourceStatus

SIZE = (1280, 720)
WIDTHS, HEIGHTS = (5, 5, 8, 12), (17, 11, 8)  # of the grid's columns and rows, as in the layout
WARM_UP = 10  # ticks that are not counted: caches, fonts, the first full draw
HOLD = 8  # ticks between two readings of the status line: faster than that nobody can read it

CAPTIONS = {
    "camera": "Demo",
    "shot": "In the box: as taken",
    "seen": "what the net sees",
    "conv1": "conv1 · 20 maps, 24×24 · white is strong",
    "conv2": "conv2 · 50 feature maps, 8×8 · white is strong",
    "ip1": "ip1 · 500 fully connected neurons · yellow is active",
    "scores": "Prediction",
}


def content(count: int) -> tuple[FigureView, list[Scene]]:
    """The shipped generic view at 1280x720, and what LeNet makes of the first `count` frames of the demo.

    The same for every peer: the maps of a layer come tiled and scaled to uint8, as the model thread hands them to the display.
    """
    layout = load_layout("lenet", [f"figure.size={list(SIZE)}"])
    bundle = load(layout.model)
    screen = FigureView(layout, make_context(bundle), ["generic", "sorted", "overview"])
    source = open_source("demo", SourceOptions())
    observer = Observer(bundle.module, Cropper(bundle.pipeline, input_box_share(layout, source)), torch.device("cpu"))
    observer.watch(screen.reducers)
    scenes = []
    with source, observer as observe:
        for number in range(count):
            frame = source.read()
            assert frame is not None
            scenes.append(Scene(frame, observe(frame), _status(source.name, number // HOLD)))
    return screen, scenes


def _status(source: str, reading: int) -> LoopStatus:
    rate, spent, age = 20 + reading % 10, reading % 7 / 10, 10 + reading % 5
    return LoopStatus(SourceStatus(name=source), display_fps=rate, model_ms=spent, picture_age=age)


def maps(mosaic: Mosaic) -> Image:
    """The maps of a mosaic one by one, uint8 (rows * columns, h, w)."""
    (rows, columns), (h, w) = mosaic.grid, mosaic.cell
    return mosaic.codes.reshape(rows, h, columns, w).swapaxes(1, 2).reshape(rows * columns, h, w)


def headline(scene: Scene) -> tuple[str, str]:
    """The top class and its share, or that there is none."""
    scores = scene.tick.scores
    if scene.tick.patch.prepared.empty:
        return "", "nothing in the box"
    return str(scores.argmax()), f"{100 * scores.max():.1f} %"


def percent(score: float) -> str:
    """The number over a bar; none over one that cannot be seen."""
    return f"{100 * score:.0f}" if score >= 0.005 else ""


def status_line(scene: Scene) -> str:
    status = scene.status
    return (
        f"demo   {status.display_fps:.0f} fps   model {status.model_ms:.1f} ms   picture {status.picture_age:.0f} ms old   h help"
    )


class Clock(QtCore.QObject):
    """Work time of ticks: from `start`, when the update is entered, until `stop` has seen the pixels on the window.

    That is the same for all: the widget was painted (Qt paints and flushes in one go), and the X server answered a question
    that it could only answer after it had copied those pixels. Raises RuntimeError if a tick is not painted exactly once; those
    of the warm-up may be, as the window system may ask for the opening window's pixels late.
    shot: file for a screenshot of the last of `count` ticks.
    """

    def __init__(self, widget: QtWidgets.QWidget, count: int, shot: Path | None) -> None:
        super().__init__()
        self.seconds: list[float] = []
        self.running = False
        self._count, self._shot = count, shot
        self._paints = 0
        self._started = 0.0
        ratio = widget.devicePixelRatioF()
        if (widget.width() * ratio, widget.height() * ratio) != SIZE:
            raise RuntimeError(f"{widget.width()}x{widget.height()} at {ratio}; needed are {SIZE[0]}x{SIZE[1]} device pixels")
        widget.installEventFilter(self)

    def eventFilter(self, _watched: QtCore.QObject, event: QtCore.QEvent) -> bool:
        self._paints += event.type() == QtCore.QEvent.Type.Paint
        return False

    @property
    def over(self) -> bool:
        return len(self.seconds) == self._count

    def start(self) -> None:
        self.running, self._paints = True, 0
        self._started = time.perf_counter()

    def stop(self) -> None:
        while not self._paints:
            QtWidgets.QApplication.processEvents()
        QtGui.QGuiApplication.sync()
        self.seconds.append(time.perf_counter() - self._started)
        self.running = False
        if self._paints != 1 and len(self.seconds) > WARM_UP:
            raise RuntimeError(f"tick {len(self.seconds)} was painted {self._paints} times")
        if self.over and self._shot is not None:
            QtWidgets.QApplication.primaryScreen().grabWindow(0, 0, 0, *SIZE).save(str(self._shot))

    def milliseconds(self) -> list[float]:
        """Of every tick after the warm-up."""
        return [1000 * seconds for seconds in self.seconds[WARM_UP:]]


class Peer(Protocol):
    """A window with the content; `update` shows a scene at the next repaint of `widget`."""

    widget: QtWidgets.QWidget

    def update(self, scene: Scene) -> None: ...


def drive(peer: Peer, scenes: Sequence[Scene], shot: Path | None) -> Clock:
    """Show every scene as soon as the last one is on the window; what is left to do between two ticks is not counted."""
    for _ in range(WARM_UP):  # the window opens and is laid out
        QtWidgets.QApplication.processEvents()
    clock = Clock(peer.widget, len(scenes), shot)
    for scene in scenes:
        QtWidgets.QApplication.processEvents()
        clock.start()
        peer.update(scene)
        clock.stop()
    return clock

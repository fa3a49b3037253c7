"""What the benchmarks of the live figure have in common: the same ticks for every peer, and the same clock."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch

from livecnn import bundles, run
from livecnn.config import Layout, load_layout
from livecnn.figure import Screen
from livecnn.patch import Cropper
from livecnn.sources import SourceOptions, open_source
from livecnn.tick import Observer
from livecnn.reduce import Mosaic
from livecnn.types import Image, LoopStatus, Scene, SourceStatus

# isort: split  (OpenCV, which livecnn imports, has to be tamed before Qt starts)
from matplotlib.backends.qt_compat import QtCore, QtGui, QtWidgets

SIZE = (1280, 720)
WIDTHS, HEIGHTS = (5, 5, 8, 12), (17, 11, 8)  # of the grid, as in the layout
WARM_UP = 20  # ticks that are not counted: caches, fonts, the first full draw


def content() -> tuple[Layout, Screen]:
    """The shipped generic view: camera 640x480, patch, bars, 20 + 50 feature maps, 500 neurons."""
    layout = load_layout("lenet", [f"figure.size={list(SIZE)}"])
    return layout, Screen(layout, run.context_of(bundles.load(layout.model)), ["generic", "sorted", "overview"])


def scenes(layout: Layout, screen: Screen, count: int) -> list[Scene]:
    """What LeNet makes of the first frames of the demo: the same for every peer, maps tiled and scaled to uint8 already."""
    bundle = bundles.load(layout.model)
    source = open_source("demo", SourceOptions())
    observer = Observer(bundle.module, Cropper(bundle.pipeline, run.box_share(layout, source)), torch.device("cpu"))
    observer.watch(screen.reducers)
    state = SourceStatus(name=source.name)
    ticks = []
    with source, observer as observe:
        for number in range(count):
            frame = source.read()
            assert frame is not None
            reading = number // 8
            status = LoopStatus(state, display_fps=20 + reading % 10, model_ms=reading % 7 / 10, picture_age=10 + reading % 5)
            ticks.append(Scene(frame, observe(frame), status))
    return ticks


def maps(mosaic: Mosaic) -> Image:
    """The single maps of a mosaic, uint8 (count, h, w)."""
    (rows, columns), (h, w) = mosaic.grid, mosaic.cell
    return mosaic.codes.reshape(rows, h, columns, w).swapaxes(1, 2).reshape(rows * columns, h, w)


def caption(layer: str) -> str:
    return {
        "conv1": "conv1 - 20 feature maps, 24x24 - white is strong",
        "conv2": "conv2 - 50 feature maps, 8x8 - white is strong",
        "ip1": "ip1 - 500 fully connected neurons - yellow is active",
    }[layer]


def headline(scene: Scene) -> tuple[str, str]:
    """The top class and its share, or that there is none."""
    if scene.tick.patch.prepared.empty:
        return "-", "nothing in the box"
    scores = scene.tick.scores
    return str(scores.argmax()), f"{100 * scores.max():.1f} %"


def status_line(scene: Scene) -> str:
    """Refreshed every eighth tick, as in livecnn: faster than that nobody can read it."""
    status = scene.status
    return f"demo    {status.display_fps:.0f} fps    model {status.model_ms:.1f} ms    picture {status.picture_age:.0f} ms old    h help"


class Clock(QtCore.QObject):
    """Work time of ticks, from `start` (entering the update) until the pixels are on the window (`stop`).

    The end is the same for all: the widget has been painted, and the X server has answered, which it does in order: it has
    then copied the pixels that came before the question.
    """

    def __init__(self, widget: QtWidgets.QWidget) -> None:
        super().__init__()
        self.seconds: list[float] = []
        self.running = False
        self._paints = 0
        self._widget = widget
        widget.installEventFilter(self)

    def eventFilter(self, _watched: QtCore.QObject, event: QtCore.QEvent) -> bool:  # noqa: N802  Qt's name
        self._paints += event.type() == QtCore.QEvent.Type.Paint
        return False

    def start(self) -> None:
        self.running, self._paints = True, 0
        self._started = time.perf_counter()

    def stop(self) -> None:
        while not self._paints:
            QtWidgets.QApplication.processEvents()
        QtGui.QGuiApplication.sync()
        self.seconds.append(time.perf_counter() - self._started)
        self.running = False
        if self._paints != 1:
            raise RuntimeError(f"a tick was painted {self._paints} times")

    def milliseconds(self) -> list[float]:
        """Of the ticks after the warm-up."""
        return [1000 * seconds for seconds in self.seconds[WARM_UP:]]

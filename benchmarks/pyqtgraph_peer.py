"""The content in pyqtgraph: an ImageItem for every picture and for a whole layer's mosaic, a BarGraphItem, text items.

Written with care for what makes pyqtgraph fast: uint8 pictures that need no levels (and a lookup table only where there is
colour), no automatic ranges, no mouse, no antialiasing, one item for all bars, texts touched only when they change. The view
repaints what has changed, which is pyqtgraph's default; its other update modes were not faster.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyqtgraph as pg
from ticking import CAPTIONS, HEIGHTS, SIZE, WIDTHS, Clock, drive, headline, percent, status_line

from livecnn.app.screen.figure import FigureView
from livecnn.drawing.colormaps import table
from livecnn.drawing.theme import THEMES
from livecnn.engine.reducers import Mosaic, NeuronValues
from livecnn.types import Image, Scene

THEME = THEMES["dark"]
ACCENT, QUIET = pg.mkBrush(THEME.accent), pg.mkBrush(THEME.quiet)


class PyQtGraph:
    """A GraphicsLayoutWidget."""

    def __init__(self, first: Scene) -> None:
        pg.setConfigOptions(imageAxisOrder="row-major", antialias=False, background=THEME.background, foreground=THEME.text)
        self.window = pg.GraphicsLayoutWidget(size=SIZE, title="pyqtgraph")
        self.widget = self.window.viewport()
        self._said = status_line(first)
        self._status = self.window.addLabel(self._said, row=0, col=0, justify="right")
        grid = self.window.addLayout(row=1, col=0)
        for column, width in enumerate(WIDTHS):
            grid.layout.setColumnStretchFactor(column, width)
            grid.layout.setColumnPreferredWidth(column, 40 * width)
        for row, height in enumerate(HEIGHTS):
            grid.layout.setRowStretchFactor(row, height)
            grid.layout.setRowPreferredHeight(row, 20 * height)
        self._add_shots(grid.addLayout(0, 0, 1, 2), grid.addLayout(1, 0, 1, 2), first)
        places = {"conv1": grid.addLayout(0, 2), "conv2": grid.addLayout(0, 3), "ip1": grid.addLayout(1, 2, 1, 2)}
        self._layers = {name: _image(place, name, _tiled(first.tick.views[name])) for name, place in places.items()}
        self._layers["ip1"].setLookupTable(table("viridis", THEME).view(np.uint8).reshape(256, 4)[:, :3].copy())
        self._add_scores(grid.addLayout(2, 0, 1, 4))
        self.window.show()

    def update(self, scene: Scene) -> None:
        tick = scene.tick
        self._camera.setImage(scene.frame.image, autoLevels=False)
        self._shot.setImage(tick.patch.shot, autoLevels=False)
        self._seen.setImage(tick.patch.prepared.seen, autoLevels=False)
        for name, item in self._layers.items():
            item.setImage(_tiled(tick.views[name]), autoLevels=False)
        self._show_scores(scene)
        said = status_line(scene)
        if said != self._said:  # a LabelItem lays out anew whatever it is told
            self._status.setText(said)
            self._said = said

    def _add_shots(self, upper: pg.GraphicsLayout, lower: pg.GraphicsLayout, first: Scene) -> None:
        patch = first.tick.patch
        self._camera = _image(upper, "camera", first.frame.image)
        self._shot = _image(lower, "shot", patch.shot)
        self._seen = _image(lower, "seen", patch.prepared.seen, column=1)
        box = pg.QtWidgets.QGraphicsRectItem(patch.box.left, patch.box.top, patch.box.width, patch.box.height, self._camera)
        box.setPen(pg.mkPen(THEME.accent, width=2))

    def _add_scores(self, place: pg.GraphicsLayout) -> None:
        place.setSpacing(0)
        place.setContentsMargins(4, 0, 4, 0)
        place.addLabel(CAPTIONS["scores"], row=0, col=0, justify="left", bold=True)
        words = place.addViewBox(row=1, col=0, enableMouse=False, enableMenu=False)
        words.setRange(xRange=(0, 1), yRange=(0, 1), padding=0)
        self._winner, self._share = _text(THEME.accent, 44, (0.5, 0.5)), _text(THEME.text, 14, (0.5, 0.5))
        self._winner.setPos(0.25, 0.5)
        self._share.setPos(0.65, 0.5)
        words.addItem(self._winner, ignoreBounds=True)
        words.addItem(self._share, ignoreBounds=True)
        place.layout.setColumnStretchFactor(0, 1)
        place.layout.setColumnStretchFactor(1, 4)
        self._add_bars(place.addPlot(row=0, col=1, rowspan=2, enableMouse=False, enableMenu=False))

    def _add_bars(self, plot: pg.PlotItem) -> None:
        plot.hideButtons()
        plot.hideAxis("left")
        plot.getAxis("bottom").setTicks([[(i, str(i)) for i in range(10)]])
        plot.setRange(xRange=(-0.5, 9.5), yRange=(0, 1.2), padding=0, disableAutoRange=True)
        self._bars = pg.BarGraphItem(x=np.arange(10), height=np.zeros(10), width=0.62, pen=None, brushes=[QUIET] * 10)
        plot.addItem(self._bars, ignoreBounds=True)
        self._values = [_text(THEME.muted, 9, (0.5, 0.9)) for _ in range(10)]
        for value in self._values:
            plot.addItem(value, ignoreBounds=True)

    def _show_scores(self, scene: Scene) -> None:
        top, share = headline(scene)
        scores = scene.tick.scores
        self._winner.setText(top)
        self._share.setText(share)
        self._bars.setOpts(height=scores, brushes=[ACCENT if top == str(i) else QUIET for i in range(10)])
        for i, (value, score) in enumerate(zip(self._values, scores, strict=True)):
            value.setText(percent(score))
            value.setPos(i, score)


def _image(place: pg.GraphicsLayout, caption: str, picture: Image, column: int = 0) -> pg.ImageItem:
    """An image that fills its place, under its caption; the neurons' rows are stretched, as in the other peers."""
    place.setSpacing(2)
    place.setContentsMargins(4, 2, 4, 2)
    place.addLabel(CAPTIONS[caption], row=0, col=column, justify="left", bold=True)
    view = place.addViewBox(row=1, col=column, lockAspect=caption != "ip1", invertY=True, enableMouse=False, enableMenu=False)
    item = pg.ImageItem(picture, autoLevels=False)
    view.addItem(item)
    view.setRange(item.boundingRect(), padding=0, disableAutoRange=True)
    return item


def _tiled(view: Mosaic | NeuronValues) -> Image:
    """A layer as one picture; maps are set apart by a line, as in the other peers."""
    if isinstance(view, NeuronValues):
        return view.codes
    (rows, columns), (h, w) = view.grid, view.cell
    tiles = np.zeros((rows, h + 1, columns, w + 1), np.uint8)
    tiles[:, :h, :, :w] = view.codes.reshape(rows, h, columns, w)
    return tiles.reshape(rows * (h + 1), columns * (w + 1))[:-1, :-1]


def _text(color: tuple[int, int, int], size: int, anchor: tuple[float, float]) -> pg.TextItem:
    item = pg.TextItem("", color=color, anchor=anchor)
    font = item.textItem.font()
    font.setPointSize(size)
    item.setFont(font)
    return item


def play(_screen: FigureView, scenes: Sequence[Scene], shot: Path | None) -> Clock:
    """Every scene through the window."""
    return drive(PyQtGraph(scenes[0]), scenes, shot)

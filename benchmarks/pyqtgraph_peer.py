"""The same content in pyqtgraph: an ImageItem for every picture and one for a whole layer's mosaic, a BarGraphItem, text items.

Written with care for what makes pyqtgraph fast: uint8 pictures with fixed levels and a lookup table (no arithmetic in Python), no
automatic ranges, no mouse, no antialiasing, texts set only when they change, one item for all bars.
"""

from __future__ import annotations

import numpy as np
import pyqtgraph as pg
from ticking import HEIGHTS, SIZE, WIDTHS, caption, headline, status_line

from livecnn.colors import table
from livecnn.theme import THEMES
from livecnn.types import Image, Scene

THEME = THEMES["dark"]
ACCENT, QUIET, TEXT = pg.mkBrush(THEME.accent), pg.mkBrush(THEME.quiet), pg.mkColor(THEME.text)


class PyQtGraph:
    """A GraphicsLayoutWidget; `update` shows a scene at the next repaint."""

    def __init__(self, first: Scene) -> None:
        pg.setConfigOptions(imageAxisOrder="row-major", antialias=False, background=THEME.background, foreground=THEME.text)
        self.window = pg.GraphicsLayoutWidget(size=SIZE, title="pyqtgraph")
        self.widget = self.window.viewport()
        grid = self.window.addLayout(row=1, col=0)
        self._status = self.window.addLabel("", row=0, col=0, justify="right")
        for column, width in enumerate(WIDTHS):
            grid.layout.setColumnStretchFactor(column, width)
            grid.layout.setColumnPreferredWidth(column, 40 * width)
        for row, height in enumerate(HEIGHTS):
            grid.layout.setRowStretchFactor(row, height)
            grid.layout.setRowPreferredHeight(row, 20 * height)
        self._camera = self._add_image(grid.addLayout(0, 0, 1, 2), "Demo", first.frame.image)
        box = first.tick.patch.box
        frame = pg.QtWidgets.QGraphicsRectItem(box.left, box.top, box.width, box.height, self._camera)
        frame.setPen(pg.mkPen(THEME.accent, width=2))
        patch = grid.addLayout(1, 0, 1, 2)
        self._shot = self._add_image(patch, "In the box: as taken", first.tick.patch.shot)
        self._seen = self._add_image(patch, "what the net sees", first.tick.patch.prepared.seen, column=1)
        self._layers = {
            "conv1": self._add_codes(grid.addLayout(0, 2), "conv1", first, "gray"),
            "conv2": self._add_codes(grid.addLayout(0, 3), "conv2", first, "gray"),
            "ip1": self._add_codes(grid.addLayout(1, 2, 1, 2), "ip1", first, "viridis"),
        }
        self._add_scores(grid.addLayout(2, 0, 1, 4))
        self._said = ""
        self.window.show()

    def update(self, scene: Scene) -> None:
        tick = scene.tick
        self._camera.setImage(scene.frame.image, autoLevels=False)
        self._shot.setImage(tick.patch.shot, autoLevels=False)
        self._seen.setImage(tick.patch.prepared.seen, autoLevels=False)
        for name, item in self._layers.items():
            item.setImage(tick.views[name].codes, autoLevels=False)
        self._show_scores(scene)
        said = status_line(scene)
        if said != self._said:
            self._status.setText(said)
            self._said = said

    def _add_image(self, place: pg.GraphicsLayout, title: str, image: Image, column: int = 0) -> pg.ImageItem:
        place.setSpacing(2)
        place.setContentsMargins(4, 2, 4, 2)
        place.addLabel(title, row=0, col=column, justify="left", bold=True)
        view = place.addViewBox(
            row=1, col=column, lockAspect=True, invertY=True, enableMouse=False, enableMenu=False, defaultPadding=0
        )
        item = pg.ImageItem(image, autoLevels=False)
        view.addItem(item)
        view.setRange(item.boundingRect(), padding=0, disableAutoRange=True)
        return item

    def _add_codes(self, place: pg.GraphicsLayout, layer: str, first: Scene, colormap: str) -> pg.ImageItem:
        item = self._add_image(place, caption(layer), first.tick.views[layer].codes)
        if layer == "ip1":
            item.getViewBox().setAspectLocked(False)
            item.getViewBox().setRange(item.boundingRect(), padding=0)
        if colormap != "gray":  # gray is what a picture without a table is
            item.setLookupTable(table(colormap, THEME).view(np.uint8).reshape(256, 4)[:, :3].copy())
        return item

    def _add_scores(self, place: pg.GraphicsLayout) -> None:
        place.setSpacing(2)
        place.addLabel("Prediction", row=0, col=0, justify="left", bold=True)
        words = place.addViewBox(row=1, col=0, enableMouse=False, enableMenu=False)
        words.setRange(xRange=(0, 1), yRange=(0, 1), padding=0)
        self._winner = pg.TextItem(color=THEME.accent, anchor=(0.5, 0.5))
        self._percent = pg.TextItem(color=THEME.text, anchor=(0.5, 0.5))
        for item, x, size in ((self._winner, 0.3, 44), (self._percent, 0.75, 15)):
            font = item.textItem.font()
            font.setPointSize(size)
            item.setFont(font)
            item.setPos(x, 0.5)
            words.addItem(item, ignoreBounds=True)
        self._add_bars(place)

    def _add_bars(self, place: pg.GraphicsLayout) -> None:
        plot = place.addPlot(row=1, col=1, enableMouse=False, enableMenu=False)
        place.layout.setColumnStretchFactor(0, 1)
        place.layout.setColumnStretchFactor(1, 4)
        plot.hideButtons()
        plot.hideAxis("left")
        plot.getAxis("bottom").setTicks([[(i, str(i)) for i in range(10)]])
        plot.setRange(xRange=(-0.5, 9.5), yRange=(0, 1.25), padding=0, disableAutoRange=True)
        self._bars = pg.BarGraphItem(x=np.arange(10), height=np.zeros(10), width=0.62, pen=None, brushes=[QUIET] * 10)
        plot.addItem(self._bars, ignoreBounds=True)
        self._values = [pg.TextItem("", color=THEME.muted, anchor=(0.5, 1.0)) for _ in range(10)]
        for value in self._values:
            plot.addItem(value, ignoreBounds=True)

    def _show_scores(self, scene: Scene) -> None:
        top, share = headline(scene)
        scores = scene.tick.scores
        self._winner.setText(top)
        self._percent.setText(share)
        self._bars.setOpts(height=scores, brushes=[ACCENT if top == str(i) else QUIET for i in range(10)])
        for i, (value, score) in enumerate(zip(self._values, scores, strict=True)):
            value.setText(f"{100 * score:.0f}" if score >= 0.005 else "")
            value.setPos(i, score)

"""The content as most people would write it in matplotlib: an axes for every map, imshow and set_data, a full draw a tick.

Written with the care that matplotlib's own guides advise: artists are made once and then only changed, ranges are fixed, pictures
are uint8 and not interpolated, frames and ticks are off, and no layout is computed anew.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.animation import FuncAnimation
from matplotlib.axes import Axes
from matplotlib.backends.backend_qtagg import FigureCanvas
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpecFromSubplotSpec, SubplotSpec
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle
from ticking import CAPTIONS, HEIGHTS, SIZE, WIDTHS, Clock, drive, headline, maps, percent, status_line

from livecnn.app.screen.figure import FigureView
from livecnn.types import LOWEST, Image, Scene

BACKGROUND, PANEL, TEXT, MUTED, ACCENT, QUIET = "#0c1017", "#151b23", "#eef2f7", "#95a0ae", "#f5b031", "#3d5875"
STYLE = {
    "axes.facecolor": PANEL,
    "axes.titlelocation": "left",
    "axes.titlesize": 9,
    "figure.facecolor": BACKGROUND,
    "font.size": 9,
    "text.color": TEXT,
    "toolbar": "None",
    "xtick.color": TEXT,
}


class Pulse:
    """Event source of an animation whose next frame is due when `fire` is called."""

    def __init__(self) -> None:
        self.interval = 0  # FuncAnimation sets it
        self._callbacks: list[Callable[[], Any]] = []

    def add_callback(self, callback: Callable[[], Any]) -> None:
        self._callbacks.append(callback)

    def remove_callback(self, callback: Callable[[], Any]) -> None:
        self._callbacks.remove(callback)

    def start(self) -> None:
        """Nothing runs by itself."""

    def stop(self) -> None:
        """Nothing runs by itself."""

    def fire(self) -> None:
        for callback in list(self._callbacks):
            callback()


class Naive:
    """A window with a FuncAnimation over some seventy-five axes."""

    def __init__(self, first: Scene) -> None:
        mpl.rcParams.update(STYLE)
        self._scene = first
        self.figure = Figure(figsize=(SIZE[0] / 100, SIZE[1] / 100), dpi=100)
        self.manager = FigureCanvas.new_manager(self.figure, 1)
        self.widget = self.figure.canvas
        self.figure.text(0.015, 0.957, "livecnn", fontsize=13, weight="bold")
        self._status = self.figure.text(0.985, 0.96, "", ha="right")
        grid = self.figure.add_gridspec(3, 4, width_ratios=WIDTHS, height_ratios=HEIGHTS)
        grid.update(left=0.015, right=0.985, top=0.91, bottom=0.04, wspace=0.06, hspace=0.22)
        self._add_shots(grid[0, :2], grid[1, :2], first)
        self._maps = {"conv1": self._add_maps(grid[0, 2], "conv1", first), "conv2": self._add_maps(grid[0, 3], "conv2", first)}
        self._neurons = self._image(grid[1, 2:], first.tick.views["ip1"].codes, "viridis", "ip1")
        self._neurons.axes.set_aspect("auto")
        self._add_scores(grid[2, :])
        self._pulse = Pulse()
        self._animation = FuncAnimation(self.figure, self._tick, cache_frame_data=False, event_source=self._pulse)
        self.manager.show()

    def update(self, scene: Scene) -> None:
        self._scene = scene
        self._pulse.fire()

    def _add_shots(self, upper: SubplotSpec, lower: SubplotSpec, first: Scene) -> None:
        patch = first.tick.patch
        left, right = GridSpecFromSubplotSpec(1, 2, lower)
        self._camera = self._image(upper, first.frame.image, None, "camera")
        self._shot = self._image(left, patch.shot, None, "shot")
        self._seen = self._image(right, patch.prepared.seen, "gray", "seen", low=0)
        corner, width, height = (patch.box.left, patch.box.top), patch.box.width, patch.box.height
        self._camera.axes.add_patch(Rectangle(corner, width, height, fill=False, edgecolor=ACCENT, linewidth=2))

    def _add_maps(self, place: SubplotSpec, layer: str, first: Scene) -> list[AxesImage]:
        mosaic = first.tick.views[layer]
        cells = GridSpecFromSubplotSpec(*mosaic.grid, place, wspace=0.06, hspace=0.06)
        captions = [layer] + [""] * (mosaic.grid[0] * mosaic.grid[1] - 1)
        return [
            self._image(cell, picture, "gray", caption)
            for cell, picture, caption in zip(cells, maps(mosaic), captions, strict=True)
        ]

    def _image(self, place: SubplotSpec, picture: Image, colormap: str | None, caption: str, low: int = LOWEST) -> AxesImage:
        axes = self.figure.add_subplot(place)
        axes.set_axis_off()
        axes.set_title(CAPTIONS.get(caption, ""))
        return axes.imshow(picture, cmap=colormap, vmin=low, vmax=255, interpolation="nearest")

    def _add_scores(self, place: SubplotSpec) -> None:
        words, plot = (self.figure.add_subplot(cell) for cell in GridSpecFromSubplotSpec(1, 2, place, width_ratios=(1, 4)))
        words.set_axis_off()
        words.set_title(CAPTIONS["scores"])
        self._winner = words.text(0.25, 0.25, "", fontsize=44, weight="bold", color=ACCENT, ha="center")
        self._share = words.text(0.65, 0.4, "", fontsize=14, ha="center")
        self._add_bars(plot)

    def _add_bars(self, plot: Axes) -> None:
        self._bars = plot.bar(range(10), [0] * 10, width=0.62, color=QUIET)
        self._values = [plot.text(i, 0, "", ha="center", va="bottom", color=MUTED) for i in range(10)]
        plot.set(ylim=(0, 1.2), xlim=(-0.5, 9.5), xticks=range(10), yticks=[])
        plot.tick_params(length=0)
        plot.spines[:].set_visible(False)

    def _tick(self, _number: int) -> list[Any]:
        scene = self._scene
        tick = scene.tick
        self._status.set_text(status_line(scene))
        self._camera.set_data(scene.frame.image)
        self._shot.set_data(tick.patch.shot)
        self._seen.set_data(tick.patch.prepared.seen)
        self._neurons.set_data(tick.views["ip1"].codes)
        for layer, images in self._maps.items():
            for image, picture in zip(images, maps(tick.views[layer]), strict=True):
                image.set_data(picture)
        self._show_scores(scene)
        return []

    def _show_scores(self, scene: Scene) -> None:
        top, share = headline(scene)
        self._winner.set_text(top)
        self._share.set_text(share)
        for i, (bar, value, score) in enumerate(zip(self._bars, self._values, scene.tick.scores, strict=True)):
            bar.set_height(score)
            bar.set_facecolor(ACCENT if top == str(i) else QUIET)
            value.set_text(percent(score))
            value.set_y(score)


def play(_screen: FigureView, scenes: Sequence[Scene], shot: Path | None) -> Clock:
    """Every scene through the window."""
    return drive(Naive(scenes[0]), scenes, shot)

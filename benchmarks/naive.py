"""The same content as most people would write it in matplotlib: an axes for every map, imshow and set_data, a full draw a tick.

Written with care for what matplotlib's own guides advise: artists are made once and then only changed, ranges are fixed, images
are not interpolated, ticks and frames are off, and the layout is not computed anew.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.animation import FuncAnimation
from matplotlib.axes import Axes
from matplotlib.backends.backend_qtagg import FigureCanvas
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpecFromSubplotSpec, SubplotSpec
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle
from ticking import HEIGHTS, SIZE, WIDTHS, caption, headline, maps, status_line

from livecnn.reduce import LOWEST
from livecnn.types import Scene

DARK = {
    "figure.facecolor": "#0c1017",
    "axes.facecolor": "#151b23",
    "text.color": "#eef2f7",
    "xtick.color": "#eef2f7",
    "font.size": 9,
    "axes.titlesize": 10,
}


class Pulse:
    """Event source of an animation whose time has come when the benchmark says so."""

    def __init__(self) -> None:
        self.interval = 0
        self._callbacks: list[Callable[[], Any]] = []

    def add_callback(self, callback: Callable[[], Any]) -> None:
        self._callbacks.append(callback)

    def remove_callback(self, callback: Callable[[], Any]) -> None:
        self._callbacks.remove(callback)

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def fire(self) -> None:
        for callback in list(self._callbacks):
            callback()


class Naive:
    """A window with FuncAnimation; `update` shows a scene at the next repaint."""

    def __init__(self, first: Scene) -> None:
        mpl.rcParams.update(DARK)
        mpl.rcParams["toolbar"] = "None"
        self._scene = first
        self.figure = Figure(figsize=(SIZE[0] / 100, SIZE[1] / 100), dpi=100)
        self.manager = FigureCanvas.new_manager(self.figure, 1)
        self.widget = self.figure.canvas
        grid = self.figure.add_gridspec(
            3, 4, width_ratios=WIDTHS, height_ratios=HEIGHTS, left=0.015, right=0.985, top=0.91, bottom=0.04, wspace=0.06, hspace=0.22
        )
        self.figure.text(0.015, 0.96, "livecnn", fontsize=13, weight="bold")
        self._status = self.figure.text(0.985, 0.965, "", ha="right")
        self._add_camera(grid[0, :2], first)
        self._add_patch(grid[1, :2], first)
        self._maps = {name: self._add_maps(grid[0, column], name, first) for name, column in (("conv1", 2), ("conv2", 3))}
        self._neurons = self._image(self.figure.add_subplot(grid[1, 2:]), first.tick.views["ip1"].codes, "viridis", aspect="auto")
        self._neurons.axes.set_title(caption("ip1"), loc="left")
        self._add_scores(grid[2, :])
        self._pulse = Pulse()
        self._animation = FuncAnimation(self.figure, self._tick, cache_frame_data=False, event_source=self._pulse)
        self.manager.show()

    def update(self, scene: Scene) -> None:
        self._scene = scene
        self._pulse.fire()

    def _add_camera(self, place: SubplotSpec, first: Scene) -> None:
        axes = self.figure.add_subplot(place)
        axes.set_title("Demo", loc="left")
        self._camera = self._image(axes, first.frame.image)
        box = first.tick.patch.box
        axes.add_patch(Rectangle((box.left, box.top), box.width, box.height, fill=False, edgecolor="#f5b031", linewidth=2))

    def _add_patch(self, place: SubplotSpec, first: Scene) -> None:
        shot, seen = (self.figure.add_subplot(cell) for cell in GridSpecFromSubplotSpec(1, 2, place))
        self._shot = self._image(shot, first.tick.patch.shot)
        self._seen = self._image(seen, first.tick.patch.prepared.seen, "gray", low=0)
        shot.set_title("In the box: as taken", loc="left")
        seen.set_title("what the net sees", loc="left")

    def _add_maps(self, place: SubplotSpec, name: str, first: Scene) -> list[AxesImage]:
        pictures = maps(first.tick.views[name])
        rows, columns = first.tick.views[name].grid
        cells = GridSpecFromSubplotSpec(rows, columns, place, wspace=0.06, hspace=0.06)
        images = [
            self._image(self.figure.add_subplot(cells[i // columns, i % columns]), picture, "gray")
            for i, picture in enumerate(pictures)
        ]
        images[0].axes.set_title(caption(name), loc="left")
        return images

    def _add_scores(self, place: SubplotSpec) -> None:
        title, plot = (self.figure.add_subplot(cell) for cell in GridSpecFromSubplotSpec(1, 2, place, width_ratios=(1, 4)))
        title.set_axis_off()
        title.set_title("Prediction", loc="left")
        self._winner = title.text(0.3, 0.3, "", fontsize=40, weight="bold", color="#f5b031", ha="center")
        self._percent = title.text(0.75, 0.4, "", fontsize=14, ha="center")
        self._bars = plot.bar(range(10), [0] * 10, width=0.62, color="#3d5875")
        self._values = [plot.text(i, 0, "", ha="center", va="bottom", color="#95a0ae") for i in range(10)]
        plot.set(ylim=(0, 1.2), xlim=(-0.5, 9.5), xticks=range(10), yticks=[])
        plot.tick_params(length=0)
        for spine in plot.spines.values():
            spine.set_visible(False)

    @staticmethod
    def _image(
        axes: Axes, picture: np.ndarray[Any, Any], colormap: str | None = None, low: int = LOWEST, aspect: str = "equal"
    ) -> AxesImage:
        axes.set_axis_off()
        return axes.imshow(picture, cmap=colormap, vmin=low, vmax=255, interpolation="nearest", aspect=aspect)

    def _tick(self, _number: int) -> list[Any]:
        scene = self._scene
        tick = scene.tick
        self._camera.set_data(scene.frame.image)
        self._shot.set_data(tick.patch.shot)
        self._seen.set_data(tick.patch.prepared.seen)
        for name, images in self._maps.items():
            for image, picture in zip(images, maps(tick.views[name]), strict=True):
                image.set_data(picture)
        self._neurons.set_data(tick.views["ip1"].codes)
        self._status.set_text(status_line(scene))
        self._show_scores(scene)
        return []

    def _show_scores(self, scene: Scene) -> None:
        scores = scene.tick.scores
        top, share = headline(scene)
        self._winner.set_text(top)
        self._percent.set_text(share)
        for i, (bar, value, score) in enumerate(zip(self._bars, self._values, scores, strict=True)):
            bar.set_height(score)
            bar.set_facecolor("#f5b031" if top == str(i) else "#3d5875")
            value.set_text(f"{100 * score:.0f}" if score >= 0.005 else "")
            value.set_y(score)

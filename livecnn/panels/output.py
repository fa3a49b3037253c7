"""The network's output where it is maps: a picture, or the class of each pixel over what the network sees."""

import colorsys
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from livecnn.drawing.artists import Label, Pixels, Rectangles, as_rgb, baseline_offset, resize_exactly, text_width
from livecnn.drawing.theme import CLASSES, Color, Metrics
from livecnn.geometry import Rect
from livecnn.panels.base.drawer import NOTHING, Context, Drawer
from livecnn.panels.base.spec import PanelSpec
from livecnn.panels.base.targets import ClassTarget, Target, Tooltip
from livecnn.types import Image, Scene

NO_MAPS = "the network gives no maps"
LEAST = 0.005  # share of the picture from which on a class is in the legend
GOLDEN = 0.618034  # of the color circle, between two classes beyond the palette: no two neighbors are alike


class OutputPanel(PanelSpec):
    """What comes out of a network that gives maps: a picture, or each pixel in the color of its class, with a legend."""

    kind: Literal["output"] = Field("output", description="The network's output where it is maps.")
    alpha: float = Field(0.6, ge=0, le=1, description="How much the colors of classes cover the picture.")


class OutputDrawer(Drawer):
    """The picture, and a legend beside or below it."""

    def __init__(self, spec: OutputPanel, name: str, context: Context) -> None:
        super().__init__(name, context)
        self.titles = (spec.title or "What comes out", spec.title or "Output")
        self._alpha = spec.alpha
        self._colors = np.array([class_color(index) for index in range(max(1, len(context.classes)))], np.uint8)
        self._picture, self._marks, self._message = Pixels(), Rectangles(), Label(self.theme.muted, align="center")
        self._names = [Label(self.theme.text) for _ in range(min(16, len(context.classes)))]
        self.live = [self._picture, self._marks, *self._names, self._message]
        self._room, self._legend, self._line = self.body, self.body, 1
        self._listed: list[tuple[int, float]] = []  # classes and their shares
        self._places: list[Rect] = []

    def captions(self) -> tuple[str, ...]:
        return () if self.context.reading == "numbers" else ("the class of each pixel", "classes")

    def arrange(self, body: Rect, metrics: Metrics) -> None:
        self._line, legend = metrics.px(18), self.context.reading != "numbers" and bool(self._names)
        beside = body.w > 1.3 * body.h
        if not legend or min(body.w, body.h) < metrics.px(90):
            self._room, self._legend = body, body._replace(h=0)
        elif beside:
            width = min(round(0.4 * body.w), metrics.px(150))
            self._room = body.inset(0, 0, width + metrics.gap, 0)
            self._legend = Rect(body.x + body.w - width, body.y, width, body.h)
        else:
            height = min(round(0.35 * body.h), 5 * self._line)
            self._room = body.inset(0, 0, 0, height + metrics.gap)
            self._legend = Rect(body.x, body.y + body.h - height, body.w, height)
        self._message.place(body.x + body.w // 2, body.y + body.h // 2, metrics.body, body.w)
        for label in self._names:
            label.text = ""

    def show(self, scene: Scene) -> None:
        found, empty = scene.tick.output, scene.tick.patch.prepared.empty
        self._message.text = NOTHING if empty else NO_MAPS if found is None else ""
        self._marks.rectangles, self._listed, self._places = [], [], []
        for label in self._names:
            label.text = ""
        if found is None or empty:
            self._picture.picture = None
        elif found.ndim == 2:
            self._picture.fit(self._room, self._colored(found, as_rgb(scene.tick.patch.prepared.seen)), sharp=True)
            self._list(scene.tick.scores)
        else:
            self._picture.fit(self._room, levels(found))

    def _colored(self, classes: npt.NDArray[np.uint8], seen: Image) -> Image:
        """Return the picture under the colors of its pixels' classes, uint8 (H, W, 3)."""
        height, width = classes.shape
        ground = resize_exactly(seen, width, height)
        return np.asarray(self._alpha * self._colors[classes] + (1 - self._alpha) * ground, np.uint8)

    def _list(self, shares: npt.NDArray[np.float32]) -> None:
        """Write the largest classes, each beside its color."""
        order = np.argsort(-shares, kind="stable")
        rows = min(len(self._names), self._legend.h // self._line)
        self._listed = [(int(index), float(shares[index])) for index in order[:rows] if shares[index] >= LEAST]
        size = max(9, round(0.66 * self._line))
        for row, (label, (index, share)) in enumerate(zip(self._names, self._listed, strict=False)):
            place = Rect(self._legend.x, self._legend.y + row * self._line, self._legend.w, self._line)
            self._places.append(place)
            mark = Rect(place.x, place.y + self._line // 6, size, size)
            self._marks.rectangles.append((mark, class_color(index)))
            full, name = f"{self.context.classes[index]}  {100 * share:.0f} %", self.context.classes[index]
            label.text = full if text_width(full, size) <= place.w - 2 * size else name
            label.place(place.x + 2 * size, place.y + self._line // 2 + baseline_offset(size), size, max(0, place.w - 2 * size))

    def target_at(self, x: float, y: float) -> Target | None:
        found = next((row for row, place in enumerate(self._places) if place.contains(x, y)), None)
        return None if found is None else ClassTarget(self._listed[found][0])

    def tip(self, target: Target) -> Tooltip | None:
        rows = {index: (share, place) for (index, share), place in zip(self._listed, self._places, strict=True)}
        if not isinstance(target, ClassTarget) or target.index not in rows:
            return None
        share, place = rows[target.index]
        return Tooltip((f"{self.context.classes[target.index]}: {100 * share:.1f} % of the picture",), place)


def class_color(index: int) -> Color:
    """Return the color of a class; the first are those that the timeline has."""
    if index < len(CLASSES):
        return CLASSES[index]
    red, green, blue = colorsys.hsv_to_rgb(index * GOLDEN % 1, 0.55 + 0.25 * (index % 2), 0.95)
    return round(255 * red), round(255 * green), round(255 * blue)


def levels(values: npt.NDArray[np.float32]) -> Image:
    """Return a picture (H, W, 1 or 3) for the eye, uint8 (H, W, 3): 0..1, -1..1 or 0..255 as they are, else lowest to highest."""
    low, high = (float(end) for end in (np.nanmin(values), np.nanmax(values))) if np.isfinite(values).any() else (0.0, 1.0)
    ends = next((ends for ends in ((0.0, 1.0), (-1.0, 1.0), (0.0, 255.0)) if ends[0] <= low and high <= ends[1]), (low, high))
    shown = np.nan_to_num((values - ends[0]) / max(ends[1] - ends[0], 1e-12)).clip(0, 1)
    return np.asarray(np.round(255 * np.broadcast_to(shown, (*values.shape[:2], 3))), np.uint8)

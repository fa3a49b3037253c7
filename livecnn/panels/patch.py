"""The shot as taken, and beside it what the network gets of it."""

from typing import Literal

from pydantic import Field

from livecnn.drawing.artists import Label, Pixels, as_rgb, longest_fitting
from livecnn.drawing.theme import Metrics
from livecnn.geometry import Rect
from livecnn.panels.base.drawer import Context, Drawer
from livecnn.panels.base.spec import PanelSpec
from livecnn.types import Scene

CAPTIONS = (("as taken", "taken"), ("what the net sees", "the net sees", "seen"))  # from the longest to the shortest


class PatchPanel(PanelSpec):
    """The shot exactly as taken from the box, and beside it what the network really sees."""

    kind: Literal["patch"] = Field("patch", description="The shot, and what the network sees of it.")


class PatchDrawer(Drawer):
    """Two pictures with their captions."""

    def __init__(self, spec: PatchPanel, name: str, context: Context) -> None:
        super().__init__(name, context)
        self.titles = (spec.title or "In the box",)
        self._pictures = (Pixels(), Pixels())
        self._labels = tuple(Label(self.theme.muted, align="center") for _ in range(2))
        self._halves = (self.body, self.body)
        self.live = [*self._pictures]
        self.still += [*self._labels]

    def arrange(self, body: Rect, metrics: Metrics) -> None:
        lettered = min(body.w, body.h) > metrics.px(48)
        line, gap = metrics.px(20) if lettered else 0, metrics.gap
        if body.w > body.h:
            w = (body.w - gap) // 2
            self._halves = (Rect(body.x, body.y, w, body.h - line), Rect(body.x + w + gap, body.y, w, body.h - line))
        else:
            h = (body.h - gap) // 2
            self._halves = (Rect(body.x, body.y, body.w, h - line), Rect(body.x, body.y + h + gap, body.w, h - line))
        for label, half, wordings in zip(self._labels, self._halves, CAPTIONS, strict=True):
            square = half.fit(1.0)
            label.text = longest_fitting(wordings, half.w, metrics.small)
            label.place(half.x + half.w // 2, square.y + square.h + metrics.px(16), metrics.small, half.w)
            label.set_visible(lettered)

    def show(self, scene: Scene) -> None:
        patch = scene.tick.patch
        seen = as_rgb(patch.prepared.seen)
        # The net's few pixels are shown as the squares they are.
        for picture, half, image in zip(self._pictures, self._halves, (patch.shot, seen), strict=True):
            picture.fit(half, image, sharp=image is seen)

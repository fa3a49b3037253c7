"""The shot, large, and whether the network is right about it."""

from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from livecnn._cv2 import cv2
from livecnn.drawing.artists import Label, Pixels, resize_exactly
from livecnn.drawing.theme import Color, Metrics
from livecnn.geometry import Rect
from livecnn.panels.base.drawer import Context, Drawer
from livecnn.panels.base.spec import PanelSpec
from livecnn.types import Image, Scene

SQUARES = 6  # times enlarged, and more: each pixel is shown as the square that it is
SMOOTH = 4  # times larger are marks drawn, so that their edges become smooth
Verdict = Literal["right", "wrong", "unknown"]
Points = tuple[tuple[float, float], ...]

# Strokes in a mark of radius 1 around its centre: a tick, a cross, a dash.
STROKES: dict[Verdict, tuple[Points, ...]] = {
    "right": (((-0.45, 0.05), (-0.12, 0.38), (0.46, -0.32)),),
    "wrong": (((-0.25, -0.25), (0.25, 0.25)), ((-0.25, 0.25), (0.25, -0.25))),
    "unknown": (((-0.4, 0.0), (0.4, 0.0)),),
}
CORNERS: Points = ((0, -1), (1, 0), (0, 1), (-1, 0))


class SamplePanel(PanelSpec):
    """The shot, large, with its name, its true class where that is known, and whether the network is right."""

    kind: Literal["sample"] = Field("sample", description="The shot, large, and whether the network is right about it.")


def verdict_and_text(scene: Scene, classes: tuple[str, ...]) -> tuple[Verdict, str, str]:
    """Return the verdict, a word for it and the reason."""
    label, patch, scores = scene.frame.label, scene.tick.patch, scene.tick.scores
    answers = not patch.prepared.empty and bool(np.isfinite(scores).all())
    seen = f"seen as “{classes[int(scores.argmax())]}”" if answers else "nothing seen"
    if label not in classes:
        return "unknown", "No label", seen if not label else f"{seen} · “{label}” is no class"
    if answers and classes[int(scores.argmax())] == label:
        return "right", "Right", f"this is “{label}”"
    return "wrong", "Wrong", f"this is “{label}”, {seen}"


class SampleDrawer(Drawer):
    """The shot in a frame, a mark and two lines."""

    def __init__(self, spec: SamplePanel, name: str, context: Context) -> None:
        super().__init__(name, context)
        self.titles = (spec.title or "Shot",)
        theme = self.theme
        self._colors: dict[Verdict, Color] = {"right": theme.good, "wrong": theme.bad, "unknown": theme.muted}
        self._picture, self._mark = Pixels(), Pixels()
        self._note = Label(self.theme.muted, align="right")
        self._word = Label(self.theme.text, "bold")
        self._reason = Label(self.theme.muted)
        self._place, self._line, self._side = self.body, 2, 8
        self._at = (0, 0)
        self.live = [self._picture, self._mark, self._note, self._word, self._reason]

    def arrange(self, body: Rect, metrics: Metrics) -> None:
        room = body.w - self.heading.advance() - metrics.gap
        self._note.place(body.x + body.w, self.heading.y, metrics.small, max(0, room))
        strip, self._line = min(metrics.px(52), body.h // 2), max(2, metrics.px(4))
        self._place = Rect(body.x, body.y, body.w, max(1, body.h - strip))
        self._side = max(1, min(metrics.px(40), strip - self._line, body.w))
        top = body.y + body.h - self._side
        self._at = body.x, top
        x, room = body.x + self._side + metrics.px(12), max(0, body.w - self._side - metrics.px(12))
        self._word.place(x, top + self._side // 2 - metrics.px(3), metrics.title, room)
        self._reason.place(x, top + self._side // 2 + metrics.px(15), metrics.small, room)

    def show(self, scene: Scene) -> None:
        self._note.text = scene.frame.name
        verdict, self._word.text, self._reason.text = verdict_and_text(scene, self.context.classes)
        color = self._word.color = self._colors[verdict]
        shot = scene.tick.patch.shot
        place = self._place.fit(shot.shape[1] / shot.shape[0])
        picture = resize_exactly(shot, place.w, place.h, sharp=place.w >= SQUARES * shot.shape[1]).copy()
        cv2.rectangle(picture, (0, 0), (place.w - 1, place.h - 1), color, 2 * self._line - 1)  # half of the line lies outside
        self._picture.put(place.x, place.y, picture)
        self._mark.put(*self._at, mark(verdict, self._side, color, self.theme.card))


def mark(verdict: Verdict, side: int, color: Color, ground: Color) -> Image:
    """uint8 (side, side, 3): a tick in a disc, a cross in a square on its corner, or a dash in a ring."""
    radius = SMOOTH * side // 2
    picture = np.full((SMOOTH * side, SMOOTH * side, 3), ground, np.uint8)
    pen = round(0.2 * radius)

    def points(offsets: Points) -> npt.NDArray[np.int32]:
        return np.asarray(np.round(radius * (1 + np.array(offsets))), np.int32)

    if verdict == "wrong":
        cv2.fillConvexPoly(picture, points(CORNERS), color)
    else:
        cv2.circle(picture, (radius, radius), radius - 1, color, -1)
    if verdict == "unknown":
        cv2.circle(picture, (radius, radius), radius - pen, ground, -1)
    ink = color if verdict == "unknown" else ground
    cv2.polylines(picture, [points(stroke) for stroke in STROKES[verdict]], False, ink, pen)
    return np.asarray(cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA), np.uint8)

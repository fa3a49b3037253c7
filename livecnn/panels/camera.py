"""The newest frame with the box drawn in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from livecnn._cv2 import cv2
from livecnn.drawer import Context, Drawer
from livecnn.geometry import Rect
from livecnn.panels import PanelSpec
from livecnn.pixels import Label, Pixels, scaled
from livecnn.theme import Color
from livecnn.types import Frame, Image, Scene

if TYPE_CHECKING:
    from livecnn.theme import Metrics


class Camera(PanelSpec):
    """The newest picture from the source, and in it the box that the network looks at."""

    kind: Literal["camera"] = Field("camera", description="The newest picture from the source.")
    title: str | None = Field(None, description="Heading of the panel; by default the name of the source.")

    def drawer(self, name: str, context: Context) -> Drawer:
        return CameraDrawer(self, name, context)


def _told(frame: Frame, source: str) -> str:
    """A file's name and true class; "" where a frame has none of its own."""
    words = [frame.name] if frame.name != source else []
    return " · ".join([*words, f"this is “{frame.label}”"] if frame.label else words)


class CameraDrawer(Drawer):
    def __init__(self, spec: Camera, name: str, context: Context) -> None:
        super().__init__(name, context)
        self._title = spec.title
        self._picture = Pixels()
        self._name = Label(self.theme.text, "bold")
        self._note = Label(self.theme.muted, align="right")
        self._line = 2
        self.live = [self._picture, self._name, self._note]

    def arrange(self, body: Rect, metrics: Metrics) -> None:
        baseline = self.heading.y
        self._name.place(body.x, baseline, metrics.title, body.w)
        self._note.place(body.x + body.w, baseline, metrics.small)
        self._line = max(2, metrics.px(2))

    def show(self, scene: Scene) -> None:
        source = scene.status.source
        self._name.text = self._title or (source.name[:1].upper() + source.name[1:]) or "Camera"
        self._note.text = source.note or _told(scene.frame, source.name) or "hold it inside the box"
        self._note.width = max(0, self.body.w - self._name.advance() - self._note.size)
        image = scene.frame.image
        place = self.body.fit(image.shape[1] / image.shape[0])
        picture = scaled(image, place.w, place.h)
        self._draw_box(
            picture, scene, place.w / image.shape[1], self.theme.muted if scene.tick.patch.prepared.empty else self.theme.accent
        )
        if scene.status.mirrored:
            picture = picture[:, ::-1]
        self._picture.put(place.x, place.y, picture)

    def _draw_box(self, picture: Image, scene: Scene, zoom: float, color: Color) -> None:
        box = scene.tick.patch.box
        left, top = round(box.left * zoom), round(box.top * zoom)
        right, bottom = round((box.left + box.width) * zoom) - 1, round((box.top + box.height) * zoom) - 1
        cv2.rectangle(picture, (left, top), (right, bottom), color, self._line)

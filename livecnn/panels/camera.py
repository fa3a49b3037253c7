"""The newest frame with the box drawn in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from livecnn._cv2 import cv2
from livecnn.drawer import Context, Drawer
from livecnn.geometry import Rect
from livecnn.panels import PanelSpec
from livecnn.pixels import Label, Pixels, scaled, text_width
from livecnn.theme import Color
from livecnn.types import Frame, Image, Scene, SourceStatus

if TYPE_CHECKING:
    from livecnn.theme import Metrics


TROUBLES = ("stale", "frozen", "lost")  # that stand over the picture
DIMMED = 3  # by how much darker the last picture of a lost camera is


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


def troubles(source: SourceStatus) -> list[str]:
    """What the badge over the picture may say, from the longest to the shortest: a symbol and words. [] when all is well."""
    if source.state == "lost":
        attempt = source.note.partition(":")[0]
        return [*(f"✕ camera lost: {words}" for words in (source.note, attempt, attempt.partition(" (")[0])), "✕ camera lost"]
    return [f"● {source.note}"] if source.state in TROUBLES else []


class CameraDrawer(Drawer):
    def __init__(self, spec: Camera, name: str, context: Context) -> None:
        super().__init__(name, context)
        self._title = spec.title
        self._picture = Pixels()
        self._name = Label(self.theme.text, "bold")
        self._note = Label(self.theme.muted, align="right")
        self._badge = Label(self.theme.text, "bold", ground=self.theme.card)
        self._line = self._margin = 2
        self._shown: tuple[Rect, tuple[int, int], bool] | None = None  # where, the frame's width and height, mirrored
        self.live = [self._picture, self._name, self._note, self._badge]

    def arrange(self, body: Rect, metrics: Metrics) -> None:
        baseline = self.heading.y
        self._name.place(body.x, baseline, metrics.title, body.w)
        self._note.place(body.x + body.w, baseline, metrics.small)
        self._badge.size, self._margin = metrics.small, metrics.px(8)
        self._line = max(2, metrics.px(2))

    def show(self, scene: Scene) -> None:
        source = scene.status.source
        told = source.name if "://" in source.name else source.name[:1].upper() + source.name[1:]
        self._name.text = self._title or told or "Camera"
        hint = source.note or _told(scene.frame, source.name) or "hold it inside the box"
        self._note.text = "" if source.state in TROUBLES else hint
        self._note.width = max(0, self.body.w - self._name.advance() - self._note.size)
        image = scene.frame.image
        place = self.body.fit(image.shape[1] / image.shape[0])
        picture = scaled(image, place.w, place.h)
        self._draw_box(
            picture, scene, place.w / image.shape[1], self.theme.muted if scene.tick.patch.prepared.empty else self.theme.accent
        )
        if scene.status.mirrored:
            picture = picture[:, ::-1]
        if source.state == "lost":
            picture = picture // DIMMED
        self._picture.put(place.x, place.y, picture)
        self._shown = place, (image.shape[1], image.shape[0]), scene.status.mirrored
        self._write_badge(place, source)

    def _write_badge(self, picture: Rect, source: SourceStatus) -> None:
        """At the top left inside the picture; one too small for it does without."""
        badge, margin = self._badge, self._margin + self._badge.size // 4
        room = max(0, picture.w - 2 * margin)
        wordings = troubles(source) or [""]
        badge.text = next((words for words in wordings if text_width(words, badge.size, badge.weight) <= room), wordings[-1])
        badge.color = self.theme.bad if source.state == "lost" else self.theme.accent
        badge.place(picture.x + margin, picture.y + margin + badge.size, badge.size, room)
        badge.set_visible(picture.h >= badge.size + 2 * margin)

    def frame_at(self, x: float, y: float) -> tuple[float, float] | None:
        """The pixel (column, row) of the frame on show that a pixel of the figure shows; None outside the picture.

        Whole numbers are the middles of pixels, of the figure as of the frame, from the top left.
        """
        if self._shown is None or not self._shown[0].contains(round(x), round(y)):
            return None
        place, (width, height), mirrored = self._shown
        column, row = (x - place.x + 0.5) * width / place.w - 0.5, (y - place.y + 0.5) * height / place.h - 0.5
        return width - 1 - column if mirrored else column, row

    def _draw_box(self, picture: Image, scene: Scene, zoom: float, color: Color) -> None:
        box = scene.tick.patch.box
        left, top = round(box.left * zoom), round(box.top * zoom)
        right, bottom = round((box.left + box.width) * zoom) - 1, round((box.top + box.height) * zoom) - 1
        cv2.rectangle(picture, (left, top), (right, bottom), color, self._line)

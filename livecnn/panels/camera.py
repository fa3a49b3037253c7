"""The newest frame with the box drawn in it."""

from typing import Literal

from pydantic import Field

from livecnn._cv2 import cv2
from livecnn.drawing.artists import Label, Pixels, resize_exactly, text_width
from livecnn.drawing.theme import Color, Metrics
from livecnn.geometry import Rect
from livecnn.panels.base.drawer import Context, Drawer
from livecnn.panels.base.spec import PanelSpec
from livecnn.types import Frame, Image, Patch, Scene, SourceStatus

TROUBLES = ("stale", "frozen", "lost")  # that stand over the picture
DIMMED = 3  # by how much darker the last picture of a lost camera is


class CameraPanel(PanelSpec):
    """The newest picture from the source, and in it the box that the network looks at."""

    kind: Literal["camera"] = Field("camera", description="The newest picture from the source.")
    title: str | None = Field(None, description="Heading of the panel; by default the name of the source.")


def _told(frame: Frame, source: str) -> str:
    """Return a file's name and true class; "" where a frame has none of its own."""
    words = [frame.name] if frame.name != source else []
    return " · ".join([*words, f"this is “{frame.label}”"] if frame.label else words)


def troubles(source: SourceStatus, astray: str) -> list[str]:
    """Return wordings of the badge, the longest first, [] when all is well; astray: why the box is not where it should be."""
    if source.state == "lost":
        attempt = source.note.partition(":")[0]
        return [*(f"✕ camera lost: {words}" for words in (source.note, attempt, attempt.partition(" (")[0])), "✕ camera lost"]
    if source.state in TROUBLES:
        return [f"● {source.note}"]
    return [f"○ {astray}", f"○ {astray.partition(':')[0]}"] if astray else []


class CameraDrawer(Drawer):
    """The frame, the box in it, and a badge when something is wrong."""

    def __init__(self, spec: CameraPanel, name: str, context: Context) -> None:
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
        patch = scene.tick.patch
        place_hint = "" if patch.lost else patch.note or "hold it inside the box"
        hint = source.note or _told(scene.frame, source.name) or place_hint
        self._note.text = "" if source.state in TROUBLES else hint
        room = max(0, self.body.w - self._name.advance() - self._note.size)
        self._note.width = room if 3 * room >= text_width(self._note.text, self._note.size) else 0  # "we…" tells nothing
        image = scene.frame.image
        place = self.body.fit(image.shape[1] / image.shape[0])
        picture = resize_exactly(image, place.w, place.h)
        self._draw_box(picture, patch, place.w / image.shape[1])
        if scene.status.mirrored:
            picture = picture[:, ::-1]
        if source.state == "lost":
            picture = picture // DIMMED
        self._picture.put(place.x, place.y, picture)
        self._shown = place, (image.shape[1], image.shape[0]), scene.status.mirrored
        self._write_badge(place, troubles(source, patch.note if patch.lost else ""), lost=source.state == "lost")

    def _write_badge(self, picture: Rect, wordings: list[str], *, lost: bool) -> None:
        """At the top left inside the picture; one too small for it does without."""
        badge, margin = self._badge, self._margin + self._badge.size // 4
        room = max(0, picture.w - 2 * margin)
        fitting = (words for words in wordings if text_width(words, badge.size, badge.weight) <= room)
        badge.text = next(fitting, wordings[-1] if wordings else "")
        badge.color = self.theme.bad if lost else self.theme.accent
        badge.place(picture.x + margin, picture.y + margin + badge.size, badge.size, room)
        badge.set_visible(picture.h >= badge.size + 2 * margin)

    def frame_at(self, x: float, y: float) -> tuple[float, float] | None:
        if self._shown is None or not self._shown[0].contains(round(x), round(y)):
            return None
        place, (width, height), mirrored = self._shown
        column, row = (x - place.x + 0.5) * width / place.w - 0.5, (y - place.y + 0.5) * height / place.h - 0.5
        return width - 1 - column if mirrored else column, row

    def _draw_box(self, picture: Image, patch: Patch, zoom: float) -> None:
        """Gray when there is nothing in it, and dashed when it is not where it should be."""
        box = patch.box
        left, top = round(box.left * zoom), round(box.top * zoom)
        right, bottom = round((box.left + box.width) * zoom) - 1, round((box.top + box.height) * zoom) - 1
        color = self.theme.muted if patch.prepared.empty or patch.lost else self.theme.accent
        if patch.lost:
            _dash(picture, Rect(left, top, right - left, bottom - top), color, self._line)
        else:
            cv2.rectangle(picture, (left, top), (right, bottom), color, self._line)


def _dash(picture: Image, box: Rect, color: Color, line: int) -> None:
    """Draw a dashed rectangle."""
    right, bottom, dash = box.x + box.w, box.y + box.h, 5 * line
    for x in range(box.x, right, 2 * dash):
        for y in (box.y, bottom):
            cv2.line(picture, (x, y), (min(x + dash, right), y), color, line)
    for y in range(box.y, bottom, 2 * dash):
        for x in (box.x, right):
            cv2.line(picture, (x, y), (x, min(y + dash, bottom)), color, line)

"""A picture with its name under it, or with words instead of it."""

import math
from collections.abc import Sequence

import numpy as np

from livecnn._cv2 import cv2
from livecnn.drawing.artists import Group, Label, Paragraph, Pixels, Rectangles, baseline_offset, longest_fitting
from livecnn.drawing.theme import Color, Metrics, Theme
from livecnn.geometry import Rect
from livecnn.types import Image

DIM = 0.25  # of its own colours, what a picture keeps that is of something else by now
MORE = "…"

Margins = tuple[float, float, float, float]  # top, left, bottom, right


class Tile(Group):
    """A picture with a name under it and a word over it."""

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self.box: Rect | None = None  # where pictures belong; None while it is not on show
        self.label = Rect(0, 0, 0, 0)  # the line below the box
        self._theme = theme
        self._picture, self._name = Pixels(), Label(theme.muted, align="center")
        self._word = Label(theme.text, "bold", "center", theme.card)
        self._reason, self._bar = Paragraph(theme.muted), Rectangles()
        self.members = [self._picture, self._bar, self._name, self._word, self._reason]
        self._bright: Image | None = None  # the last picture, before it was dimmed
        self._key: tuple[object, ...] = ()
        self._small, self._pen = 12, 3

    def place(self, box: Rect | None, metrics: Metrics, *, named: bool = True) -> None:
        """Put it into a box, or nowhere, and empty it; `named` if there is room for a line under the box."""
        self.box, self._small, self._pen = box, metrics.small, metrics.px(3)
        self.clear()
        if box is not None:
            middle = box.x + box.w // 2
            self._name.set_visible(named)
            self.label = Rect(box.x, box.y + box.h, box.w, metrics.px(20) if named else 0)
            self._name.place(middle, box.y + box.h + metrics.px(15), metrics.small, box.w + metrics.px(8))
            self._word.place(middle, box.y + box.h // 2 + baseline_offset(metrics.body), metrics.body, box.w)

    def clear(self) -> None:
        """Leave nothing at all in its place."""
        self._picture.picture = self._bright = None
        self._name.text = ""
        self._bar.rectangles = []
        self._key = ()
        self._say("")

    def call(self, wordings: Sequence[str]) -> None:
        """Set the name under it: the longest of these wordings, ordered by length, that fits."""
        assert self.box is not None
        self._name.text = longest_fitting(wordings, self._name.width or 0, self._small)

    def progress(self, done: float) -> None:
        """Show a bar for what is under way, done 0..1."""
        assert self.box is not None
        x, y, w, h = self.box
        bar = Rect(x, y + h - self._pen, w, self._pen)
        ends = (bar, self._theme.edge), (bar._replace(w=max(1, round(w * done))), self._theme.accent)
        self._bar.rectangles = [] if done >= 1 else [*ends]

    def shows(self, *key: object) -> bool:
        """Return whether it shows what was made of these very objects; remember them as shown from now on."""
        same = len(key) == len(self._key) and all(a is b for a, b in zip(key, self._key, strict=True))
        self._key = key
        return same

    def show(self, picture: Image, word: str = "", color: Color | None = None) -> None:
        """Show a picture, uint8 (h, w, 3 or 4), at most as large as the box, and a word over it."""
        self._say(word, color)
        self._bright = picture
        self._put(picture)

    def wait(self) -> None:
        """Dim what is shown: it is of something else by now."""
        if self._word.text == MORE:
            return
        bright = self._bright
        self._key = ()
        self._put(self._blank() if bright is None else dim(bright, self._theme.card))
        self._say(MORE, self._theme.muted)

    def say(self, word: str, color: Color | None = None) -> None:
        """Show a word instead of a picture."""
        self._replace()
        self._say(word, color)

    def explain(self, reason: str) -> None:
        """Tell why there is no picture."""
        self._replace()
        self._say("", reason=reason)

    def _replace(self) -> None:
        self._key = ()
        self._bright = None
        self._put(self._blank())

    def _say(self, word: str, color: Color | None = None, reason: str = "") -> None:
        self._word.text, self._word.color = word, color or self._theme.text
        box = Rect(0, 0, 1, 1) if self.box is None else self.box
        inset = min(6, box.w // 8)
        self._reason.put(reason, box.inset(inset, inset, inset, inset), self._small)

    def _blank(self) -> Image:
        """Return the card with a thin frame."""
        assert self.box is not None
        ground = np.full((self.box.h, self.box.w, 3), self._theme.edge, np.uint8)
        ground[1:-1, 1:-1] = self._theme.card
        return ground

    def _put(self, picture: Image) -> None:
        assert self.box is not None
        left, top = (self.box.w - picture.shape[1]) // 2, (self.box.h - picture.shape[0]) // 2
        self._picture.put(self.box.x + left, self.box.y + top, picture)

    def place_in(self, x: float, y: float) -> tuple[float, float] | None:
        """Return how far down and across the picture a device pixel is, each 0..1; None beside it."""
        shown = self._picture
        if self.box is None or self._bright is None or shown.picture is None:
            return None
        height, width = shown.picture.shape[:2]
        row, column = (y - shown.y) / height, (x - shown.x) / width
        return (row, column) if 0 <= row < 1 and 0 <= column < 1 else None


def tile_grid(room: Rect, count: int, line: int, gap: int, least: int) -> list[Rect]:
    """Return squares in rows, as large as possible, `line` pixels free below each; fewer if they were smaller than `least`."""

    def side(columns: int) -> int:
        rows = math.ceil(count / columns)
        return min((room.w + gap) // columns - gap, (room.h + gap) // rows - gap - line)

    columns = max(range(1, count + 1), key=lambda number: (side(number), -number))
    if count > 1 and side(columns) < least:
        return tile_grid(room, count - 1, line, gap, least)
    size, rows = max(1, side(columns)), math.ceil(count / columns)
    left = room.x + (room.w - columns * (size + gap) + gap) // 2
    top = room.y + (room.h - rows * (size + gap + line) + gap) // 2
    places = (divmod(i, columns) for i in range(count))
    return [Rect(left + column * (size + gap), top + row * (size + gap + line), size, size) for row, column in places]


def dim(picture: Image, ground: Color) -> Image:
    """Return a picture, uint8 (h, w, 3 or 4), mostly in the ground's color."""
    still = np.empty_like(picture)
    still[:] = (*ground, 255)[: picture.shape[2]]
    return np.asarray(cv2.addWeighted(picture, DIM, still, 1 - DIM, 0), np.uint8)


def outline(picture: Image, edges: Margins, color: Color, pen: int) -> None:
    """Draw a rectangle inside these edges, in pixels of the picture, and at least as large as can be seen."""
    (top, left, bottom, right), (height, width) = edges, picture.shape[:2]
    y0, y1 = _span(top, bottom, 3 * pen, height)
    x0, x1 = _span(left, right, 3 * pen, width)
    ink = (*color, 255)[: picture.shape[2]]
    for rows, columns in (
        (slice(y0, y0 + pen), slice(x0, x1)),
        (slice(max(y0, y1 - pen), y1), slice(x0, x1)),
        (slice(y0, y1), slice(x0, x0 + pen)),
        (slice(y0, y1), slice(max(x0, x1 - pen), x1)),
    ):
        picture[rows, columns] = ink


def outline_part(picture: Image, shares: Margins, color: Color, pen: int) -> None:
    """Draw a rectangle as `outline` does; its edges are shares of the picture."""
    (top, left, bottom, right), (height, width) = shares, picture.shape[:2]
    outline(picture, (top * height, left * width, bottom * height, right * width), color, pen)


def _span(first: float, last: float, least: int, limit: int) -> tuple[int, int]:
    """Whole pixels inside 0..limit, at least so many where there are."""
    spread = max(0.0, least - (last - first)) / 2
    start, stop = round(first - spread), round(last + spread)
    start = min(max(0, start), max(0, limit - least))
    return start, max(min(limit, stop), min(limit, start + least))

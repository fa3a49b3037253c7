"""Artists that put pixels straight into the figure's Agg buffer.

matplotlib's AxesImage resamples, normalises and blends on every draw, and laying out a text costs a millisecond; in a picture
that changes thirty times a second these are nearly the whole bill. The artists here are given opaque pixels at the figure's own
resolution, or keep a rendered text as a mask, and only copy. They need a canvas that draws with Agg: QtAgg, TkAgg and Agg do.
Positions are device pixels from the top left of the figure.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib import font_manager
from matplotlib.artist import Artist
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

from livecnn._cv2 import cv2
from livecnn.drawing.theme import Color, Metrics, Theme
from livecnn.geometry import Rect
from livecnn.types import Image

if TYPE_CHECKING:
    from matplotlib.backends.backend_agg import RendererAgg

LINES = 8  # of a paragraph at most
LARGEST = 96  # pixels of a readout's letters at 1280x720
Weight = Literal["normal", "bold"]
Align = Literal["left", "center", "right"]


def renderer_buffer(renderer: RendererAgg) -> Image:
    """Return the renderer's own pixels, uint8 (H, W, 4) RGBA, writable in place."""
    return np.asarray(renderer.buffer_rgba())


def resize_exactly(image: Image, width: int, height: int, *, sharp: bool = False) -> Image:
    """Resize uint8 (H, W, 3) to exactly height x width: averaged down; enlarged smoothly or, if sharp, as squares."""
    # Means of 2x2 pixels first: OpenCV has a fast way for these and for no others.
    while image.shape[1] >= 2 * width and image.shape[0] >= 2 * height:
        h, w = image.shape[0] // 2, image.shape[1] // 2
        image = np.asarray(cv2.resize(image[: 2 * h, : 2 * w], (w, h), interpolation=cv2.INTER_AREA), np.uint8)
    method = cv2.INTER_NEAREST if sharp and width >= image.shape[1] else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (width, height), interpolation=method), np.uint8)


Spot = tuple[slice, slice]  # rows and columns of the buffer


def buffer_slice(x: int, y: int, w: int, h: int) -> Spot:
    """Return the part of the buffer that a rectangle covers; it may reach over the edges."""
    return slice(max(0, y), max(0, y + h)), slice(max(0, x), max(0, x + w))


class BufferArtist(Artist):
    """An artist that is drawn at every tick; it remembers where, so that the still picture has to be put back there only."""

    def __init__(self) -> None:
        super().__init__()
        self._spots: list[Spot] = []

    def wipe(self, buffer: Image, still: Image) -> None:
        """Put the still picture back where this was drawn last; called before it is drawn again."""
        for spot in self._spots:
            buffer[spot] = still[spot]
        self._spots = []


class Pixels(BufferArtist):
    """A picture, opaque, at the figure's own resolution."""

    def __init__(self) -> None:
        super().__init__()
        self.x = self.y = 0
        self.picture: Image | None = None

    def put(self, x: int, y: int, picture: Image) -> None:
        """Set the picture, uint8 (h, w, 3) RGB or (h, w, 4) RGBA, its top left pixel at (x, y); what is outside is cut off."""
        # Whole pixels are copied thirty times as fast as three of their four channels.
        opaque = cv2.cvtColor(picture, cv2.COLOR_RGB2RGBA) if picture.shape[2] == 3 else picture
        self.x, self.y, self.picture = x, y, np.asarray(opaque, np.uint8)

    def fit(self, room: Rect, picture: Image, *, sharp: bool = False) -> None:
        """Set a picture as `put` takes it, as large as fits into the middle of a room; sharp as of `resize_exactly`."""
        place = room.fit(picture.shape[1] / picture.shape[0])
        self.put(place.x, place.y, resize_exactly(picture, place.w, place.h, sharp=sharp))

    def wipe(self, buffer: Image, still: Image) -> None:
        if self._spots != self._wanted():  # else it will cover itself
            super().wipe(buffer, still)

    def draw(self, renderer: RendererAgg) -> None:  # type: ignore[override]  # the base class leaves it untyped
        self._spots = self._wanted()
        if self.picture is None or not self._spots:
            return
        target = renderer_buffer(renderer)[self._spots[0]]
        source = self.picture[max(0, -self.y) :, max(0, -self.x) :]
        target[:] = source[: target.shape[0], : target.shape[1]]

    def _wanted(self) -> list[Spot]:
        if self.picture is None or not self.get_visible():
            return []
        return [buffer_slice(self.x, self.y, self.picture.shape[1], self.picture.shape[0])]


class Rectangles(BufferArtist):
    """Rectangles, each in one opaque colour: bars and markers."""

    def __init__(self) -> None:
        super().__init__()
        self.rectangles: list[tuple[Rect, Color]] = []

    def draw(self, renderer: RendererAgg) -> None:  # type: ignore[override]
        rectangles = self.rectangles if self.get_visible() else []
        self._spots = [buffer_slice(*rectangle) for rectangle, _ in rectangles]
        buffer = renderer_buffer(renderer)
        for spot, (_, color) in zip(self._spots, rectangles, strict=True):
            buffer[spot] = (*color, 255)


@lru_cache(maxsize=256)
def _font(size: int, weight: Weight) -> ImageFont.FreeTypeFont:
    path = font_manager.findfont(font_manager.FontProperties(family="DejaVu Sans", weight=weight))
    return ImageFont.truetype(path, max(1, size))


def _printable(text: str) -> str:
    """File and class names may hold anything; what has no glyph, a line break or a byte of another encoding, is shown as �."""
    return text if text.isprintable() else "".join(char if char.isprintable() else "\ufffd" for char in text)


@lru_cache(maxsize=2048)
def _mask(text: str, size: int, weight: Weight) -> tuple[npt.NDArray[np.int32], int, int]:
    """Coverage 0-256 of the text's pixels, and where its top left pixel lies from the pen position on the baseline."""
    font, text = _font(size, weight), _printable(text)
    left, top, right, bottom = (round(edge) for edge in font.getbbox(text, anchor="ls"))
    image = PillowImage.new("L", (max(1, right - left), max(1, bottom - top)), 0)
    ImageDraw.Draw(image).text((-left, -top), text, fill=255, font=font, anchor="ls")
    coverage = np.asarray(image).astype(np.int32)
    return (coverage + (coverage >> 7))[:, :, None], left, top


@lru_cache(maxsize=4096)
def text_width(text: str, size: int, weight: Weight = "normal") -> int:
    """Return the advance width of one line in pixels."""
    return round(_font(size, weight).getlength(_printable(text)))


def baseline_offset(size: int) -> int:
    """Return how far below the middle of a line of text its baseline is: half the height of a figure, in pixels."""
    return round(0.36 * size)


def shorten(text: str, width: int, size: int, weight: Weight = "normal") -> str:
    """Return the text, or as much of its beginning as fits with an ellipsis."""
    if text_width(text, size, weight) <= width:
        return text
    while text and text_width(text + "…", size, weight) > width:
        text = text[:-1]
    return text.rstrip() + "…" if text else ""


class _Drawn(NamedTuple):
    """A label as it was drawn last: what it said and where, the pixels that lay under it, and what became of them."""

    wanted: tuple[object, ...]
    place: Spot
    under: Image
    result: Image


class Label(BufferArtist):
    """One line of text on a baseline.

    Letters are rendered once and kept; while neither the words nor what lies under them change, drawing is a copy.
    """

    def __init__(self, color: Color, weight: Weight = "normal", align: Align = "left", ground: Color | None = None) -> None:
        """Make an empty label; ground is the color of a box behind the text, for text over a picture."""
        super().__init__()
        self.text = ""
        self.ground = ground
        self.x = self.y = 0
        self.size = 12
        self.width: int | None = None
        self.color = color
        self.weight: Weight = weight
        self.align: Align = align
        self._drawn: _Drawn | None = None

    def place(self, x: int, y: int, size: int, width: int | None = None) -> None:
        """Put the baseline at y, the left end, center or right end at x; text longer than `width` pixels is shortened."""
        self.x, self.y, self.size, self.width = x, y, size, width

    def advance(self) -> int:
        """Return the width of the whole text in pixels."""
        return text_width(self.text, self.size, self.weight)

    def draw(self, renderer: RendererAgg) -> None:  # type: ignore[override]
        self._spots = []
        if not self.text or not self.get_visible():
            return
        buffer = renderer_buffer(renderer)
        wanted = (self.text, self.x, self.y, self.size, self.width, self.color, self.align, self.ground, buffer.shape)
        drawn = self._drawn
        if drawn is None or drawn.wanted != wanted or not np.array_equal(buffer[drawn.place], drawn.under):
            drawn = self._drawn = self._write(buffer, wanted)
        buffer[drawn.place] = drawn.result
        self._spots = [drawn.place]

    def _write(self, buffer: Image, wanted: tuple[object, ...]) -> _Drawn:
        text = self.text if self.width is None else shorten(self.text, self.width, self.size, self.weight)
        mask, left, top = _mask(text, self.size, self.weight)
        share = {"left": 0.0, "center": 0.5, "right": 1.0}[self.align]
        x, y = self.x + left - round(share * text_width(text, self.size, self.weight)), self.y + top
        rim = 0 if self.ground is None else self.size // 4
        place = buffer_slice(x - rim, y - rim, mask.shape[1] + 2 * rim, mask.shape[0] + 2 * rim)
        under = buffer[place].copy()
        result = under.copy()
        if self.ground is not None:
            result[:, :, :3] = self.ground
        _blend(result, x - place[1].start, y - place[0].start, mask, self.color)
        return _Drawn(wanted, place, under, result)


def _blend(target: Image, x: int, y: int, mask: npt.NDArray[np.int32], color: Color) -> None:
    """Lay a mask on pixels, its top left at (x, y); what lies outside is cut off."""
    mask = mask[max(0, -y) :, max(0, -x) :]
    part = target[max(0, y) : max(0, y) + mask.shape[0], max(0, x) : max(0, x) + mask.shape[1], :3]
    mask = mask[: part.shape[0], : part.shape[1]]
    under = part.astype(np.int32)
    part[:] = under + (((np.array(color, dtype=np.int32) - under) * mask) >> 8)


def write(picture: Image, text: str, x: int, y: int, size: int, color: Color, weight: Weight = "normal") -> None:
    """Put one line on a picture, uint8 (h, w, 3 or 4): centred at x, the baseline at y."""
    mask, left, top = _mask(text, size, weight)
    _blend(picture, x + left - round(text_width(text, size, weight) / 2), y + top, mask, color)


class Group(BufferArtist):
    """Draws its members in order: what a figure hands to the animation as one artist."""

    def __init__(self) -> None:
        super().__init__()
        self.members: list[Artist] = []

    def wipe(self, buffer: Image, still: Image) -> None:
        for member in self.members:
            if isinstance(member, BufferArtist):
                member.wipe(buffer, still)

    def draw(self, renderer: RendererAgg) -> None:  # type: ignore[override]
        for member in self.members:
            member.draw(renderer)


def as_rgb(image: Image) -> Image:
    """Return a picture, uint8 (H, W) or (H, W, 3), as (H, W, 3)."""
    return np.repeat(image[:, :, None], 3, axis=2) if image.ndim == 2 else image


def frame(inside: Rect, color: Color, thick: int) -> list[tuple[Rect, Color]]:
    """Return the four sides of a frame around a rectangle, for `Rectangles`."""
    x, y, w, h = inside
    wide = w + 2 * thick
    sides = (
        Rect(x - thick, y - thick, wide, thick),
        Rect(x - thick, y + h, wide, thick),
        Rect(x - thick, y, thick, h),
        Rect(x + w, y, thick, h),
    )
    return [(side, color) for side in sides]


def longest_fitting(wordings: Sequence[str], width: int, size: int, weight: Weight = "normal") -> str:
    """Return the first that is no wider than `width` pixels, else the last."""
    return next((words for words in wordings if text_width(words, size, weight) <= width), wordings[-1])


def wrap_words(text: str, width: int, size: int, most: int | None = None) -> list[str]:
    """Break a text into lines of whole words; one that is wider than `width` pixels itself has a line of its own.

    most: how many lines at most; the last one then holds all the rest.
    """
    lines: list[str] = []
    for word in text.split():
        if lines and (len(lines) == most or text_width(f"{lines[-1]} {word}", size) <= width):
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


class Paragraph(Group):
    """A text of some lines in the middle of a box."""

    def __init__(self, color: Color) -> None:
        super().__init__()
        self._labels = [Label(color, align="center") for _ in range(LINES)]
        self.members = [*self._labels]
        self._placed: tuple[str, Rect, int] = "", Rect(0, 0, 1, 1), 0

    @property
    def text(self) -> str:
        """Return the words of all lines."""
        return self._placed[0]

    def put(self, text: str, box: Rect, size: int) -> None:
        """Write a text with letters of so many pixels; an ellipsis stands for what has no room in the box."""
        if self._placed == (text, box, size):
            return
        self._placed = text, box, size
        line = round(1.35 * size)
        most = min(LINES, box.h // line)
        lines = wrap_words(text, box.w, size)
        if len(lines) > most > 0:
            lines[most - 1] += "…" if text_width(lines[most - 1] + "…", size) <= box.w else " …"
        top = box.y + (box.h - line * min(most, len(lines))) // 2
        for i, label in enumerate(self._labels):
            label.text = lines[i] if i < min(most, len(lines)) else ""
            label.place(box.x + box.w // 2, top + i * line + size, size, box.w)


class Readout:
    """The artists of one number; the figure's right end stays where it is, so that nothing jumps from tick to tick."""

    def __init__(self, theme: Theme, unit: str) -> None:
        self._figure = Label(theme.accent, "bold", "right")
        self._unit, self._note = Label(theme.muted), Label(theme.text, align="center")
        self._words = unit
        self._tallest, self._room = 1, Rect(0, 0, 1, 1)
        self.artists = [self._figure, self._unit, self._note]

    def place(self, room: Rect, widest: str, metrics: Metrics) -> None:
        """Lay it out in a room; `widest` is a figure as wide as any that is to be expected."""
        self._room = room
        line = metrics.small + metrics.px(8)
        noted = room.h >= line + metrics.px(24)
        height = room.h - line if noted else room.h
        sizes = range(max(1, min(metrics.px(LARGEST), round(1.1 * height))), metrics.small, -1)
        size = next((size for size in sizes if self._width(widest, size, metrics) <= room.w), metrics.small)
        united = bool(self._words) and self._width(widest, size, metrics) <= room.w
        digits, small = text_width(widest, size, "bold"), max(metrics.small, round(0.35 * size))
        gap = round(0.2 * size) if united else 0
        whole = digits + (gap + text_width(self._words, small) if united else 0)
        right, baseline = room.x + (room.w - whole) // 2 + digits, room.y + (height + round(0.72 * size)) // 2
        self._tallest = size
        self._figure.place(right, baseline, size)
        self._unit.text = self._words if united else ""
        self._unit.place(right + gap, baseline, small)
        self._note.place(room.x + room.w // 2, baseline + line, metrics.small, room.w)
        self._note.set_visible(noted)

    def _width(self, figure: str, size: int, metrics: Metrics) -> int:
        unit = text_width(self._words, max(metrics.small, round(0.35 * size))) + round(0.2 * size) if self._words else 0
        return text_width(figure, size, "bold") + unit

    def show(self, figure: str, note: str, color: Color) -> None:
        """Show a figure and a note; a figure that is wider than expected is written smaller."""
        room = max(1, self._figure.x - self._room.x)
        self._figure.size = min(self._tallest, self._tallest * room // max(1, text_width(figure, self._tallest, "bold")))
        self._figure.text, self._figure.color, self._note.text = figure, color, note

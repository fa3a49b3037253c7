"""What lies over the panels: a message for a moment or for longer, the mark of a recording, and the list of keys."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from livecnn.drawing.artists import (
    BufferArtist,
    Label,
    Rectangles,
    Spot,
    baseline_offset,
    buffer_slice,
    renderer_buffer,
    text_width,
)
from livecnn.drawing.theme import THEMES, Metrics, Theme
from livecnn.geometry import Rect
from livecnn.types import Image

if TYPE_CHECKING:
    from matplotlib.backends.backend_agg import RendererAgg

MARK = 130  # the banner leaves so much of its right end to the mark, in pixels at 1280x720


def bordered_box(rect: Rect, theme: Theme, line: int) -> list[tuple[Rect, tuple[int, int, int]]]:
    """A filled box with a border, as rectangles for Fills."""
    return [(rect, theme.accent), (rect.inset(line, line, line, line), theme.card)]


class Overlay(BufferArtist):
    """Lies over the panels and outlives them: its theme, which may change with the layout, comes when it is laid out."""

    def __init__(self) -> None:
        super().__init__()
        self._ground = Rectangles()
        self._area, self._metrics, self._theme = Rect(0, 0, 1, 1), Metrics(1.0), THEMES["dark"]

    def lay_out(self, area: Rect, metrics: Metrics, theme: Theme) -> None:
        self._area, self._metrics, self._theme = area, metrics, theme
        self.arrange()

    def arrange(self) -> None:
        """Place everything inside the area."""

    def wipe(self, buffer: Image, still: Image) -> None:
        self._ground.wipe(buffer, still)


class Toast(Overlay):
    """One line near the bottom, until its time has come."""

    def __init__(self) -> None:
        super().__init__()
        self._until = 0.0
        self._label = Label(self._theme.text, align="center")

    def say(self, words: str, until: float) -> None:
        """until: on the clock of `time.monotonic()`."""
        self._label.text, self._until = words, until
        self.arrange()

    @property
    def text(self) -> str:
        """The message on show, "" if none is."""
        return self._label.text if time.monotonic() < self._until else ""

    def arrange(self) -> None:
        area, metrics = self._area, self._metrics
        size, pad = metrics.px(17), metrics.px(14)
        width = min(area.w, text_width(self._label.text, size) + 2 * pad)
        box = Rect(area.x + (area.w - width) // 2, area.y + area.h - metrics.px(64), width, metrics.px(40))
        self._ground.rectangles = bordered_box(box, self._theme, metrics.px(1.5))
        self._label.color = self._theme.text
        self._label.place(box.x + box.w // 2, box.y + box.h // 2 + baseline_offset(size), size, box.w - pad)

    def draw(self, renderer: RendererAgg) -> None:  # type: ignore[override]
        if self.text:
            self._ground.draw(renderer)
            self._label.draw(renderer)


class Banner(Overlay):
    """What is wrong, in one line along the top of the panels, for as long as it is wrong."""

    def __init__(self) -> None:
        super().__init__()
        self.text = ""
        self._label = Label(self._theme.background, "bold")

    def arrange(self) -> None:
        strip, size, pad = strip_of(self._area, self._metrics), self._metrics.body, self._metrics.pad
        self._ground.rectangles = [(strip, self._theme.bad)]
        self._label.color = self._theme.background
        room = strip.w - 2 * pad - self._metrics.px(MARK)
        self._label.place(strip.x + pad, middle(strip, size), size, max(0, room))

    def draw(self, renderer: RendererAgg) -> None:  # type: ignore[override]
        if self.text:
            self._label.text = f"⚠  {' '.join(self.text.split())}"  # of an error of several lines as much as fits
            self._ground.draw(renderer)
            self._label.draw(renderer)


class Prompt(Overlay):
    """What is being written, as a line near the bottom."""

    def __init__(self) -> None:
        super().__init__()
        self.text = ""
        self._label = Label(self._theme.text)

    def arrange(self) -> None:
        area, metrics = self._area, self._metrics
        size, pad = metrics.px(17), metrics.px(14)
        box = Rect(area.x + pad, area.y + area.h - metrics.px(64), max(1, area.w - 2 * pad), metrics.px(40))
        self._ground.rectangles = bordered_box(box, self._theme, metrics.px(1.5))
        self._label.color, self._label.text = self._theme.text, self.text
        self._label.place(box.x + pad, middle(box, size), size, box.w - 2 * pad)

    def draw(self, renderer: RendererAgg) -> None:  # type: ignore[override]
        if self.text:
            self._ground.draw(renderer)
            self._label.draw(renderer)


class RecMark(Overlay):
    """A red disc and for how long has been recorded, at the right of the same strip.

    It is for whoever looks at the window, not for the recording: drawn last, it keeps what it covers.
    """

    def __init__(self) -> None:
        super().__init__()
        self.since: float | None = None  # when the recording began, on the clock of `time.monotonic()`; None: there is none
        self._disc, self._label = Label(self._theme.bad), Label(self._theme.text, "bold", "right")
        self._under: tuple[tuple[int, ...], Spot, Image] | None = None  # of a picture of that size, what was there

    @property
    def text(self) -> str:
        """ "REC 0:12", "" if nothing is recorded."""
        if self.since is None:
            return ""
        minutes, seconds = divmod(int(time.monotonic() - self.since), 60)
        return f"REC {minutes}:{seconds:02d}"

    def draw(self, renderer: RendererAgg) -> None:  # type: ignore[override]
        self._under = None
        if not (words := self.text):
            return
        self._place(words)
        (box, _), *_ = self._ground.rectangles
        spot, buffer = buffer_slice(*box), renderer_buffer(renderer)
        self._under = buffer.shape[:2], spot, buffer[spot][:, :, :3].copy()
        for artist in (self._ground, self._disc, self._label):
            artist.draw(renderer)

    def _place(self, words: str) -> None:
        metrics, theme = self._metrics, self._theme
        strip, size, pad = strip_of(self._area, metrics), metrics.body, metrics.px(10)
        self._disc.text, self._label.text = "●", words
        self._disc.color, self._label.color = theme.bad, theme.text
        width = text_width("● ", size) + text_width(words, size, "bold") + 2 * pad
        box = Rect(strip.x + strip.w - width, strip.y, width, strip.h)
        self._ground.rectangles = [(box, theme.bad), (box.inset(*[metrics.px(1.5)] * 4), theme.card)]
        self._disc.place(box.x + pad, middle(box, size), size)
        self._label.place(box.x + box.w - pad, middle(box, size), size)

    def taken_off(self, picture: Image) -> Image:
        """The picture that it was drawn on, uint8 (H, W, 3), without it; changed in place."""
        if self._under is not None and self._under[0] == picture.shape[:2]:
            _, spot, under = self._under
            picture[spot] = under
        return picture


def strip_of(area: Rect, metrics: Metrics) -> Rect:
    """Along the top of an area, for the banner and the mark."""
    return Rect(area.x, area.y, area.w, min(area.h, metrics.px(34)))


def middle(box: Rect, size: int) -> int:
    """Baseline of a line of text in the middle of a box."""
    return box.y + box.h // 2 + baseline_offset(size)

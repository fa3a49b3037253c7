"""Draw over the panels: messages, the mark of a recording, words beside the mouse, and the list of keys."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from livecnn.app.keys import EXPLORER_KEYS, GESTURES, WINDOW_KEYS, Gesture, Key
from livecnn.drawing.artists import (
    BufferArtist,
    Label,
    Rectangles,
    Spot,
    Weight,
    baseline_offset,
    buffer_slice,
    renderer_buffer,
    text_width,
)
from livecnn.drawing.theme import THEMES, Color, Metrics, Theme
from livecnn.geometry import Rect
from livecnn.panels.base.targets import Tooltip
from livecnn.types import Image

if TYPE_CHECKING:
    from matplotlib.backends.backend_agg import RendererAgg

MARK = 130  # the banner leaves so much of its right end to the mark, in pixels at 1280x720
HELP_COLUMNS: tuple[tuple[tuple[str, Sequence[Key | Gesture]], ...], ...] = (
    (("Keys", WINDOW_KEYS), ("Mouse", GESTURES)),
    (("Explorer", EXPLORER_KEYS),),
)


def bordered_box(rect: Rect, theme: Theme, line: int) -> list[tuple[Rect, Color]]:
    """Return a filled box with a border, as rectangles for `Rectangles`."""
    return [(rect, theme.accent), (rect.inset(line, line, line, line), theme.card)]


class Overlay(BufferArtist):
    """Base of what is drawn over the panels: a ground and labels, drawn while there is a text.

    Overlays outlive a layout; the theme, which changes with it, is given when they are laid out.
    """

    def __init__(self) -> None:
        super().__init__()
        self._text = ""
        self._ground = Rectangles()
        self._labels: list[Label] = []
        self._area, self._metrics, self._theme = Rect(0, 0, 1, 1), Metrics(1.0), THEMES["dark"]

    @property
    def text(self) -> str:
        """Return the text on show; "" if there is none. The picture changes whenever this does."""
        return self._text

    def write(self, words: str) -> None:
        """Write something else; "" takes the overlay away."""
        self._text = words
        self.arrange()

    def lay_out(self, area: Rect, metrics: Metrics, theme: Theme) -> None:
        """Place everything inside an area of the figure."""
        self._area, self._metrics, self._theme = area, metrics, theme
        self.arrange()

    def arrange(self) -> None:
        """Place ground and labels for the present area, theme and text."""

    def wipe(self, buffer: Image, still: Image) -> None:
        self._ground.wipe(buffer, still)

    def draw(self, renderer: RendererAgg) -> None:  # type: ignore[override]
        if self.text:
            for artist in (self._ground, *self._labels):
                artist.draw(renderer)

    def _top_strip(self) -> Rect:
        """Return the strip along the top of the area that banner and mark share."""
        area = self._area
        return Rect(area.x, area.y, area.w, min(area.h, self._metrics.px(34)))

    def _bottom_box(self, width: int) -> Rect:
        """Return a box of that width near the bottom, in the middle, and make it the ground."""
        area, metrics = self._area, self._metrics
        box = Rect(area.x + (area.w - width) // 2, area.y + area.h - metrics.px(64), width, metrics.px(40))
        self._ground.rectangles = bordered_box(box, self._theme, metrics.px(1.5))
        return box


class Toast(Overlay):
    """One line near the bottom, until its time has come."""

    def __init__(self) -> None:
        super().__init__()
        self._until = 0.0
        self._labels = [Label(self._theme.text, align="center")]

    def say(self, words: str, until: float) -> None:
        """Show a message until a time on the clock of `time.monotonic()`."""
        self._until = until
        self.write(words)

    @property
    def text(self) -> str:
        return self._text if time.monotonic() < self._until else ""

    def arrange(self) -> None:
        size, pad = self._metrics.px(17), self._metrics.px(14)
        box = self._bottom_box(min(self._area.w, text_width(self._text, size) + 2 * pad))
        (label,) = self._labels
        label.text, label.color = self._text, self._theme.text
        label.place(box.x + box.w // 2, middle(box, size), size, box.w - pad)


class Prompt(Overlay):
    """The text that is being written, as a line near the bottom."""

    def __init__(self) -> None:
        super().__init__()
        self._labels = [Label(self._theme.text)]

    def arrange(self) -> None:
        size, pad = self._metrics.px(17), self._metrics.px(14)
        box = self._bottom_box(max(1, self._area.w - 2 * pad))
        (label,) = self._labels
        label.text, label.color = self._text, self._theme.text
        label.place(box.x + pad, middle(box, size), size, box.w - 2 * pad)


class Banner(Overlay):
    """An error, in one line along the top of the panels, for as long as it is wrong."""

    def __init__(self) -> None:
        super().__init__()
        self._labels = [Label(self._theme.background, "bold")]

    def arrange(self) -> None:
        strip, size, pad = self._top_strip(), self._metrics.body, self._metrics.pad
        self._ground.rectangles = [(strip, self._theme.bad)]
        (label,) = self._labels
        label.text = f"⚠  {' '.join(self._text.split())}"  # of an error of several lines as much as fits
        label.color = self._theme.background
        label.place(strip.x + pad, middle(strip, size), size, max(0, strip.w - 2 * pad - self._metrics.px(MARK)))


class RecMark(Overlay):
    """A red disc and for how long has been recorded, at the right of the strip along the top.

    It is for whoever looks at the window, not for the recording: drawn last, it keeps what it covers. `since` is when the
    recording began, on the clock of `time.monotonic()`; None if there is none.
    """

    def __init__(self) -> None:
        super().__init__()
        self.since: float | None = None
        self._labels = [Label(self._theme.bad), Label(self._theme.text, "bold", "right")]
        self._under: tuple[tuple[int, ...], Spot, Image] | None = None  # of a picture of that size, what was there

    @property
    def text(self) -> str:
        if self.since is None:
            return ""
        minutes, seconds = divmod(int(time.monotonic() - self.since), 60)
        return f"REC {minutes}:{seconds:02d}"

    def draw(self, renderer: RendererAgg) -> None:  # type: ignore[override]
        self._under = None
        if words := self.text:
            spot, buffer = buffer_slice(*self._place(words)), renderer_buffer(renderer)
            self._under = buffer.shape[:2], spot, buffer[spot][:, :, :3].copy()
            super().draw(renderer)

    def _place(self, words: str) -> Rect:
        metrics, theme = self._metrics, self._theme
        strip, size, pad = self._top_strip(), metrics.body, metrics.px(10)
        width = text_width("● ", size) + text_width(words, size, "bold") + 2 * pad
        box = Rect(strip.x + strip.w - width, strip.y, width, strip.h)
        self._ground.rectangles = [(box, theme.bad), (box.inset(*[metrics.px(1.5)] * 4), theme.card)]
        disc, label = self._labels
        disc.text, disc.color, label.text, label.color = "●", theme.bad, words, theme.text
        disc.place(box.x + pad, middle(box, size), size)
        label.place(box.x + box.w - pad, middle(box, size), size)
        return box

    def taken_off(self, picture: Image) -> Image:
        """Return the picture that the mark was drawn on, uint8 (H, W, 3), without it; it is changed in place."""
        if self._under is not None and self._under[0] == picture.shape[:2]:
            _, spot, under = self._under
            picture[spot] = under
        return picture


class TooltipOverlay(Overlay):
    """Words about what the mouse points at, beside it and never over it; none while `tip` is None."""

    def __init__(self) -> None:
        super().__init__()
        self.tip: Tooltip | None = None

    @property
    def text(self) -> str:
        return "" if self.tip is None else repr(self.tip)

    def draw(self, renderer: RendererAgg) -> None:  # type: ignore[override]
        self._ground.rectangles = []
        if self.tip is not None:
            self._place(self.tip)
            super().draw(renderer)

    def _place(self, tip: Tooltip) -> None:
        metrics, theme = self._metrics, self._theme
        size, pad, line = metrics.small, metrics.px(9), metrics.px(19)
        most = self._area.w - 2 * pad
        width = min(most, max(text_width(words, size, "bold") for words in tip.lines)) + 2 * pad
        height = line * len(tip.lines) + 2 * pad - (line - size)
        box = place_tooltip(tip.about, width, height, self._area, metrics.px(6))
        self._ground.rectangles = bordered_box(box, theme, metrics.px(1.5))
        self._labels = []
        for i, words in enumerate(tip.lines):
            label = Label(theme.text if i == 0 else theme.muted, "bold" if i == 0 else "normal")
            label.text = words
            label.place(box.x + pad, box.y + pad + i * line + round(0.86 * size), size, box.w - 2 * pad)
            self._labels.append(label)


class Help(Overlay):
    """The keys, what the mouse does, and what both are for: in columns, in a small figure with smaller letters."""

    def __init__(self) -> None:
        super().__init__()
        self.set_visible(False)
        # Of each line a name and a meaning; a heading has no meaning.
        self._columns = [[line for block in column for line in _help_block(*block)] for column in HELP_COLUMNS]
        self._labels = [label for column in self._columns for line in column for label in line]

    @property
    def text(self) -> str:
        return "help" if self.get_visible() else ""

    @property
    def rows(self) -> list[tuple[str, str]]:
        """Return keys and gestures with their meanings, as they are shown."""
        return [(name.text, meaning.text) for column in self._columns for name, meaning in column if meaning.text]

    def arrange(self) -> None:
        area, metrics = self._area, self._metrics
        pad = min(metrics.px(26), area.w // 24)
        lines = max(map(len, self._columns))
        line = max(1, min(metrics.px(26), (area.h - 2 * pad) // lines))
        size = max(1, min(metrics.px(15), line - 2))
        names = [_widest([name for name, meaning in column if meaning.text], size, "bold") for column in self._columns]
        meanings = [_widest([meaning for _, meaning in column], size) for column in self._columns]
        gap = metrics.px(16)
        wanted = sum(names) + sum(meanings) + gap * len(names) + 2 * pad * (len(names) - 1)
        width, height = min(area.w, wanted + 2 * pad), min(area.h, line * lines + 2 * pad)
        box = Rect(area.x + (area.w - width) // 2, area.y + (area.h - height) // 2, width, height)
        self._ground.rectangles = bordered_box(box, self._theme, metrics.px(1.5))
        free = width - 2 * pad * len(names) - sum(names) - gap * len(names)
        x = box.x + pad
        for column, name_width, meaning_width in zip(self._columns, names, meanings, strict=True):
            room = max(0, free * meaning_width // sum(meanings))
            indent, y = name_width + gap, box.y + pad + size
            for name, meaning in column:
                if meaning.text:
                    name.color = self._theme.accent
                    name.place(x, y, size, indent)
                else:
                    name.color = self._theme.text
                    name.place(x, y, min(size + 2, line), indent + room)
                meaning.color = self._theme.text
                meaning.place(x + indent, y, size, room)
                y += line
            x += indent + room + 2 * pad


def _help_block(title: str, rows: Sequence[Key | Gesture]) -> list[tuple[Label, Label]]:
    lines = []
    for words, meaning in [(title, ""), *((row.shown, row.meaning) for row in rows)]:
        line = Label((0, 0, 0), "bold"), Label((0, 0, 0))
        line[0].text, line[1].text = words, meaning
        lines.append(line)
    return lines


def _widest(labels: Sequence[Label], size: int, weight: Weight = "normal") -> int:
    return max(text_width(label.text, size, weight) for label in labels)


def middle(box: Rect, size: int) -> int:
    """Return the baseline of a line of text in the middle of a box."""
    return box.y + box.h // 2 + baseline_offset(size)


def place_tooltip(about: Rect, width: int, height: int, area: Rect, gap: int) -> Rect:
    """Return a box beside a place: below, above, right or left, the first inside the area; else one at its bottom."""
    inside = [box for box in _around(about, width, height, area, gap) if _lies_in(box, area)]
    if inside:
        return inside[0]
    x = min(max(area.x, about.x), max(area.x, area.x + area.w - width))
    return Rect(x, max(area.y, area.y + area.h - height), width, height)


def _around(about: Rect, width: int, height: int, area: Rect, gap: int) -> Iterator[Rect]:
    x = min(max(area.x, about.x + (about.w - width) // 2), max(area.x, area.x + area.w - width))
    y = min(max(area.y, about.y + (about.h - height) // 2), max(area.y, area.y + area.h - height))
    yield Rect(x, about.y + about.h + gap, width, height)
    yield Rect(x, about.y - gap - height, width, height)
    yield Rect(about.x + about.w + gap, y, width, height)
    yield Rect(about.x - gap - width, y, width, height)


def _lies_in(box: Rect, area: Rect) -> bool:
    return area.x <= box.x and area.y <= box.y and box.x + box.w <= area.x + area.w and box.y + box.h <= area.y + area.h

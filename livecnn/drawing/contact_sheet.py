"""Pictures side by side on one sheet with a title: explanations, dreams, and what units answer to most."""

import math
from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

import numpy as np

from livecnn.drawing.artists import Weight, as_rgb, resize_exactly, shorten, text_width, write
from livecnn.drawing.theme import THEMES, Color
from livecnn.types import Floats, Image

WIDTH = 1280  # pixels at most, unless there are very many
EDGE, HEADER, SECTION, GAP, CAPTION = 20, 74, 34, 14, 26
LARGEST, SMALLEST = 196, 56  # of a tile
LEAST = 520  # of a sheet's width, for the title
ROOMY, VALUED = 80, 100  # width of a tile from which on it has room for a second caption, for a number
LETTERS = 13
SHARP = 64  # pixels of a side up to which each is shown as a square

THEME = THEMES["dark"]


class SheetTile(NamedTuple):
    """A picture on a sheet."""

    image: Image  # uint8 (h, w, 3)
    name: str  # the caption below it
    note: str  # a second caption, at the right end; left out where the name leaves no room for it
    reserved: int = 0  # pixels that the name leaves to the note


class ContactSheet:
    """Title, subtitle, and sections of tiles of one size, on one picture: `pixels`, uint8 (height, width, 3), after `begin`.

    Its size in pixels, `shape`, is (height, width).
    """

    def __init__(
        self, size: tuple[int, int], counts: Sequence[int], columns: int, *, leading: int = 0, least: int = LEAST
    ) -> None:
        """Lay it out.

        Args:
            size: (width, height) of a tile in pixels.
            counts: how many tiles each section has; several have headings.
            columns: tiles side by side.
            leading: columns on the left that are kept for tiles beside all sections.
            least: width of the sheet in pixels, at least.
        """
        self._columns, self._leading, self._headed = columns, leading, SECTION * (len(counts) > 1)
        self._across, self._down = size[0] + GAP, size[1] + CAPTION + GAP
        *self._tops, end = accumulate((self._headed + -(-count // columns) * self._down for count in counts), initial=HEADER)
        self.shape = end - GAP + EDGE, max(least, 2 * EDGE + (leading + columns) * self._across - GAP)

    def begin(self, title: str, subtitle: str, headings: Sequence[str] = ()) -> None:
        """Make the paper and write on it; the headings are of the sections."""
        self.pixels = np.empty((*self.shape, 3), np.uint8)
        self.pixels[:] = THEME.background
        room, left = self.shape[1] - 2 * EDGE, self._leading * self._across
        write_line(self.pixels, title, EDGE, 34, room, 20, THEME.text, "bold")
        write_line(self.pixels, subtitle, EDGE, 58, room, LETTERS, THEME.muted)
        for top, heading in zip(self._tops, headings if self._headed else (), strict=False):
            write_line(self.pixels, heading, EDGE + left, top + 20, room - left, 15, THEME.text, "bold")

    def lead(self, tile: SheetTile) -> None:
        """Put a tile beside the first section."""
        _place(self.pixels, EDGE, self._tops[0] + self._headed, tile)

    def put(self, section: int, index: int, tile: SheetTile) -> None:
        """Put a tile at its place in a section, row by row."""
        row, column = divmod(index, self._columns)
        top = self._tops[section] + self._headed
        _place(self.pixels, EDGE + (self._leading + column) * self._across, top + row * self._down, tile)


def _place(sheet: Image, x: int, y: int, tile: SheetTile) -> None:
    high, wide = tile.image.shape[:2]
    sheet[y - 1 : y + high + 1, x - 1 : x + wide + 1] = THEME.edge
    sheet[y : y + high, x : x + wide] = tile.image
    taken = write_line(sheet, tile.name, x, y + high + 18, wide - tile.reserved, LETTERS, THEME.text, "bold")
    note = text_width(tile.note, LETTERS)
    if tile.reserved or (wide >= ROOMY and note <= wide - taken - 6):
        write_line(sheet, tile.note, x + wide - note, y + high + 18, wide, LETTERS, THEME.muted)


def write_line(picture: Image, text: str, x: int, y: int, room: int, size: int, color: Color, weight: Weight = "normal") -> int:
    """Write one line from x on, the baseline at y, shortened to so many pixels; return how wide it is."""
    text = shorten(text, room, size, weight)
    width = text_width(text, size, weight)
    write(picture, text, x + round(width / 2), y, size, color, weight)
    return width


def draw_sheet(title: str, subtitle: str, names: Sequence[str], images: Image, values: Floats, smallest: int = SMALLEST) -> Image:
    """Draw pictures of one size, uint8 (U, h, w) or (U, h, w, 3), each with its name and a value, as uint8 (H, W, 3).

    A value of NaN is not shown; a tile is at least `smallest` pixels wide.
    """
    height, width = images.shape[1:3]
    columns = min(len(images), max(4, math.ceil(math.sqrt(1.7 * len(images)))))
    wide = min(LARGEST, max(smallest, (WIDTH - 2 * EDGE) // columns - GAP))
    if width <= SHARP and wide > width:
        wide -= wide % width  # every pixel a square of the same size
    high = max(1, round(wide * height / width))
    sheet = ContactSheet((wide, high), [len(images)], columns)
    sheet.begin(title, subtitle)
    for i, (name, image, value) in enumerate(zip(names, images, values, strict=True)):
        picture = resize_exactly(as_rgb(image), wide, high, sharp=max(image.shape) <= SHARP)
        note = f"{value:.3g}" if wide >= VALUED and not math.isnan(value) else ""
        sheet.put(0, i, SheetTile(picture, name, note, 9 * len(note)))
    return sheet.pixels

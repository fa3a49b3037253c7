"""From level codes to colours, at device pixels."""

from functools import lru_cache

import numpy as np
import numpy.typing as npt
from matplotlib import colormaps

from livecnn.drawing.theme import Theme
from livecnn.types import EMPTY, LEVELS, LOWEST, NOT_FINITE, Image

# What the strong end of a colour map looks like, in a word.
STRONG = {
    "gray": "white",
    "viridis": "yellow",
    "inferno": "pale yellow",
    "magma": "pale",
    "plasma": "yellow",
    "cividis": "yellow",
}
WEAK = {"gray": "black", "viridis": "purple", "inferno": "black", "magma": "black", "plasma": "dark blue", "cividis": "dark blue"}

NEGATIVE, POSITIVE = (74, 158, 255), (255, 82, 72)  # the ends of a scale around zero
FAINT = 0.25  # share of its own colour that a faint map keeps


def high_color_name(colormap: str) -> str:
    """Return the word for the color of high values, "white" for gray."""
    name = colormap.removesuffix("_r")
    return (WEAK if colormap.endswith("_r") else STRONG)[name]


@lru_cache(maxsize=32)
def table(colormap: str, theme: Theme, *, faint: bool = False) -> npt.NDArray[np.uint32]:
    """Return 256 colors, RGBA in memory order as one uint32 each, by level code.

    faint: mostly the card's colour, for what a network answers where there is nothing to look at.
    """
    rgba = np.empty((256, 4), np.uint8)
    rgba[LOWEST:] = colormaps[colormap](np.linspace(0, 1, LEVELS + 1), bytes=True)
    if faint:
        rgba[:, :3] = rgba[:, :3] * FAINT + np.array(theme.card) * (1 - FAINT)
    rgba[EMPTY] = (*theme.card, 255)
    rgba[NOT_FINITE] = (*theme.not_finite, 255)
    return rgba.view(np.uint32)[:, 0]


def enlarge(codes: Image, colors: npt.NDArray[np.uint32], rows: npt.NDArray[np.intp], columns: npt.NDArray[np.intp]) -> Image:
    """Colour the codes and repeat them: rows, columns say which source row and column each device pixel shows, -1 the gap.

    codes uint8 (h, w) -> uint8 (len(rows), len(columns), 4) RGBA.
    """
    padded = np.full((codes.shape[0] + 1, codes.shape[1] + 1), colors[EMPTY])
    padded[:-1, :-1] = colors[codes]
    # Columns first: the wide copy then runs over whole rows.
    wide = np.take(np.take(padded, columns, axis=1), rows, axis=0)
    return wide.view(np.uint8).reshape(len(rows), len(columns), 4)


@lru_cache(maxsize=256)
def cells(count: int, each: int, pixels: int, gap: int) -> npt.NDArray[np.intp]:
    """Return the source index of each device pixel of `count` cells, `pixels` wide and of `each` source pixels; -1: a gap."""
    inside = np.arange(pixels) * each // pixels
    line = np.full((count, pixels + gap), -1, np.intp)
    line[:, :pixels] = np.arange(count)[:, None] * each + inside
    return line.ravel()[: count * (pixels + gap) - gap]


def subsample_index(index: npt.NDArray[np.intp], pixels: int) -> npt.NDArray[np.intp]:
    """Return at most `pixels` entries of an index, evenly spaced: thousands of maps in a small panel."""
    return index if len(index) <= pixels else index[np.arange(pixels) * len(index) // pixels]


@lru_cache(maxsize=8)
def signed(theme: Theme) -> npt.NDArray[np.uint32]:
    """Return such a table for values around zero: blue below, red above, between them the ground that a figure stands on."""
    share = np.linspace(-1, 1, LEVELS + 1)[:, None]
    strength = np.abs(share) ** 0.7  # on a dark ground weak colours are hard to see
    ground = np.array(theme.background)
    rgba = np.full((256, 4), 255, np.uint8)
    rgba[LOWEST:, :3] = ground + strength * (np.where(share < 0, NEGATIVE, POSITIVE) - ground)
    rgba[EMPTY] = (*theme.card, 255)
    rgba[NOT_FINITE] = (*theme.not_finite, 255)
    return rgba.view(np.uint32)[:, 0]

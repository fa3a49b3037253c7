"""The parts of an animated GIF (GIF89a) as bytes: head, a block per picture, trailer."""

from __future__ import annotations

import struct

import numpy as np
import numpy.typing as npt
from PIL import GifImagePlugin
from PIL import Image as PillowImage

from livecnn.types import Image

TRAILER = b";"
DELAY_AT = 4  # where in a block its delay is written, two bytes, the low one first
TRANSPARENT = 255  # palette index that leaves the pixel below as it is
EXACT = 192  # colours of a palette that may be kept exactly,
SPECK = 40  # if so many pixels in flat areas have them
SAMPLES = 200_000  # pixels of the other areas that the rest of a palette is made from


def head(width: int, height: int) -> bytes:
    """Logical screen without a global palette, then the application extension that makes it loop for ever."""
    screen = struct.pack("<6sHHBBB", b"GIF89a", width, height, 0x70, 0, 0)
    return screen + b"\x21\xff\x0bNETSCAPE2.0\x03\x01\x00\x00\x00"


def block(picture: Image, changed: npt.NDArray[np.bool_], delay: int) -> bytes:
    """The changed pixels of a picture, uint8 (H, W, 3), over what is shown; they stay. delay: hundredths of a second."""
    rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
    top, bottom = (int(rows[0]), int(rows[-1]) + 1) if len(rows) else (0, 1)
    left, right = (int(columns[0]), int(columns[-1]) + 1) if len(columns) else (0, 1)
    coded = quantized(picture, changed).crop((left, top, right, bottom))
    control = struct.pack("<4sHBB", b"\x21\xf9\x04\x05", delay, TRANSPARENT, 0)
    return control + b"".join(GifImagePlugin.getdata(coded, (left, top), include_color_table=True))


def quantized(picture: Image, wanted: npt.NDArray[np.bool_]) -> PillowImage.Image:
    """A picture with a palette of 255 colours; pixels that are not wanted get code TRANSPARENT.

    Colours of flat areas (grounds, frames, the cells of maps) are kept exactly; the others, as in photographs, share the rest
    of the palette by median cut (Heckbert, 1982).
    """
    packed = _packed(picture)
    flat = (packed[:-1, :-1] == packed[:-1, 1:]) & (packed[:-1, :-1] == packed[1:, :-1])
    exact = _frequent(packed[:-1, :-1][flat])
    palette = _unpacked(exact)
    others = packed[:-1, :-1][~flat & wanted[:-1, :-1]]
    others = others[:: max(1, len(others) // SAMPLES)]
    if len(others):
        cut = PillowImage.fromarray(_unpacked(others)[None])
        few = cut.quantize(TRANSPARENT - len(exact), PillowImage.Quantize.MEDIANCUT).getpalette()
        palette = np.concatenate((palette, np.array(few, np.uint8).reshape(-1, 3)))[:TRANSPARENT]
    board = PillowImage.new("P", (1, 1))
    board.putpalette(np.resize(palette, (256, 3)).tobytes())
    nearest = np.asarray(PillowImage.fromarray(picture).quantize(palette=board, dither=PillowImage.Dither.NONE))
    # Pillow looks colours up four levels at a time, which is too coarse for flat grounds.
    known = np.full(1 << 24, TRANSPARENT, np.uint8)
    known[exact] = np.arange(len(exact))
    codes = known[packed]
    codes = np.where(wanted, np.where(codes == TRANSPARENT, nearest, codes), np.uint8(TRANSPARENT))
    coded = PillowImage.fromarray(codes, "P")
    coded.putpalette(board.getpalette() or [])
    return coded


def _packed(picture: Image) -> npt.NDArray[np.uint32]:
    """uint8 (H, W, 3) -> (H, W), a number per colour."""
    wide = picture.astype(np.uint32)
    return np.asarray(wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2], np.uint32)


def _unpacked(colors: npt.NDArray[np.uint32]) -> Image:
    return np.stack((colors >> 16, colors >> 8 & 255, colors & 255), axis=1).astype(np.uint8)


def _frequent(pixels: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
    """The colours worth a place of their own; of those that nobody can tell apart, as in a ramp of grays, the most frequent."""
    colors, counts = np.unique(pixels, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    colors, counts = colors[order], counts[order]
    _, first, alike = np.unique(colors >> 2 & 0x3F3F3F, return_index=True, return_inverse=True)
    totals = np.bincount(alike, counts)
    often = np.argsort(-totals, kind="stable")[:EXACT]
    return np.asarray(colors[first[often[totals[often] >= SPECK]]], np.uint32)

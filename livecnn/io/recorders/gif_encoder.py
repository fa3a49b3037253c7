"""The parts of an animated GIF (GIF89a) as bytes: head, a block per picture, trailer."""

from __future__ import annotations

import struct

import numpy as np
import numpy.typing as npt
from PIL import GifImagePlugin
from PIL import Image as PillowImage

from livecnn._cv2 import cv2
from livecnn.io.recorders.palette import Packed, Palette
from livecnn.types import Image

TRAILER = b";"
DELAY_AT = 4  # where in a block its delay is written, two bytes, the low one first
TRANSPARENT = 255  # palette index that leaves the pixel below as it is
UNSEEN = 3  # levels of 255 that a pixel may differ from what is shown without being written again; a power of 2 less 1,
SEEN = np.uint32((0xFF ^ UNSEEN) * 0x010101)  # so that any of these bits in a packed difference tells that it is more
WORTH = 36  # by how much the square of a pixel's error must become less for it to be written


def head(width: int, height: int, loop: int = 0) -> bytes:
    """Return the logical screen without a global palette, then how often the film is played: 0 is for ever."""
    screen = struct.pack("<6sHHBBB", b"GIF89a", width, height, 0x70, 0, 0)
    if loop == 1:
        return screen
    repeats = max(0, loop - 1)  # what comes after the first time; 0 is for ever here, too
    return screen + b"\x21\xff\x0bNETSCAPE2.0\x03\x01" + struct.pack("<HB", repeats, 0)


def empty_frame(delay: int) -> bytes:
    """Return a block that changes nothing and lasts so many hundredths of a second."""
    return _frame_block(np.full((1, 1), TRANSPARENT, np.uint8), np.zeros((1, 3), np.uint8), (0, 0), delay)


class GifEncoder:
    """Turns pictures, uint8 (height, width, 3), into blocks, each with its own palette: only what changes visibly is written.

    It remembers what viewers show, which is not what was given: errors never add up.
    """

    def __init__(self, width: int, height: int) -> None:
        self._shown = np.zeros(height * width, np.uint32)
        self._last: Packed | None = None
        self._palette = Palette(TRANSPARENT)
        self._code_of = np.zeros(1 << 24, np.uint8)  # of a packed colour; the system gives it memory where it is used

    def block(self, picture: Image, delay: int) -> bytes:
        """Return what changes from the last picture to this one, empty if nothing does; it lasts `delay` / 100 seconds."""
        wanted, last = _packed(picture), self._last
        if last is not None and np.array_equal(wanted, last):
            return b""
        self._last = wanted
        codes = self._codes(wanted, everything=last is None).reshape(picture.shape[:2])
        left, top, width, height = cv2.boundingRect(cv2.bitwise_not(codes))  # TRANSPARENT becomes 0
        if not width:
            return b""
        changed = codes[top : top + height, left : left + width]
        return _frame_block(changed, self._palette.colors, (left, top), delay)

    def _codes(self, picture: Packed, *, everything: bool) -> npt.NDArray[np.uint8]:
        """Of every pixel, TRANSPARENT where what is shown will do."""
        codes = np.full(picture.shape, TRANSPARENT, np.uint8)
        seen = _differences(picture, self._shown).view("<u4")[:, 0]
        seen &= SEEN
        places = np.flatnonzero(everything | (seen != 0))
        if not len(places):
            return codes
        wanted, shown = picture[places], self._shown[places]
        colors, counts = np.unique(wanted, return_counts=True)
        self._code_of[colors] = self._palette.fit(colors, counts)
        chosen = self._code_of[wanted]
        offered = _packed(self._palette.colors.astype(np.uint8)[None])[chosen]
        better = everything | (_error(wanted, shown) - _error(wanted, offered) >= WORTH)
        codes[places] = np.where(better, chosen, TRANSPARENT)
        self._shown[places] = np.where(better, offered, shown)
        return codes


def _frame_block(codes: Image, colors: npt.NDArray[np.floating | np.uint8], corner: tuple[int, int], delay: int) -> bytes:
    """Return a block: codes (h, w) of colors (N, 3) at a corner, x and y, over what is shown; they stay."""
    palette = np.zeros((256, 3), np.uint8)
    palette[: len(colors)] = colors
    image = PillowImage.fromarray(codes)
    image.putpalette(palette.tobytes())
    control = struct.pack("<4sHBB", b"\x21\xf9\x04\x05", delay, TRANSPARENT, 0)
    return control + b"".join(GifImagePlugin.getdata(image, corner, include_color_table=True))


def _packed(picture: Image) -> Packed:
    """uint8 (H, W, 3) -> (H * W,)."""
    colors = np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2RGBA)).view("<u4").reshape(-1)
    colors &= np.uint32(0xFFFFFF)
    return colors


def _differences(one: Packed, other: Packed) -> npt.NDArray[np.uint8]:
    """Of each pixel, those in red, green and blue, and 0: (N, 4)."""
    bytes_of = [pixels.view(np.uint8).reshape(-1, 4) for pixels in (one, other)]
    return np.asarray(cv2.absdiff(*bytes_of))


def _error(one: Packed, other: Packed) -> npt.NDArray[np.int32]:
    """Of each pixel, the square of the difference."""
    squares = cv2.reduce(_differences(one, other), 1, cv2.REDUCE_SUM2, dtype=cv2.CV_32S)
    return np.asarray(squares, np.int32).reshape(-1)

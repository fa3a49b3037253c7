"""The parts of an animated GIF (GIF89a) as bytes: head, a block per picture, trailer."""

from __future__ import annotations

import struct

import numpy as np
import numpy.typing as npt
from PIL import GifImagePlugin
from PIL import Image as PillowImage

from livecnn._cv2 import cv2
from livecnn.palette import Packed, Palette
from livecnn.types import Image

TRAILER = b";"
DELAY_AT = 4  # where in a block its delay is written, two bytes, the low one first
TRANSPARENT = 255  # palette index that leaves the pixel below as it is
UNSEEN = 3  # levels of 255 that a pixel may differ from what is shown without being written again
WORTH = 36  # by how much the square of a pixel's error must become less for it to be written


def head(width: int, height: int, loop: int = 0) -> bytes:
    """Logical screen without a global palette, then how often the film is played: 0 is for ever."""
    screen = struct.pack("<6sHHBBB", b"GIF89a", width, height, 0x70, 0, 0)
    if loop == 1:
        return screen
    repeats = max(0, loop - 1)  # what comes after the first time; 0 is for ever here, too
    return screen + b"\x21\xff\x0bNETSCAPE2.0\x03\x01" + struct.pack("<HB", repeats, 0)


def pause(delay: int) -> bytes:
    """A block that changes nothing. delay: hundredths of a second."""
    return _coded(np.full((1, 1), TRANSPARENT, np.uint8), np.zeros((1, 3), np.uint8), (0, 0), delay)


class Encoder:
    """Turns pictures, uint8 (height, width, 3), into blocks, each with its own palette: only what changes visibly is written.

    It remembers what viewers show, which is not what was given: errors never add up.
    """

    def __init__(self, width: int, height: int) -> None:
        self._shown = np.zeros((height, width, 4), np.uint8)
        self._last: Image | None = None
        self._palette = Palette(TRANSPARENT)
        self._code_of = np.zeros(1 << 24, np.uint8)  # of a packed colour; the system gives it memory where it is used

    def block(self, picture: Image, delay: int) -> bytes:
        """What changes from the last picture to this one; empty if nothing does. delay: hundredths of a second."""
        wide, last = _wide(picture), self._last
        if last is not None and np.array_equal(wide, last):
            return b""
        self._last = wide
        codes = self._codes(wide, everything=last is None)
        rows, columns = (np.flatnonzero(cv2.reduce(codes, axis, cv2.REDUCE_MIN) != TRANSPARENT) for axis in (1, 0))
        if not len(rows):
            return b""
        top, left = int(rows[0]), int(columns[0])
        changed = codes[top : rows[-1] + 1, left : columns[-1] + 1]
        return _coded(changed, self._palette.colors, (left, top), delay)

    def _codes(self, picture: Image, *, everything: bool) -> Image:
        """uint8 (height, width), TRANSPARENT where what is shown will do."""
        codes = np.full(picture.shape[:2], TRANSPARENT, np.uint8)
        alike = cv2.inRange(cv2.absdiff(picture, self._shown), (0,) * 4, (UNSEEN,) * 4)
        places = np.arange(codes.size) if everything else np.flatnonzero(alike == 0)
        if not len(places):
            return codes
        wanted, shown = _packed(picture)[places], _packed(self._shown)
        colors, counts = np.unique(wanted, return_counts=True)
        self._code_of[colors] = self._palette.fit(colors, counts)
        chosen = self._code_of[wanted]
        offered = _packed(_wide(self._palette.colors.astype(np.uint8)[None]))[chosen]
        better = everything | (_error(wanted, shown[places]) - _error(wanted, offered) >= WORTH)
        places = places[better]
        codes.reshape(-1)[places] = chosen[better]
        shown[places] = offered[better]
        return codes


def _coded(codes: Image, colors: npt.NDArray[np.floating | np.uint8], corner: tuple[int, int], delay: int) -> bytes:
    """A block: codes (h, w) of colours (N, 3) at a corner, x and y, over what is shown; they stay."""
    palette = np.zeros((256, 3), np.uint8)
    palette[: len(colors)] = colors
    image = PillowImage.fromarray(codes)
    image.putpalette(palette.tobytes())
    control = struct.pack("<4sHBB", b"\x21\xf9\x04\x05", delay, TRANSPARENT, 0)
    return control + b"".join(GifImagePlugin.getdata(image, corner, include_color_table=True))


def _wide(picture: Image) -> Image:
    """(H, W, 3) -> (H, W, 4), the last one 0."""
    return np.asarray(cv2.merge((*cv2.split(picture), np.zeros(picture.shape[:2], np.uint8))))


def _packed(wide: Image) -> Packed:
    """uint8 (H, W, 4) -> a number per pixel, (H * W), in the same memory."""
    return wide.view("<u4").reshape(-1)


def _error(one: Packed, other: Packed) -> npt.NDArray[np.int32]:
    """Of each pixel, the square of the difference."""
    difference = cv2.absdiff(one.view(np.uint8), other.view(np.uint8)).reshape(-1, 4).astype(np.int32)
    return np.asarray(np.einsum("ij,ij->i", difference, difference))

"""Animated GIF (GIF89a): the parts of a file as bytes, and the palettes of its pictures."""

import struct

import numpy as np
import numpy.typing as npt
from PIL import GifImagePlugin
from PIL import Image as PillowImage

from livecnn._cv2 import cv2
from livecnn.types import Image

TRAILER = b";"
DELAY_AT = 4  # where in a block its delay is written, two bytes, the low one first
TRANSPARENT = 255  # palette index that leaves the pixel below as it is
UNSEEN = 3  # levels of 255 that a pixel may differ from what is shown without being written again; a power of 2 less 1,
SEEN = np.uint32((0xFF ^ UNSEEN) * 0x010101)  # so that any of these bits in a packed difference tells that it is more
WORTH = 36  # by how much the square of a pixel's error must become less for it to be written

Packed = npt.NDArray[np.uint32]  # a colour a number: red + green << 8 + blue << 16
Points = npt.NDArray[np.float32]  # (N, 3), whole numbers 0..255
Sums = npt.NDArray[np.float64]  # (N,)
Counts = npt.NDArray[np.int64]

CHOOSING, USING = 1536, 8000  # colours that are told apart then; of more, those that are alike count as one
ROUNDS = 3  # of k-means at most, after a new palette has grown
MOVED = 24  # colours of a palette that may be given up in a round for better ones,
SETTLED = 6  # and when so few are, it is good


def screen_head(width: int, height: int, loop: int = 0) -> bytes:
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


class Palette:
    """The colours that show a picture with the least squared error, found from those of the picture before.

    k-means on the histogram (Lloyd, 1982); each round gives colours that are hardly missed to those who are badly served. All
    values are whole numbers that the sums hold exactly, so the same pictures give the same colours on any machine.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.colors: Points = np.empty((0, 3), np.float32)

    def fit(self, colors: Packed, counts: Counts) -> npt.NDArray[np.uint8]:
        """Choose the palette for different colours (N,) that so many pixels have; the code of each, (N,)."""
        points, weights, _ = _alike(colors, counts, CHOOSING)
        if len(points) <= self.size:
            self.colors = points
        else:
            self._choose(points, weights)
        points, _, which = _alike(colors, counts, USING)
        return _nearest(points, self.colors)[0].astype(np.uint8)[which]

    def _choose(self, points: Points, weights: Sums) -> None:
        if not len(self.colors):
            self.colors = points[[weights.argmax()]]
        while len(self.colors) < self.size:
            count = min(len(self.colors), self.size - len(self.colors))
            self.colors = np.concatenate((self.colors, self._centre(points, weights)[2][:count]))
        for _ in range(ROUNDS):
            missed, gain, better = self._centre(points, weights)
            poor = np.argsort(missed, kind="stable")[:MOVED]
            moved = missed[poor] < gain[: len(poor)]
            self.colors[poor[moved]] = better[: len(poor)][moved]
            if moved.sum() <= SETTLED:
                break
        self._centre(points, weights)

    def _centre(self, points: Points, weights: Sums) -> tuple[Sums, Sums, Points]:
        """Put each colour in the middle of the points that it stands for.

        What losing each would cost; what would be gained by new colours, the most first; these.
        """
        codes, errors = _nearest(points, self.colors)
        losses, size = errors * weights, len(self.colors)
        counts = np.bincount(codes, weights, size)
        sums = np.stack([np.bincount(codes, weights * points[:, i], size) for i in range(3)], axis=1)
        used = counts > 0
        self.colors[used] = np.rint(sums[used] / counts[used, None])
        gain = np.bincount(codes, losses, size) / 2
        worst = np.zeros(size, np.intp)
        order = np.argsort(losses, kind="stable")
        worst[codes[order]] = order  # the last one stays
        rich = np.argsort(-gain, kind="stable")
        return np.asarray(counts * _gaps(self.colors), np.float64), gain[rich], points[worst[rich]]


def _alike(colors: Packed, counts: Counts, most: int) -> tuple[Points, Sums, Counts]:
    """At most so many colours as points, how many pixels have them, and which of them each colour belongs to."""
    groups, which = colors, np.arange(len(colors))
    for bits in range(1, 8):
        if len(groups) <= most:
            break
        cut = colors & np.uint32((0xFF << bits & 0xFF) * 0x010101)
        groups = np.unique(cut)
        which = np.searchsorted(groups, cut)
    weights = np.bincount(which, counts)
    sums = [np.bincount(which, counts * (colors >> shift & 0xFF)) for shift in (0, 8, 16)]
    points = np.rint(np.stack(sums, axis=1) / weights[:, None]).astype(np.float32)
    return points, weights.astype(np.float64, copy=False), which.astype(np.int64, copy=False)


def _nearest(points: Points, colors: Points) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float32]]:
    """Of each point, the nearest of the colours and the square of its distance."""
    distances = _squares(colors) - 2 * _products(points, colors)
    codes = distances.argmin(axis=1)
    return codes, np.take_along_axis(distances, codes[:, None], axis=1)[:, 0] + _squares(points)


def _gaps(colors: Points) -> npt.NDArray[np.float32]:
    """Of each colour, the square of the distance to the next one."""
    distances = _squares(colors)[:, None] + _squares(colors) - 2 * _products(colors, colors)
    np.fill_diagonal(distances, np.inf)
    return np.asarray(distances.min(axis=1))


def _products(points: Points, colors: Points) -> Points:
    """Scalar products. Threads that share so small a matrix product mostly wait for each other: einsum has none."""
    return np.asarray(np.einsum("ik,kj->ij", points, np.ascontiguousarray(colors.T)))


def _squares(points: Points) -> npt.NDArray[np.float32]:
    return np.asarray(np.einsum("ij,ij->i", points, points))

"""The built-in demo: a hand draws digits on paper under changing light. Synthetic; nothing is downloaded or stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from livecnn._cv2 import cv2
from livecnn.errors import SourceError
from livecnn.sources import Source, SourceOptions
from livecnn.types import Floats, Frame, Image

SIZE = (640, 480)
FPS = 25

# One digit, in frames: the hand comes, writes and goes; the digit stays; the sheet is pulled away.
_COME, _WRITE, _GO, _STAY, _PULL, _REST = 9, 37, 10, 36, 13, 4
_WRITTEN = _COME + _WRITE
_PULLED_FROM = _WRITTEN + _GO + _STAY
_PERIOD = _PULLED_FROM + _PULL + _REST

_MARGIN = 8  # pixels of the scene around the frame, room for the camera to shake
_MIDDLE = (SIZE[0] // 2 + _MARGIN, SIZE[1] // 2 + _MARGIN)
_AWAY = np.array([420.0, 250.0])  # from the paper to where the hand waits, outside the frame
_PAD = 132  # half the side of the square that a digit is written in
_INK = (34, 36, 58)
_GRAIN = 64  # the sensor noise is larger than the frame by this, and shifts from frame to frame

AnyFloats = npt.NDArray[np.floating[Any]]
Points = npt.NDArray[np.float64]

# By digit its strokes, by stroke the points that the pen passes smoothly, x to the right and y down, in a box of height 1
# around the origin. A point written twice is a corner.
_STROKES: dict[int, list[list[tuple[float, float]]]] = {
    0: [[(0.06, -0.49), (-0.17, -0.42), (-0.29, -0.05), (-0.22, 0.36), (0.02, 0.5), (0.24, 0.34), (0.3, -0.06),
         (0.2, -0.4), (0.03, -0.5), (-0.06, -0.46)]],
    1: [[(-0.13, -0.3), (0.0, -0.42), (0.06, -0.5), (0.06, -0.5), (0.05, -0.1), (0.03, 0.5)]],
    2: [[(-0.25, -0.27), (-0.16, -0.44), (0.04, -0.5), (0.22, -0.38), (0.2, -0.16), (0.0, 0.14), (-0.27, 0.46),
         (-0.27, 0.46), (0.0, 0.44), (0.31, 0.46)]],
    3: [[(-0.23, -0.38), (-0.06, -0.5), (0.16, -0.44), (0.21, -0.26), (0.1, -0.08), (-0.05, -0.03), (-0.05, -0.03),
         (0.14, 0.03), (0.25, 0.2), (0.18, 0.41), (-0.04, 0.5), (-0.25, 0.4)]],
    4: [[(-0.06, -0.47), (-0.17, -0.18), (-0.28, 0.1), (-0.28, 0.1), (0.0, 0.1), (0.3, 0.08)],
        [(0.13, -0.32), (0.12, 0.06), (0.1, 0.5)]],
    5: [[(-0.15, -0.47), (-0.18, -0.26), (-0.21, -0.07), (-0.21, -0.07), (-0.05, -0.13), (0.15, -0.06), (0.23, 0.15),
         (0.15, 0.38), (-0.05, 0.49), (-0.25, 0.41)],
        [(-0.15, -0.47), (0.04, -0.47), (0.26, -0.49)]],
    6: [[(0.13, -0.5), (-0.08, -0.3), (-0.23, 0.02), (-0.23, 0.3), (-0.06, 0.49), (0.16, 0.43), (0.25, 0.22),
         (0.12, 0.05), (-0.08, 0.07), (-0.22, 0.24)]],
    7: [[(-0.27, -0.43), (0.0, -0.45), (0.26, -0.46), (0.26, -0.46), (0.12, -0.1), (0.0, 0.2), (-0.08, 0.5)]],
    8: [[(0.2, -0.36), (0.03, -0.49), (-0.17, -0.4), (-0.17, -0.2), (0.03, -0.03), (0.23, 0.2), (0.17, 0.43),
         (-0.03, 0.5), (-0.22, 0.4), (-0.22, 0.19), (0.0, 0.0), (0.19, -0.18), (0.22, -0.34)]],
    9: [[(0.22, -0.33), (0.05, -0.49), (-0.17, -0.42), (-0.24, -0.22), (-0.14, -0.05), (0.06, -0.07), (0.22, -0.3),
         (0.22, -0.3), (0.21, 0.0), (0.15, 0.5)]],
}  # fmt: skip

_LIFT = 0.25  # time between two strokes, in units of the digit's height written
Chain = Sequence[tuple[float, float, float]]  # (x, y, radius): discs and everything between each and the next
Ramp = Sequence[tuple[int, int, int]]  # RGB from the shade to the light

_SIZE = (640, 600)  # width, height of the picture of the hand
TIP = (40, 190)  # the pen's tip in it
_FINE = 2  # painted so many times larger, then shrunk: smooth edges
_LAMP = np.array([-0.45, -0.62, 0.64], np.float32)  # towards the lamp; x right, y down, z to the viewer

_SKIN: Ramp = ((122, 66, 52), (196, 128, 100), (231, 174, 142), (248, 208, 180), (255, 232, 212))
_NAIL: Ramp = ((196, 128, 110), (236, 180, 162), (250, 214, 200), (255, 236, 228), (255, 250, 246))
_CLOTH: Ramp = ((18, 38, 52), (30, 70, 92), (44, 98, 122), (64, 126, 148), (98, 158, 176))
_CUFF: Ramp = ((14, 30, 42), (24, 56, 76), (36, 82, 104), (54, 106, 128), (80, 136, 154))
_PEN: Ramp = ((16, 17, 22), (34, 36, 46), (56, 60, 74), (98, 104, 122), (190, 196, 210))
_RING: Ramp = ((120, 60, 20), (190, 104, 30), (236, 148, 52), (252, 186, 96), (255, 226, 170))
_NIB: Ramp = ((20, 20, 26), (40, 40, 50), (70, 72, 84), (100, 104, 116), (150, 154, 166))

# Painted in this order, in pixels from the pen's tip.
_PARTS: Sequence[tuple[Chain, Ramp]] = (
    (((206, 158, 21), (150, 140, 20), (112, 116, 18)), _SKIN),  # little finger
    (((206, 128, 24), (140, 112, 22), (92, 82, 20)), _SKIN),  # ring finger
    (((190, 60, 38), (214, 112, 56), (232, 150, 58), (286, 226, 52), (350, 300, 50)), _SKIN),  # back of the hand and wrist
    (((200, 84, 26), (138, 28, 24), (78, 0, 18)), _SKIN),  # middle finger
    (((0, 0, 3.5), (12, -7, 5)), _NIB),
    (((16, -9.5, 7), (34, -20, 11)), _RING),
    (((36, -21, 13), (204, -119, 14)), _PEN),
    (((191, -99, 4.5), (180, -118, 4.5)), _RING),
    (((262, 176, 40), (206, 88, 35), (184, 46, 30), (158, -8, 26), (112, -38, 22), (66, -30, 17.5)), _SKIN),  # index finger
    (((290, 226, 42), (236, 166, 42), (196, 120, 36), (146, 84, 28), (104, 44, 22), (68, 0, 17)), _SKIN),  # thumb
    (((79, -36, 7.5), (69, -34, 7)), _NAIL),
    (((76, 3, 8), (68, -5, 7.5)), _NAIL),
    (((340, 284, 62), (640, 620, 96)), _CLOTH),
    (((346, 216, 17), (262, 288, 17)), _CUFF),
)
SHEET = (560, 460)  # width, height of the layer that holds the sheet of paper and its shadow

_PAPER_SIZE = (508, 412)
_TILT = 1.3  # degrees
_PAPER = (244, 241, 233)
_WOOD = ((88, 58, 38), (146, 102, 68))  # RGB, dark and light grain
_GRID = (32, 24)  # width, height of the light before it is enlarged


class DemoSource(Source):
    """640x480 without an end, at 25 fps or, with `--fps`, a sample of that. The label is the digit once it is complete.

    A frame depends on the seed and its time only.
    """

    camera_like = True

    def __init__(self, address: str, options: SourceOptions) -> None:
        super().__init__(address, options)
        if address:
            raise SourceError(f"source 'demo:{address}': demo takes no address")
        self.name = "demo"
        self.interval = 1.0 / (options.fps or FPS)
        self._stage: DemoScene | None = None

    def open(self) -> None:
        self._stage = DemoScene(self.options.seed)

    def read(self) -> Frame:
        if self._stage is None:
            raise SourceError("demo: not open")
        image, label = self._stage.show(round(self._seq * FPS / (self.options.fps or FPS)))
        return self._frame(image, label=label)

    def close(self) -> None:
        self._stage = None


class DemoScene:
    """The scene before the camera, painted once; `show` takes a picture of it."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng([seed, 0])
        self._seed = seed
        self._light = Light(rng)
        self._hand = paint_hand()
        self._sheet = paint_sheet(rng)
        self._desk = paint_desk((SIZE[0] + 2 * _MARGIN, SIZE[1] + 2 * _MARGIN), rng)
        self._lay_sheet(self._desk)
        self._noise = paint_noise((SIZE[0] + _GRAIN, SIZE[1] + _GRAIN), rng)
        self._shakes = rng.uniform(0, 2 * np.pi, 6)
        self._writing = lru_cache(maxsize=2)(self._write)

    def show(self, index: int) -> tuple[Image, str]:
        """Return frame number `index`, uint8 (480, 640, 3) RGB, and its label: the digit while it is complete, else ""."""
        number, moment = divmod(index, _PERIOD)
        writing = self._writing(number)
        scene = self._desk.copy()
        pulled = min(max(moment - _PULLED_FROM, 0) / _PULL, 1.0)
        if pulled < 1:
            self._lay_paper(scene, writing, moment, pulled)
        if moment < _WRITTEN + _GO:
            x, y = _MIDDLE + _hand_position(writing, moment)
            self._hand.lay_on(scene, round(x) - TIP[0], round(y) - TIP[1])
        complete = _WRITTEN <= moment < _PULLED_FROM
        return self._photograph(scene, index), str(writing.digit) if complete else ""

    def _write(self, number: int) -> Writing:
        """Write rounds of all ten digits in random order; a 3, which shows curves in all directions, is the first of all."""
        order = np.random.default_rng([self._seed, 1, number // 10]).permutation(10)
        if number < 10:
            order = np.append(3, order[order != 3])
        return write(int(order[number % 10]), np.random.default_rng([self._seed, 2, number]))

    def _lay_paper(self, scene: Image, writing: Writing, moment: int, pulled: float) -> None:
        dx, dy = round(-700 * pulled**2), round(50 * pulled**2)
        if pulled > 0:
            self._lay_sheet(scene, dx, dy)
        if moment >= _COME:
            lines = writing.lines(_progress(moment))
            _ink(lines, writing.thickness).lay_on(scene, _MIDDLE[0] - _PAD + dx, _MIDDLE[1] - _PAD + dy)

    def _lay_sheet(self, scene: Image, dx: int = 0, dy: int = 0) -> None:
        self._sheet.lay_on(scene, _MIDDLE[0] - SHEET[0] // 2 + dx, _MIDDLE[1] - SHEET[1] // 2 + dy)

    def _photograph(self, scene: Image, index: int) -> Image:
        """Return what a hand-held, noisy camera makes of the scene in the light of that moment."""
        seconds = index / FPS
        waves = np.sin(2 * np.pi * seconds / np.array([1.7, 0.61, 1.3, 0.53, 2.3, 0.8]) + self._shakes)
        dx, dy, turn = waves.reshape(3, 2) @ (0.9, 0.35)
        camera = cv2.getRotationMatrix2D(_MIDDLE, 0.12 * turn, 1.0) - [[0, 0, _MARGIN + dx], [0, 0, _MARGIN + dy]]
        frame = cv2.warpAffine(scene, camera, SIZE)
        cv2.multiply(frame, self._light.at(seconds, SIZE), dst=frame, scale=1 / 255)
        left, top = 37 * index % _GRAIN, 23 * index % _GRAIN
        cv2.add(frame, self._noise[top : top + SIZE[1], left : left + SIZE[0]], dst=frame)
        return np.asarray(frame, np.uint8)


def _progress(moment: int) -> float:
    """Share of the digit that is written after this frame: gently started and ended."""
    t = min(max(moment - _COME + 1, 0) / _WRITE, 1.0)
    return t * (0.6 + 0.4 * t * (3 - 2 * t))


def _hand_position(writing: Writing, moment: int) -> Points:
    """Of the pen's tip, from the middle of the sheet."""
    away = max(1 - moment / _COME, 0) ** 2 + max((moment - _WRITTEN + 1) / _GO, 0) ** 2
    return writing.tip(_progress(moment)) + away * _AWAY


def _ink(lines: list[Points], thickness: float) -> ImageLayer:
    """Strokes as a layer around the middle of the sheet. Drawn twice as large: half pixels of thickness, smooth edges."""
    mask = np.zeros((4 * _PAD, 4 * _PAD), np.uint8)
    points = [np.rint(32 * (line + _PAD)).astype(np.int32) for line in lines]
    cv2.polylines(mask, points, False, 255, round(2 * thickness), cv2.LINE_AA, 4)
    small = np.asarray(cv2.resize(mask, (2 * _PAD, 2 * _PAD), interpolation=cv2.INTER_AREA), np.uint8)
    cover = np.dstack([small] * 3)
    return ImageLayer(np.asarray(cv2.LUT(cover, _INK_COLOURS), np.uint8), 255 - cover)


_INK_COLOURS = np.rint(np.arange(256)[None, :, None] / 255 * np.array(_INK)).astype(np.uint8)


@dataclass(frozen=True, eq=False)
class ImageLayer:
    """colour: uint8 (h, w, 3) RGB, weighted by its own coverage. kept: uint8 (h, w, 3), what stays of the scene below, of 255."""

    colour: Image
    kept: Image

    @classmethod
    def blend(cls, colour: AnyFloats, kept: AnyFloats) -> ImageLayer:
        """Make a layer of colors (h, w, 3), weighted, 0-255, and what is kept of the scene, (h, w), 0-1."""
        whole = np.rint(255 * kept).astype(np.uint8)
        return cls(np.rint(colour).astype(np.uint8), np.dstack([whole] * 3))

    def lay_on(self, scene: Image, left: int, top: int) -> None:
        """Blend into the scene in place, the layer's corner at (left, top); what is outside is cut off."""
        rows = slice(max(top, 0), min(top + self.kept.shape[0], scene.shape[0]))
        columns = slice(max(left, 0), min(left + self.kept.shape[1], scene.shape[1]))
        if rows.start >= rows.stop or columns.start >= columns.stop:
            return
        own = slice(rows.start - top, rows.stop - top), slice(columns.start - left, columns.stop - left)
        below = scene[rows, columns]
        cv2.multiply(below, self.kept[own], dst=below, scale=1 / 255)
        cv2.add(below, self.colour[own], dst=below)


def cast_shadow(cover: AnyFloats, dx: float, dy: float, blur: float) -> Floats:
    """Return a shape's shadow, (h, w): its coverage moved by (dx, dy) pixels and softened by `blur` pixels."""
    height, width = cover.shape
    moved = cv2.warpAffine(cover, np.array([[1, 0, dx], [0, 1, dy]], np.float32), (width, height))
    return np.asarray(cv2.GaussianBlur(moved, (0, 0), blur), np.float32)


@dataclass(frozen=True)
class Writing:
    """A digit as it will be written, in pixels from the middle of the sheet."""

    digit: int
    path: Points  # (N, 2), positions of the pen
    drawn: npt.NDArray[np.bool_]  # (N,), whether the pen touches the paper on the way to that position
    clock: Points  # (N,), when it is there, 0 to 1
    thickness: float  # of the line

    def tip(self, progress: float) -> tuple[float, float]:
        """Return where the pen is."""
        return float(np.interp(progress, self.clock, self.path[:, 0])), float(np.interp(progress, self.clock, self.path[:, 1]))

    def lines(self, progress: float) -> list[Points]:
        """Return what is on the paper by then: one (M, 2) line per stroke."""
        done = int(np.searchsorted(self.clock, progress, side="right"))
        path, drawn = self.path[:done], self.drawn[:done]
        if done < len(self.path):
            path, drawn = np.vstack([path, self.tip(progress)]), np.append(drawn, self.drawn[done])
        starts = np.flatnonzero(~drawn)
        return [line for line in np.split(path, starts)[1:] if len(line) > 1]


def write(digit: int, rng: np.random.Generator) -> Writing:
    """Return a digit in a random handwriting: height 140-175, lines 8-13 pixels, within 120 pixels of the middle."""
    height = rng.uniform(140, 175)
    strokes = [_smooth(np.array(stroke) + rng.normal(0, 0.012, (len(stroke), 2))) for stroke in _STROKES[digit]]
    lengths = [np.linalg.norm(np.diff(stroke, axis=0), axis=1) for stroke in strokes]
    steps = np.concatenate([np.append(_LIFT, length) for length in lengths])
    clock = np.cumsum(steps) - _LIFT
    drawn = np.concatenate([np.append(False, np.ones(len(length), bool)) for length in lengths])
    path = np.concatenate(strokes) @ _slant(rng) * height + rng.uniform(-10, 10, 2)
    return Writing(digit, path, drawn, clock / clock[-1], rng.uniform(8, 13))


def _slant(rng: np.random.Generator) -> Points:
    """Width, shear and turn of a handwriting as one matrix for row vectors."""
    width, shear, turn = rng.uniform(0.85, 1.1), rng.normal(0.08, 0.1), np.radians(rng.normal(0, 3))
    lean = np.array([[width, 0.0], [-np.clip(shear, -0.15, 0.3), 1.0]])
    turned: Points = lean @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    return turned


def _smooth(points: Points, steps: int = 12) -> Points:
    """Return a Catmull-Rom spline through the points (Catmull and Rom 1974), `steps` positions between two of them."""
    before = np.vstack([2 * points[0] - points[1], points, 2 * points[-1] - points[-2]])
    p0, p1, p2, p3 = (before[i : len(before) - 3 + i, None] for i in range(4))
    t = np.linspace(0, 1, steps, endpoint=False)[None, :, None]
    curve = p1 + 0.5 * t * (p2 - p0 + t * (2 * p0 - 5 * p1 + 4 * p2 - p3 + t * (3 * (p1 - p2) + p3 - p0)))
    return np.vstack([curve.reshape(-1, 2), points[-1]])


def paint_hand() -> ImageLayer:
    """Return the hand, its sleeve and their shadow; the pen's tip is at TIP."""
    width, height = (_FINE * side for side in _SIZE)
    colour = np.zeros((height, width, 3), np.float32)
    cover = np.zeros((height, width), np.float32)
    for chain, ramp in _PARTS:
        _paint(colour, cover, np.array(chain, np.float32) * _FINE, np.array(ramp, np.float32))
    colour, cover = (np.asarray(cv2.resize(fine, _SIZE, interpolation=cv2.INTER_AREA), np.float32) for fine in (colour, cover))
    # Close and dark where the hand touches the paper, wide and soft where it is above it.
    shadow = 1 - (1 - 0.32 * cast_shadow(cover, 20, 30, 16)) * (1 - 0.22 * cast_shadow(cover, 5, 8, 4))
    return ImageLayer.blend(colour, (1 - cover) * (1 - shadow))


def _paint(colour: Floats, cover: Floats, chain: Floats, ramp: Floats) -> None:
    """Lay one shape over what is there, with a soft shade around it."""
    chain[:, :2] += np.array(TIP, np.float32) * _FINE
    margin = chain[:, 2:].max() + 24
    low = np.maximum(np.floor((chain[:, :2] - margin).min(axis=0)), 0).astype(int)
    high = np.ceil((chain[:, :2] + margin).max(axis=0)).astype(int)
    window = slice(low[1], high[1]), slice(low[0], high[0])
    chain[:, :2] -= low
    mask = _fill(chain, cover[window].shape)
    below, covered = colour[window], cover[window]
    below *= 1 - 0.45 * cv2.GaussianBlur(mask, (0, 0), 9)[..., None]
    below += mask[..., None] * (_shade(mask, ramp) - below)
    np.maximum(covered, mask, out=covered)


def _fill(chain: Floats, shape: tuple[int, ...]) -> Floats:
    """1 inside the chain, 0 outside, a smooth edge."""
    mask = np.zeros(shape, np.uint8)
    for start, end in pairwise(chain):
        for t in np.linspace(0, 1, 40):
            x, y, radius = np.rint(16 * (start + t * (end - start))).astype(int).tolist()
            cv2.circle(mask, (x, y), radius, 255, -1, cv2.LINE_AA, 4)
    return mask.astype(np.float32) / np.float32(255)


def _shade(mask: Floats, ramp: Floats) -> Floats:
    """Colours of the shape seen as a round body: the distance to its edge gives the height, its slope the light."""
    depth = cv2.distanceTransform((mask > 0.5).astype(np.uint8), cv2.DIST_L2, 5)
    radius = max(float(depth.max()), 1.0)
    inside = np.clip(depth / radius, 0, 1)
    height = cv2.GaussianBlur(radius * np.sqrt(inside * (2 - inside)), (0, 0), max(1.0, radius / 8))
    slope_x, slope_y = (cv2.Sobel(height, cv2.CV_32F, dx, 1 - dx, ksize=3, scale=1 / 8) for dx in (1, 0))
    lit = (_LAMP[2] - _LAMP[0] * slope_x - _LAMP[1] * slope_y) / np.sqrt(1 + slope_x**2 + slope_y**2)
    place = np.clip(0.12 + 0.78 * lit, 0, 1) * (len(ramp) - 1)
    stops = np.arange(len(ramp))
    return np.dstack([np.interp(place, stops, channel) for channel in ramp.T]).astype(np.float32)


def paint_desk(size: tuple[int, int], rng: np.random.Generator) -> Image:
    """Return planks of wood, uint8 (H, W, 3) RGB, their grain along x. size: (width, height)."""
    height = size[1]
    fine = cv2.resize(rng.normal(size=(height, 6)).astype(np.float32), size, interpolation=cv2.INTER_CUBIC)
    broad = cv2.resize(rng.normal(size=(16, 3)).astype(np.float32), size, interpolation=cv2.INTER_CUBIC)
    grain = np.clip(0.5 + 0.1 * fine + 0.2 * broad, 0, 1)[..., None]
    for seam in range(60, height, 150):
        grain[seam : seam + 2] *= 0.2
    dark, light = np.array(_WOOD, np.float32)
    return np.asarray(np.rint(dark + grain * (light - dark)), np.uint8)


def paint_sheet(rng: np.random.Generator) -> ImageLayer:
    """Return blank paper with faint fibers, and its shadow."""
    width, height = SHEET
    speck, cloud = (_noise(rng, (height, width), blur) for blur in (0.8, 6))
    paper = np.array(_PAPER, np.float32) + (1.6 * speck + 1.2 * cloud)[..., None]
    corners = cv2.boxPoints(((width / 2, height / 2), _PAPER_SIZE, _TILT))
    cover = np.zeros((height, width), np.uint8)
    cv2.fillConvexPoly(cover, np.rint(corners * 16).astype(np.int32), 255, cv2.LINE_AA, 4)
    solid = cover.astype(np.float32) / 255
    return ImageLayer.blend(np.clip(paper, 0, 255) * solid[..., None], (1 - solid) * (1 - 0.5 * cast_shadow(solid, 4, 6, 6)))


def paint_noise(size: tuple[int, int], rng: np.random.Generator) -> Image:
    """Return what a small sensor adds, around 4, uint8 (H, W, 3)."""
    return np.clip(np.rint(rng.normal(4, 1.5, (size[1], size[0], 3))), 0, 8).astype(np.uint8)


class Light:
    """Daylight that wanders: brightness, direction and warmth change within seconds; darker towards the corners."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._phases = rng.uniform(0, 2 * np.pi, 5)
        x, y = np.meshgrid(np.linspace(-1, 1, _GRID[0]), np.linspace(-1, 1, _GRID[1]))
        self._x, self._y = x, y
        self._vignette = 1 - 0.13 * (x**2 + y**2)

    def at(self, seconds: float, size: tuple[int, int]) -> Image:
        """Return the share of 255 by which the light dims each pixel, uint8 (H, W, 3). size: (width, height)."""
        slow, quick, across, along, warmth = np.sin(2 * np.pi * seconds / np.array([11.0, 4.3, 13.0, 17.0, 19.0]) + self._phases)
        level = (0.94 + 0.06 * slow + 0.02 * quick + 0.12 * across * self._x + 0.09 * along * self._y) * self._vignette
        tint = 1 + 0.03 * warmth * np.array([1.0, 0.2, -1.0])
        coarse = np.clip(255 * level[..., None] * tint, 0, 255).astype(np.uint8)
        return np.asarray(cv2.resize(coarse, size, interpolation=cv2.INTER_LINEAR), np.uint8)


def _noise(rng: np.random.Generator, shape: tuple[int, int], blur: float) -> Floats:
    """Smooth noise with mean 0 and standard deviation 1."""
    smooth = cv2.GaussianBlur(rng.normal(size=shape).astype(np.float32), (0, 0), blur)
    return np.asarray(smooth / smooth.std(), np.float32)

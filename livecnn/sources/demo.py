"""The built-in demo: a hand draws digits on paper under changing light. Synthetic; nothing is downloaded or stored."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from livecnn._cv2 import cv2
from livecnn.errors import SourceError
from livecnn.sources import Source, SourceOptions
from livecnn.sources.demo_scene.hand import TIP, paint_hand
from livecnn.sources.demo_scene.handwriting import Points, Writing, write
from livecnn.sources.demo_scene.layer import ImageLayer
from livecnn.sources.demo_scene.paper import SHEET, Light, paint_desk, paint_noise, paint_sheet
from livecnn.types import Frame, Image

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
    """What lies before the camera, painted once; `show` takes a picture of it."""

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
        """Frame number `index`, uint8 (480, 640, 3) RGB, and its label: the digit while it lies there complete, else ""."""
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
        """Rounds of all ten digits in random order; a 3, which shows curves in all directions, is the first of all."""
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
        """What a hand-held, noisy camera makes of the scene in the light of that moment."""
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

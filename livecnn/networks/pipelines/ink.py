"""Handwriting before a camera, made to look like MNIST.

1. Light is taken away: what is left is the share of it that ink swallows (`_light.py`: a robust surface and a black top-hat).
2. Strokes are told from paper (Otsu), the digit from specks, lines along the box and cut neighbours, and writing from everything
   else (`_strokes.py`). Both polarities are tried, dark on light and light on dark; the better drawing counts.
3. The digit is brought into MNIST's form: longest side 20 pixels, anti-aliased, its centre of mass in the middle of 28x28 (LeCun,
   Bottou, Bengio, Haffner, "Gradient-based learning applied to document recognition", 1998, section III.A).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field, model_validator

from livecnn._cv2 import cv2
from livecnn.networks.pipelines import Pipeline
from livecnn.networks.pipelines.support import lighting as _light
from livecnn.networks.pipelines.support import strokes as _strokes
from livecnn.types import Floats, Image, Prepared

if TYPE_CHECKING:
    import torch

THINNEST = 2.0  # pixels of the result: thinner strokes are widened, MNIST's are 2 to 4 wide


class InkPipeline(Pipeline):
    """A digit of any ink on any ground -> float32 (1, 1, size, size), white on black, (value - mean) / std with values in 0..1.

    size, box: pixels of the picture and of the digit's longest side in it. mean, std: of MNIST's training pictures.
    `empty` where nothing in the shot looks like writing: bare paper, a wall, a hand, a face; the picture is then black.
    """

    size: int = Field(28, ge=4, le=512)
    box: int = Field(20, ge=2, le=512)
    mean: float = Field(0.1307, allow_inf_nan=False)
    std: float = Field(0.3081, gt=0, allow_inf_nan=False)

    @model_validator(mode="after")
    def _box_fits(self) -> InkPipeline:
        if self.box > self.size:
            raise ValueError(f"box {self.box} is larger than size {self.size}")
        return self

    @property
    def shape(self) -> tuple[int, int, int]:
        return (1, self.size, self.size)

    @property
    def limits(self) -> tuple[torch.Tensor, torch.Tensor]:
        import torch

        return torch.full((1, 1, 1), -self.mean / self.std), torch.full((1, 1, 1), (1 - self.mean) / self.std)

    def __call__(self, shot: Image) -> Prepared:
        import torch

        drawing = read(shot)
        level = np.zeros((self.size, self.size), np.float32) if drawing is None else self._centred(drawing)
        seen = np.round(level * 255).astype(np.uint8)
        tensor = torch.from_numpy((seen / np.float32(255) - np.float32(self.mean)) / np.float32(self.std))
        return Prepared(tensor[None, None], seen, empty=drawing is None)

    def _centred(self, drawing: _strokes.DigitStrokes) -> Floats:
        """(size, size) in 0..1: the digit in its box, the centre of mass in the middle pixel, as MNIST has it (14 of 0..27)."""
        digit = _resized(_thickened(drawing, self.box), self.box)
        height, width = digit.shape
        mass = digit.sum()
        x = float(digit.sum(axis=0) @ np.arange(width) / mass)
        y = float(digit.sum(axis=1) @ np.arange(height) / mass)
        left = int(np.clip(round(self.size / 2 - x), 0, self.size - width))
        top = int(np.clip(round(self.size / 2 - y), 0, self.size - height))
        level = np.zeros((self.size, self.size), np.float32)
        level[top : top + height, left : left + width] = digit
        return level


def read(shot: Image) -> _strokes.DigitStrokes | None:
    """The writing in a shot, uint8 (h, w, 3) RGB of any size; None where there is none."""
    plane = _light.gray(shot)
    found = (_strokes.find(_light.even_lighting(positive)) for positive in (plane, 255 - plane))
    writing = [drawing for drawing in found if drawing is not None and not drawing.flaws]
    # In the wrong polarity the gaps and holes of a digit are ink, and its strokes are paper unlike the rest of the paper.
    return min(writing, key=lambda drawing: drawing.ground, default=None)


def _thickened(drawing: _strokes.DigitStrokes, box: int) -> Floats:
    """The digit cut out, its strokes at least `THINNEST` wide once its longest side is `box` pixels."""
    at = drawing.box
    wanted = THINNEST * max(at.width, at.height) / box
    grow = max(0, round((wanted - drawing.width) / 2))
    cut = drawing.ink[at.top : at.top + at.height, at.left : at.left + at.width]
    if not grow:
        return cut
    roomy = cv2.copyMakeBorder(cut, grow, grow, grow, grow, cv2.BORDER_CONSTANT, value=0)
    return np.asarray(cv2.dilate(roomy, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * grow + 1, 2 * grow + 1))))


def _resized(digit: Floats, box: int) -> Floats:
    """Longest side `box`, and full strokes 1 again: averaging pales thin ones."""
    ratio = box / max(digit.shape)
    height, width = (max(1, round(side * ratio)) for side in digit.shape)
    small = cv2.resize(digit, (width, height), interpolation=cv2.INTER_AREA if ratio < 1 else cv2.INTER_LINEAR)
    full = max(float(np.percentile(small[small > 0.1], 90)), 0.3) if (small > 0.1).any() else 1.0
    return np.asarray(np.minimum(small / full, 1), np.float32)

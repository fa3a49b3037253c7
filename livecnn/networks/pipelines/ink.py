"""Handwriting before a camera, made to look like MNIST.

1. Light is taken away: what is left is the share of it that ink absorbs (a robust surface and a black top-hat).
2. Strokes are told from paper (Otsu), the digit from specks, lines along the box and cut neighbors, and writing from everything
   else. Both polarities are tried, dark on light and light on dark; the better drawing counts.
3. The digit is brought into MNIST's form: longest side 20 pixels, anti-aliased, its center of mass in the middle of 28x28 (LeCun,
   Bottou, Bengio, Haffner, "Gradient-based learning applied to document recognition", 1998, section III.A).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import torch
from pydantic import BeforeValidator, Field, model_validator

from livecnn._cv2 import cv2
from livecnn.networks.pipelines import Pipeline
from livecnn.types import Box, Floats, Image, Prepared

Mask = npt.NDArray[np.uint8]
Integers = npt.NDArray[np.int32]
Masses = npt.NDArray[np.float64]

WORK = 128  # pixels of the longest side at which strokes are looked for
GRID = 24  # points a side to which the light is fitted
WIDEST = 0.4  # of the longest side: what is wider is paper, not stroke
DARK = 24.0  # of 255, added to every brightness, so that the noise of dark places does not look like ink
FAINTEST = 0.03  # share of light: fainter strokes are not looked for
CUT = 0.25  # weight of a piece that the box's edge cuts, when the main piece is chosen
RIM = 0.15  # of the side: a line along the box within this strip is the sheet's edge, not writing
ABOVE, BESIDE = 0.5, 0.3  # of the main piece's longest side: how far off a piece may be; beside it may stand another digit
THINNEST = 2.0  # pixels of the result: thinner strokes are widened, MNIST's are 2 to 4 wide


def _only(value: Any) -> Any:
    """Return the number in a list of one, as the plain pipeline has it."""
    return value[0] if isinstance(value, (list, tuple)) and len(value) == 1 else value


class InkPipeline(Pipeline):
    """Turns a digit of any ink on any ground into float32 (1, 1, size, size), white on black, (value - mean) / std.

    Where nothing looks like writing (bare paper, a wall, a hand, a face) the result is marked `empty`, and its picture is black.

    Attributes:
        size: Pixels of the picture's side.
        box: Pixels of the digit's longest side.
        mean: Of MNIST's training pictures, with values in 0..1.
        std: Standard deviation of the same.
    """

    size: int = Field(28, ge=4, le=512)
    box: int = Field(20, ge=2, le=512)
    mean: Annotated[float, BeforeValidator(_only)] = Field(0.1307, allow_inf_nan=False)
    std: Annotated[float, BeforeValidator(_only)] = Field(0.3081, gt=0, allow_inf_nan=False)

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
        return torch.full((1, 1, 1), -self.mean / self.std), torch.full((1, 1, 1), (1 - self.mean) / self.std)

    def __call__(self, shot: Image) -> Prepared:
        drawing = read(shot)
        level = np.zeros((self.size, self.size), np.float32) if drawing is None else self._centered(drawing)
        seen = np.round(level * 255).astype(np.uint8)
        tensor = torch.from_numpy((seen / np.float32(255) - np.float32(self.mean)) / np.float32(self.std))
        return Prepared(tensor[None, None], seen, empty=drawing is None)

    def _centered(self, drawing: DigitStrokes) -> Floats:
        """Return (size, size) in 0..1: the digit in its box, the center of mass in the middle pixel, as MNIST's (14 of 0..27)."""
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


def read(shot: Image) -> DigitStrokes | None:
    """Find the writing in a shot.

    Args:
        shot: uint8 (h, w, 3) RGB of any size.

    Returns:
        The strokes of the digit, or None if nothing looks like one.
    """
    plane = _gray(shot)
    found = (_find(_even_lighting(positive)) for positive in (plane, 255 - plane))
    writing = [drawing for drawing in found if drawing is not None and not drawing.flaws]
    # In the wrong polarity the gaps and holes of a digit are ink, and its strokes are paper unlike the rest of the paper.
    return min(writing, key=lambda drawing: drawing.ground, default=None)


def _thickened(drawing: DigitStrokes, box: int) -> Floats:
    """Cut the digit out, its strokes at least `THINNEST` wide once its longest side is `box` pixels."""
    at = drawing.box
    wanted = THINNEST * max(at.width, at.height) / box
    grow = max(0, round((wanted - drawing.width) / 2))
    cut = drawing.ink[at.top : at.top + at.height, at.left : at.left + at.width]
    if not grow:
        return cut
    roomy = cv2.copyMakeBorder(cut, grow, grow, grow, grow, cv2.BORDER_CONSTANT, value=0)
    return np.asarray(cv2.dilate(roomy, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * grow + 1, 2 * grow + 1))))


def _resized(digit: Floats, box: int) -> Floats:
    """Resize to the longest side `box`, and make full strokes 1 again: averaging pales thin ones."""
    ratio = box / max(digit.shape)
    height, width = (max(1, round(side * ratio)) for side in digit.shape)
    small = cv2.resize(digit, (width, height), interpolation=cv2.INTER_AREA if ratio < 1 else cv2.INTER_LINEAR)
    full = max(float(np.percentile(small[small > 0.1], 90)), 0.3) if (small > 0.1).any() else 1.0
    return np.asarray(np.minimum(small / full, 1), np.float32)


def _gray(shot: Image) -> Floats:
    """Return the luminance of uint8 (h, w, 3) RGB, float32 0..255, its longest side at most `WORK`."""
    plane = cv2.cvtColor(np.ascontiguousarray(shot), cv2.COLOR_RGB2GRAY)
    ratio = WORK / max(plane.shape)
    if ratio < 1:
        height, width = (max(1, round(side * ratio)) for side in plane.shape)
        plane = cv2.resize(plane, (width, height), interpolation=cv2.INTER_AREA)
    return plane.astype(np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class EvenedShot:
    """A shot without its light."""

    ink: Floats  # float32 (h, w), share of the light that dark strokes absorb, 0..1, 0 on bare paper
    # float32 (h, w), log of the brightness without slopes and vignettes, 0 on bare paper, below on ink and in shadows
    flat: Floats
    noise: float  # standard deviation of both


def _even_lighting(plane: Floats) -> EvenedShot:
    """Remove the light from a luminance float32 (h, w) in 0..255; for light strokes on a dark ground pass `255 - plane`.

    What the bare paper would show is estimated in two steps, on logarithms, where light and paper add. A quadratic surface takes
    slopes and vignettes; darker pixels hardly count for it. A morphological closing takes shadows with edges: it fills what is
    dark and narrower than its kernel, and follows what is wider (Soille, Morphological Image Analysis, 2003, chapter 4: the black
    top-hat).
    """
    brightness = np.log(plane + np.float32(DARK))
    flat = brightness - _light(brightness)
    side = max(3, round(WIDEST * max(plane.shape)) | 1)
    paper = cv2.morphologyEx(flat, cv2.MORPH_CLOSE, np.ones((side, side), np.uint8))
    swallowed = 1 - np.exp(flat - paper)
    bias = np.median(swallowed[::2, ::2])  # a closing rides on the crests of the noise
    return EvenedShot(np.maximum(swallowed - bias, 0), flat, _noise(brightness))


def _light(brightness: Floats) -> Floats:
    """Fit a quadratic surface to the paper: least squares, with less weight each round on what is off it, least on the dark.

    The weights are Cauchy's (Holland, Welsch, "Robust regression using iteratively reweighted least-squares", 1977).
    """
    height, width = (min(GRID, side) for side in brightness.shape)
    points = cv2.resize(brightness, (width, height), interpolation=cv2.INTER_AREA).ravel()
    terms, weights = _terms(height, width), np.ones_like(points)
    ridge = 1e-4 * np.eye(terms.shape[1], dtype=np.float32)  # one row or column of pixels does not determine all terms
    for _ in range(6):
        weighted = terms * weights[:, None]
        surface = np.linalg.solve(terms.T @ weighted + ridge, weighted.T @ points)
        off = points - terms @ surface
        scale = max(1.4826 * float(np.median(np.abs(off))), 0.02)
        weights = np.where(off < -scale, 0.2, 1) / (1 + (off / (2 * scale)) ** 2)
    fitted: Floats = (_terms(*brightness.shape) @ surface).reshape(brightness.shape)
    return fitted


@functools.lru_cache(maxsize=8)
def _terms(height: int, width: int) -> Floats:
    """Return (height * width, 6): 1, x, y, x^2, xy, y^2 of every pixel, x and y in -1..1."""
    y, x = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    return np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=-1).reshape(-1, 6).astype(np.float32)


def _noise(brightness: Floats) -> float:
    """Estimate the noise's standard deviation by a mask that cancels planes (Immerkaer, "Fast noise variance estimation", 1996).

    The median stands in for his mean, since strokes are no noise.
    """
    mask = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
    return float(np.median(np.abs(cv2.filter2D(brightness, -1, mask)[::2, ::2]))) / (6 * 0.6745)


@dataclass(frozen=True, slots=True, eq=False)
class DigitStrokes:
    """Strokes of the digit, with measures that tell writing from other things; lengths: shares of the shot's longest side."""

    ink: Floats  # float32 (h, w), 1 where a stroke is full, 0 off the digit
    box: Box  # around what is inked by a fifth or more
    width: float  # of the strokes, in pixels of `ink`
    strength: float  # contrast in units of the noise
    extent: float  # longest side
    stoutness: float  # stroke width divided by extent
    winding: float  # length of the strokes divided by extent
    clutter: float  # mean ink around the digit divided by the ink in it
    ground: float  # standard deviation of the brightness (log) off the digit divided by the ink in it
    alone: float  # the digit's part of all ink
    unevenness: float  # standard deviation of the ink inside the strokes divided by its mean
    cut: float  # how much of the shot's border full strokes cover

    @property
    def flaws(self) -> tuple[str, ...]:
        """Reasons why this is not writing; the limits leave room around MNIST's digits on photographed paper and boards."""
        wrong = {
            "noise": self.strength < 8,
            "too small": self.extent < 0.2,
            "a blob": self.stoutness > 0.36,
            "a tangle": self.winding > 4,
            "ground not bare": self.clutter > 0.08,
            "part of a pattern": self.alone < 0.5,
            "shaded": self.unevenness > 0.24,
            "cut by the box": self.cut > 0.1,
        }
        return tuple(name for name, holds in wrong.items() if holds)


def _find(sheet: EvenedShot) -> DigitStrokes | None:
    """Return the most digit-like ink on a sheet; None if there is none."""
    mask = _threshold(sheet)
    _clear_rims(mask)
    count, pieces, table, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    if count < 2:
        return None
    labels, stats = np.asarray(pieces, np.int32), np.asarray(table, np.int32)
    mass = np.bincount(labels.ravel(), weights=sheet.ink.ravel(), minlength=count).astype(np.float64)
    digit = _digit(labels, stats, mass)
    strokes = np.isin(labels, digit).astype(np.uint8)
    return _measured(sheet, strokes, float(mass[digit].sum() / mass[1:].sum()))


def _threshold(sheet: EvenedShot) -> Mask:
    """Return 1 on strokes: Otsu, "A threshold selection method from gray-level histograms", 1979, but never within the noise."""
    ink, highest = sheet.ink, float(sheet.ink.max())
    if highest <= FAINTEST:
        return np.zeros(ink.shape, np.uint8)
    level, _ = cv2.threshold((ink * (255 / highest)).astype(np.uint8), 0, 255, cv2.THRESH_OTSU)
    return (ink > max(level * highest / 255, 4 * sheet.noise, FAINTEST)).astype(np.uint8)


def _clear_rims(mask: Mask) -> None:
    """Take away, in place, lines along the box, with what lies beyond them: the sheet's edge, the table, a frame."""
    for view in (mask, mask[::-1], mask.T, mask.T[::-1]):
        strip = max(1, round(RIM * len(view)))
        lines = np.flatnonzero(view[:strip].mean(axis=1) > 0.9)
        if len(lines):
            view[: lines[-1] + 2] = 0  # and the blurred row after it


def _digit(labels: Integers, stats: Integers, mass: Masses) -> list[int]:
    """Return labels of the pieces that make the digit: the main one, and comparable ones that are near and not cut by the box."""
    height, width = labels.shape
    left, top, wide, high = stats[:, :4].T
    cut = (left == 0) | (top == 0) | (left + wide == width) | (top + high == height)
    through = (wide == width) | (high == height)
    weight = mass * np.where(cut, CUT, 1) * np.where(through, 0.01, 1)
    main = 1 + int(weight[1:].argmax())
    extent = np.maximum(wide, high)
    alike = (mass > 0.04 * mass[main]) & (extent > 0.12 * extent[main]) & ~through & (~cut | cut[main])
    above = (left < left[main] + wide[main]) & (left + wide > left[main]) & (mass > 0.15 * mass[main])
    alike[[0, main]] = False
    if alike.any():
        alike &= _distances(labels, main) < extent[main] * np.where(above, ABOVE, BESIDE)
    return [main, *np.flatnonzero(alike).tolist()]


def _distances(labels: Integers, main: int) -> npt.NDArray[np.float32]:
    """Return, by label, how many pixels a piece is from the main one."""
    distance = cv2.distanceTransform((labels != main).astype(np.uint8), cv2.DIST_L2, 3)
    nearest = np.full(labels.max() + 1, np.inf, np.float32)
    np.minimum.at(nearest, labels.ravel(), distance.ravel())
    return nearest


def _measured(sheet: EvenedShot, strokes: Mask, alone: float) -> DigitStrokes:
    ink, side = sheet.ink, max(sheet.ink.shape)
    level = ink[strokes > 0]
    contrast = float(np.median(level))
    soft = np.minimum(ink / contrast, 1) * cv2.dilate(strokes, np.ones((3, 3), np.uint8))  # a pixel more, for gray edges
    bounds = _bounds(strokes)
    longest = max(bounds.width, bounds.height)
    contours, _ = cv2.findContours(strokes, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    length = max(sum(cv2.arcLength(contour, True) for contour in contours) / 2, 1.0)  # there and back again
    width = len(level) / length
    solid = soft > 0.75  # a stroke that ends at the border is blurred there, one that goes on is not
    return DigitStrokes(
        ink=soft.astype(np.float32),
        box=_bounds((soft > 0.2).astype(np.uint8)),
        width=width,
        strength=contrast / (sheet.noise + 1e-3),
        extent=longest / side,
        stoutness=width / longest,
        winding=length / longest,
        clutter=_around(ink, strokes) / contrast,
        ground=_spread(sheet.flat, strokes) / contrast,
        alone=alone,
        unevenness=_unevenness(ink, strokes),
        cut=float(solid[[0, -1]].sum() + solid[:, [0, -1]].sum()) / side,
    )


def _bounds(mask: Mask) -> Box:
    left, top, width, height = cv2.boundingRect(mask)
    return Box(left, top, width, height)


def _around(ink: Floats, strokes: Mask) -> float:
    """Return the mean ink in a ring around the strokes, beyond their blurred edges."""
    side = max(ink.shape)
    distance = cv2.distanceTransform(1 - strokes, cv2.DIST_L2, 3)
    gap = max(2, 0.04 * side)
    ring = ink[(distance > gap) & (distance < gap + 0.08 * side + 1)]
    return float(ring.mean()) if len(ring) else 0.0


def _spread(flat: Floats, strokes: Mask) -> float:
    """Return the brightness' standard deviation off the strokes and their blurred edges; 0 where they cover all."""
    off = flat[cv2.dilate(strokes, np.ones((3, 3), np.uint8)) == 0]
    return float(off.std()) if len(off) else 0.0


def _unevenness(ink: Floats, strokes: Mask) -> float:
    """Return the spread of the ink inside the strokes; 0 for strokes so thin that they have only edges."""
    inside = ink[cv2.erode(strokes, np.ones((3, 3), np.uint8)) > 0]
    return float(inside.std() / inside.mean()) if len(inside) > 0.3 * strokes.sum() else 0.0

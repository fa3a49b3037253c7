"""Which of the ink is the digit, and whether it is writing at all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from livecnn._cv2 import cv2
from livecnn.networks.pipelines.support.lighting import EvenedShot
from livecnn.types import Box, Floats

Mask = npt.NDArray[np.uint8]
Integers = npt.NDArray[np.int32]
Masses = npt.NDArray[np.float64]

FAINTEST = 0.03  # share of light: fainter strokes are not looked for
CUT = 0.25  # weight of a piece that the box's edge cuts, when the main piece is chosen
RIM = 0.15  # of the side: a line along the box within this strip is the sheet's edge, not writing
ABOVE, BESIDE = 0.5, 0.3  # of the main piece's longest side: how far off a piece may be; beside it may stand another digit


@dataclass(frozen=True, slots=True, eq=False)
class DigitStrokes:
    """The digit's strokes, and what tells writing from other things. Lengths are shares of the shot's longest side.

    ink: float32 (h, w), 1 where a stroke is full, 0 off the digit.
    box: around what is inked by a fifth or more.
    width: of the strokes, in pixels of `ink`.
    strength: contrast in units of the noise.
    extent: longest side.
    stoutness: stroke width divided by extent.
    winding: length of the strokes divided by extent.
    clutter: mean ink around the digit divided by the ink in it.
    ground: standard deviation of the brightness (log) off the digit divided by the ink in it.
    alone: the digit's part of all ink.
    unevenness: standard deviation of the ink inside the strokes divided by its mean.
    cut: how much of the shot's border full strokes cover.
    """

    ink: Floats
    box: Box
    width: float
    strength: float
    extent: float
    stoutness: float
    winding: float
    clutter: float
    ground: float
    alone: float
    unevenness: float
    cut: float

    @property
    def flaws(self) -> tuple[str, ...]:
        """Why this is not writing; () if it is. The limits leave room around MNIST's digits on photographed paper and boards."""
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


def find(sheet: EvenedShot) -> DigitStrokes | None:
    """The most digit-like ink on a sheet; None if there is none."""
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
    """1 on strokes. Otsu, "A threshold selection method from gray-level histograms", 1979, but never within the noise."""
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
    """Labels of the pieces that make the digit: the main one, and those that are comparable, near, and not cut by the box."""
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
    """By label, how many pixels a piece is from the main one."""
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
    """Mean ink in a ring around the strokes, beyond their blurred edges."""
    side = max(ink.shape)
    distance = cv2.distanceTransform(1 - strokes, cv2.DIST_L2, 3)
    gap = max(2, 0.04 * side)
    ring = ink[(distance > gap) & (distance < gap + 0.08 * side + 1)]
    return float(ring.mean()) if len(ring) else 0.0


def _spread(flat: Floats, strokes: Mask) -> float:
    """Standard deviation of the brightness off the strokes and their blurred edges; 0 where they cover all."""
    off = flat[cv2.dilate(strokes, np.ones((3, 3), np.uint8)) == 0]
    return float(off.std()) if len(off) else 0.0


def _unevenness(ink: Floats, strokes: Mask) -> float:
    """Spread of the ink inside the strokes; 0 for strokes so thin that they have only edges."""
    inside = ink[cv2.erode(strokes, np.ones((3, 3), np.uint8)) > 0]
    return float(inside.std() / inside.mean()) if len(inside) > 0.3 * strokes.sum() else 0.0

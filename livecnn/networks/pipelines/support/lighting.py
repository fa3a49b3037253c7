"""From a photograph to a map of how much ink there is, whatever light fell on the paper."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from livecnn._cv2 import cv2
from livecnn.types import Floats, Image

WORK = 128  # pixels of the longest side at which strokes are looked for
GRID = 24  # points a side to which the light is fitted
WIDEST = 0.4  # of the longest side: what is wider is paper, not stroke
DARK = 24.0  # of 255, added to every brightness, so that the noise of dark places does not look like ink


def gray(shot: Image) -> Floats:
    """uint8 (h, w, 3) RGB -> float32 luminance 0..255, its longest side at most `WORK`."""
    plane = cv2.cvtColor(np.ascontiguousarray(shot), cv2.COLOR_RGB2GRAY)
    ratio = WORK / max(plane.shape)
    if ratio < 1:
        height, width = (max(1, round(side * ratio)) for side in plane.shape)
        plane = cv2.resize(plane, (width, height), interpolation=cv2.INTER_AREA)
    return plane.astype(np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class EvenedShot:
    """A shot without its light.

    ink: float32 (h, w), share of the light that dark strokes swallow, 0..1, 0 on bare paper.
    flat: float32 (h, w), log of the brightness without slopes and vignettes, 0 on bare paper, below it on ink and in shadows.
    noise: standard deviation of both.
    """

    ink: Floats
    flat: Floats
    noise: float


def even_lighting(plane: Floats) -> EvenedShot:
    """What is on the sheet, whatever light falls on it.

    plane: float32 (h, w) in 0..255; for light strokes on a dark ground pass `255 - plane`.

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
    """The quadratic surface that fits the paper: least squares, with less weight each round on what lies off, least on the dark.

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
    """(height * width, 6): 1, x, y, x^2, xy, y^2 of every pixel, x and y in -1..1."""
    y, x = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    return np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=-1).reshape(-1, 6).astype(np.float32)


def _noise(brightness: Floats) -> float:
    """Standard deviation of the noise, through a mask that cancels planes (Immerkaer, "Fast noise variance estimation", 1996).

    The median stands in for his mean, since strokes are no noise.
    """
    mask = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
    return float(np.median(np.abs(cv2.filter2D(brightness, -1, mask)[::2, ::2]))) / (6 * 0.6745)

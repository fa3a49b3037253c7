"""From a photograph to a map of how much ink there is, free of the light that fell on it."""

from __future__ import annotations

import numpy as np

from livecnn._cv2 import cv2
from livecnn.types import Floats, Image

WORK = 128  # longest side, in pixels, at which strokes are looked for
THICKEST = 0.4  # of the longest side: anything wider than this is paper, not stroke
DARK = 24.0  # of 255, added to ink and paper before their ratio is taken, so that noise in dark places stays small


def gray(shot: Image) -> Floats:
    """uint8 (h, w, 3) RGB -> float32 luminance 0..255, its longest side at most `WORK`."""
    plane = cv2.cvtColor(shot, cv2.COLOR_RGB2GRAY)
    ratio = WORK / max(plane.shape)
    if ratio < 1:
        height, width = (max(1, round(side * ratio)) for side in plane.shape)
        plane = cv2.resize(plane, (width, height), interpolation=cv2.INTER_AREA)
    return plane.astype(np.float32)


def ink(plane: Floats) -> Floats:
    """Share of light that dark strokes swallow, float32 (h, w) in 0..1; for light strokes pass `255 - plane`.

    The bare paper is the morphological closing: it fills whatever is dark and narrower than its kernel, and follows shadows, which
    are wider (Soille, Morphological Image Analysis, 2003, chapter 4: the black top-hat, here as a ratio since light multiplies).
    """
    size = max(3, round(THICKEST * max(plane.shape)) | 1)
    ...

"""How explanations look, and what they are called.

Red speaks for the value, blue against it, each picture by its own scale. What is as coarse as a region lies over what the network
sees. Guided backpropagation and deconvolution of a network for colour pictures are pictures in colour around a middle gray, as in
Zeiler and Fergus 2013 and Springenberg et al. 2014 (docs/explain.md).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from livecnn._cv2 import cv2
from livecnn.drawing.artists import resize_exactly
from livecnn.drawing.colormaps import cells, enlarge, table
from livecnn.drawing.theme import Theme
from livecnn.engine.reducers import to_levels
from livecnn.explain.methods import method_class
from livecnn.types import Floats, Image

DIVERGING = "RdBu_r"
FOR, AGAINST = (255, 62, 48), (64, 140, 255)  # over a picture
COVER = 0.8  # of the picture, where an overlay is strongest


def names(kind: str) -> tuple[str, ...]:
    """Return what a method is called, from the longest wording to the shortest."""
    return method_class(kind).names or (kind.replace("_", " "),)


def squares(values: Floats, low: float, high: float, size: tuple[int, int], colors: npt.NDArray[np.uint32]) -> Image:
    """float (h, w) -> uint8 (height, width, 4) in the colours from low to high, each value a square; size: (width, height)."""
    values = _shrunk(values, size)
    codes = to_levels(torch.from_numpy(values), torch.tensor(low), torch.tensor(high)).numpy()
    return enlarge(codes, colors, cells(1, codes.shape[0], size[1], 0), cells(1, codes.shape[1], size[0], 0))


def picture(kind: str, values: Floats, seen: Image, size: tuple[int, int], theme: Theme, channels: str = "RGB") -> Image:
    """Draw what a method found in an input, as its `shown_as` says.

    Args:
        kind: The method.
        values: float32 (C, H, W).
        seen: What the network sees, uint8 (H, W, 3).
        size: Width and height in pixels.
        theme: Its colors.
        channels: The order of the network's channels, RGB or BGR.

    Returns:
        uint8 (height, width, 3 or 4).
    """
    way = method_class(kind).shown_as
    if way == "color" and len(values) == 3:
        return _in_color(values if channels == "RGB" else values[::-1], size)
    total = np.ascontiguousarray(values.sum(axis=0))
    if way == "overlay":
        return overlay(total, seen, size)
    if way == "gray":
        finite = total[np.isfinite(total)]
        low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
        return squares(total, low, high, size, table("gray", theme))
    most = largest_magnitude(total)
    return squares(np.asarray(total / most, np.float32), -1.0, 1.0, size, table(DIVERGING, theme))


def overlay(values: Floats, seen: Image, size: tuple[int, int]) -> Image:
    """float (H, W) over a picture, uint8 (H, W, 3): red where it is positive, blue where it is negative, stronger is denser."""
    values = _shrunk(values, size)
    h, w = values.shape
    ground = resize_exactly(seen, w, h, sharp=True).astype(np.float32)
    share = np.nan_to_num(values / largest_magnitude(values), posinf=1, neginf=-1)[:, :, None]
    color = np.where(share > 0, np.array(FOR, np.float32), np.array(AGAINST, np.float32))
    mixed = ground + (color - ground) * (COVER * np.abs(share))
    return resize_exactly(mixed.astype(np.uint8), *size, sharp=True)


def largest_magnitude(values: Floats) -> float:
    """The largest finite absolute value; 1 if there is none above 0."""
    most = float(np.abs(values[np.isfinite(values)]).max(initial=0))
    return most or 1.0


def _in_color(values: Floats, size: tuple[int, int]) -> Image:
    share = np.nan_to_num(values / largest_magnitude(values), posinf=1, neginf=-1)
    return resize_exactly(np.ascontiguousarray((127.5 + 127.5 * share).astype(np.uint8).transpose(1, 2, 0)), *size, sharp=True)


def _shrunk(values: Floats, size: tuple[int, int]) -> Floats:
    """Averaged down to the pixels that there are; a sum of contrary neighbours stays faint, as from afar."""
    h, w = values.shape
    if w <= size[0] and h <= size[1]:
        return np.ascontiguousarray(values)
    return np.asarray(cv2.resize(values, (min(w, size[0]), min(h, size[1])), interpolation=cv2.INTER_AREA), np.float32)

"""Define requests for explanations and their results."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from livecnn.explain.methods import method_class
from livecnn.types import Floats

MIN_MAX, SIGNED = "min-max", "signed"

MIDDLE, REACH = 128, 127  # of a signed scale: the level of zero, and of the largest value how far it lies from there
LEAST = 1e-36  # of a range: what is less is shown as even, for 1 over it is too large for float32

Place = tuple[int, int]  # row and column on a map
Levels = tuple[npt.NDArray[np.uint8], Floats, Floats]


class Request(NamedTuple):
    """The targets that are explained in one go: units of a layer, or classes (for Grad-CAM by the maps of a layer)."""

    method: str
    layer: str | None
    units: tuple[int, ...]
    of_classes: bool = False


@dataclass(frozen=True, eq=False)
class Explanation:
    """The result of one method for units of one layer, or for classes.

    Attributes:
        question: What was explained.
        names: Names of the units or classes.
        values: float32 (U,), the explained values: of a map the one that `at` names, of a class its score before the softmax.
        places: Row and column of each value on its map; None where it is not one position.
        maps: float32 (U, C, H, W), or (U, 1, H, W) where the method does not tell channels apart; C in the input's order. Of
            "activation" they are the layer's own maps (U, 1, h, w), of all other methods as large as the input.
    """

    question: Request
    names: tuple[str, ...]
    values: Floats
    places: tuple[Place | None, ...]
    maps: Floats

    @property
    def normalisation(self) -> str:
        """Return how `levels` scales: "min-max", or "signed" where zero lies between two sides."""
        return SIGNED if method_class(self.question.method).signed else MIN_MAX

    def levels(self) -> Levels:
        """Return the maps as uint8, and the values of the lowest and the highest level of each; see `minmax`, `signed`."""
        return (minmax if self.normalisation == MIN_MAX else signed)(self.maps)


def minmax(maps: Floats) -> Levels:
    """Scale each map (U, …) by its own range: uint8 (U, …), low (U,), high (U,); value = low + level / 255 * (high - low).

    Values that are not finite count as 0.
    """
    flat = torch.from_numpy(maps).flatten(1)
    low, high = flat.amin(1), flat.amax(1)
    if not (low.isfinite().all() and high.isfinite().all()):
        flat = _finite(flat)
        low, high = flat.amin(1), flat.amax(1)
    span = high - low
    span = torch.where(span > LEAST, span, 1)
    levels = (flat - low[:, None]).mul_((255 / span)[:, None]).round_().to(torch.uint8)
    return levels.reshape(maps.shape).numpy(), low.numpy(), high.numpy()


def signed(maps: Floats) -> Levels:
    """Scale the same around zero, low = -high: value = (level - 128) / 127 * high."""
    flat = _finite(torch.from_numpy(maps).flatten(1))
    high = flat.abs().amax(1)
    span = torch.where(high > LEAST, high, 1)
    levels = (flat * (REACH / span)[:, None]).round_().add_(MIDDLE).to(torch.uint8)
    return levels.reshape(maps.shape).numpy(), -high.numpy(), high.numpy()


def _finite(flat: torch.Tensor) -> torch.Tensor:
    return flat.nan_to_num(0, 0, 0)

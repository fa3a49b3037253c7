"""What is asked of an image and a network, and what a method of `livecnn.explain` answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from livecnn.levels import Levels, minmax, signed
from livecnn.types import Floats

ACTIVATION, GRAD_CAM = "activation", "grad_cam"
MIN_MAX, SIGNED = "min-max", "signed"

Place = tuple[int, int]  # row and column on a map


class Question(NamedTuple):
    """What is explained in one go: units of a layer, or classes (for Grad-CAM by the maps of a layer)."""

    method: str
    layer: str | None
    units: tuple[int, ...]
    of_classes: bool = False


@dataclass(frozen=True, eq=False)
class Explanation:
    """The answer.

    maps: float32 (U, C, H, W), or (U, 1, H, W) where the method does not tell channels apart; C in the input's order. Of
    "activation" they are the layer's own maps (U, 1, h, w), of all other methods as large as the input.
    names: of the units or classes.  values: float32 (U,), what is explained: of a map the value that `at` tells, of a class
    its score before the softmax.  places: where on the map that is (row, column), if it is one position.
    """

    question: Question
    names: tuple[str, ...]
    values: Floats
    places: tuple[Place | None, ...]
    maps: Floats

    @property
    def normalisation(self) -> str:
        """What `levels` does: "min-max", or "signed" where zero has a meaning between two sides."""
        return MIN_MAX if self.question.method in (ACTIVATION, GRAD_CAM) else SIGNED

    def levels(self) -> Levels:
        """The maps as uint8, and the value of the lowest and of the highest level of each; see `livecnn/levels.py`."""
        return (minmax if self.normalisation == MIN_MAX else signed)(self.maps)

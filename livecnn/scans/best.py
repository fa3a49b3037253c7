"""The images to which each unit answered most."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from livecnn.types import Floats

Integers = npt.NDArray[np.int64]

NONE = -1  # no image


@dataclass(eq=False)
class Best:
    """The k strongest of U units, the strongest first, of equal ones the image with the lower number; every array is (k, U).

    values: -inf where there is no image.  images: their numbers, NONE where there is none.  positions: place of the value on the
    unit's map, counted row by row; 0 of a single value.
    """

    values: Floats
    images: Integers
    positions: Integers

    @classmethod
    def none(cls, k: int, units: int) -> Best:
        empty = np.full((k, units), NONE)
        return cls(np.full((k, units), -np.inf, np.float32), empty, empty.copy())

    def add(self, values: Floats, images: Integers, positions: Integers) -> None:
        """Take in N images: values and positions (N, U), their numbers (N,). Values that are not finite do not count."""
        values = np.where(np.isfinite(values), values, -np.inf).astype(np.float32)
        numbers = np.where(values > -np.inf, images[:, None], NONE)
        units = np.flatnonzero(values.max(0, initial=-np.inf) >= self.values[-1])  # after a while these are few
        self._take(Best(values[:, units], numbers[:, units], positions[:, units]), units)

    def merge(self, other: Best) -> None:
        self._take(other, slice(None))

    def _take(self, other: Best, units: Integers | slice) -> None:
        values = np.concatenate((self.values[:, units], other.values))
        images = np.concatenate((self.images[:, units], other.images))
        positions = np.concatenate((self.positions[:, units], other.positions))
        order = np.lexsort((images, -values), axis=0)[: len(self.values)]
        for mine, both in ((self.values, values), (self.images, images), (self.positions, positions)):
            mine[:, units] = np.take_along_axis(both, order, axis=0)

"""Which units of a layer come first."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from livecnn.selection import Order
from livecnn.types import Floats

CALM = 1.0  # seconds between two sortings: units that change places at every tick cannot be looked at
SHARE = 0.1  # of the way that a smoothed value moves to the newest one, per tick


class Ranking:
    """The units of a layer in an order, the important ones first."""

    def __init__(self, count: int) -> None:
        self.order: npt.NDArray[np.intp] = np.arange(count)
        self._by: Order = "number"
        self._smooth: Floats | None = None
        self._sorted = -math.inf

    def take(self, by: Order, values: Floats | None, time: float) -> None:
        """values (count,): of this tick, by which is sorted; None: there are none, which leaves another order's units by number.

        Equal ones stay in order of their numbers; those that are not finite come last.
        """
        if by != self._by or by == "number":
            self._by, self._smooth, self._sorted = by, None, -math.inf
            self.order = np.arange(len(self.order))
        if by == "number" or values is None:
            return
        values = np.where(np.isfinite(values), values, np.nan)
        moved = values if self._smooth is None else self._smooth + SHARE * (values - self._smooth)
        self._smooth = np.where(np.isnan(moved), values, moved)
        if not 0 <= time - self._sorted < CALM:
            self.order, self._sorted = np.argsort(-self._smooth, kind="stable"), time

"""Classes that are numbers: the distribution over them has an expected value and a spread."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from livecnn.types import Floats


def numbers(classes: Sequence[str]) -> Floats:
    """The classes as numbers, float32 (K,). Raises ValueError, which names the first that is none."""
    values = []
    for name in classes:
        try:
            value = float(name)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise ValueError(f"the class {name!r} is no number; classes such as 0, 1, 2, … have an expected value")
        values.append(value)
    return np.array(values, np.float32)


def expected(scores: Floats, values: Floats) -> tuple[float, float]:
    """Mean and standard deviation of values (K,) with probabilities (K,); not-finite scores give NaN."""
    total = float(scores.sum(dtype=np.float64))
    if not math.isfinite(total) or total <= 0:
        return math.nan, math.nan
    shares = scores.astype(np.float64) / total
    mean = float(shares @ values)
    return mean, math.sqrt(float(shares @ (values - mean) ** 2))

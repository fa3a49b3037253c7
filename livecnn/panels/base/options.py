"""Types of the fields that several panels have."""

from __future__ import annotations

import reprlib
import sys
from typing import Annotated, Any, Literal, get_args

from pydantic import PlainValidator, WithJsonSchema

from livecnn.errors import nearest
from livecnn.types import SCALES, ScaleValue

# Perceptually uniform (equal steps in value look equal) or gray: a map with false edges would show what is not there.
Colormap = Literal[
    "gray",
    "viridis",
    "inferno",
    "magma",
    "plasma",
    "cividis",
    "gray_r",
    "viridis_r",
    "inferno_r",
    "magma_r",
    "plasma_r",
    "cividis_r",
]
COLORMAPS: tuple[Colormap, ...] = get_args(Colormap)


def parse_scale(value: Any) -> ScaleValue:
    """`map`, `layer`, `running`, or [lo, hi] as a tuple of finite floats, lo < hi. Raises ValueError."""
    if isinstance(value, str):
        if value not in SCALES:
            raise ValueError(f"found {reprlib.repr(value)}; {nearest(value, [*SCALES, '[lo, hi]'])}")
        return value
    return _pair(value, f"{', '.join(SCALES)}, or ")


def parse_range(value: Any) -> tuple[float, float]:
    """[lo, hi] as a tuple of finite floats, lo < hi. Raises ValueError."""
    return _pair(value)


def _pair(value: Any, others: str = "") -> tuple[float, float]:
    if not isinstance(value, (list, tuple)) or len(value) != 2 or not all(_is_number(v) for v in value):
        raise ValueError(f"found {reprlib.repr(value)}; allowed: {others}two numbers [lo, hi]")
    low, high = map(float, value)
    if not low < high:
        raise ValueError(f"found [{low:g}, {high:g}]; the first number has to be the lower one")
    return low, high


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


_PAIR = {"type": "array", "prefixItems": [{"type": "number"}, {"type": "number"}], "minItems": 2, "maxItems": 2}

Scale = Annotated[
    ScaleValue,
    PlainValidator(parse_scale),
    WithJsonSchema({"examples": [*SCALES, [-1.0, 4.0]], "anyOf": [{"enum": list(SCALES)}, _PAIR]}),
]
Range = Annotated[tuple[float, float], PlainValidator(parse_range), WithJsonSchema(_PAIR)]

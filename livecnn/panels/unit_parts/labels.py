"""What there is to say of a unit and of the methods that explain it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from livecnn.engine.unit_reducers import UnitActivation
from livecnn.explain.methods import method_class
from livecnn.explain.rendering import names
from livecnn.networks.inspection.receptive_field import ReceptiveField
from livecnn.networks.inspection.windows import size_text
from livecnn.types import ExplanationUpdate

VERDICTS = {"good": "✓ good", "bad": "✗ bad"}


def number(value: float) -> str:
    """About three digits of it, as many decimals as its neighbours in size have, so that it hardly moves while it changes."""
    size = abs(value)
    if not math.isfinite(value):
        return "not finite"
    if size == 0:
        return "0"
    if not 1e-3 <= size < 1e5:
        return f"{value:.1e}".replace("-", "−")
    decimals = 0 if size >= 100 else 1 if size >= 10 else 2 if size >= 0.1 else 4
    return f"{value:.{decimals}f}".replace("-", "−")


def captions(view: UnitActivation, field: ReceptiveField | None) -> Sequence[str]:
    """The numbers of a unit, from the longest wording to the shortest."""
    if view.map.size == 1:
        numbers: tuple[str, ...] = (f"value {number(view.max)}", number(view.max))
    else:
        low, high, mean = (number(value) for value in (view.min, view.max, view.mean))
        numbers = (f"min {low}  max {high}  mean {mean}", f"{low} … {high}")
    if field is None:
        return numbers
    reach = size_text(field.size)
    return (f"{numbers[0]} · receptive field {reach}", f"{numbers[0]} · field {reach}", *numbers)


def method_caption(kind: str, findings: ExplanationUpdate | None, classes: Sequence[str]) -> Sequence[str]:
    """What stands under a method's picture: also how far it has come, or of which class it is."""
    wordings = names(kind)
    if findings is None:
        return wordings
    if not method_class(kind).of_units:  # the class, whichever unit is on show
        name, family = classes[findings.target], wordings[0].rpartition("-")[2]  # as CAM of Grad-CAM
        return f"{wordings[0]} for {name}", f"{family} for {name}", *wordings
    done = findings.progress.get(kind, 1.0)
    return wordings if done >= 1 else (f"{wordings[0]} {100 * done:.0f} %", *wordings)


def annotation_text(mark: Any) -> str:
    """The verdict and the note of an annotation; "" without one."""
    return "" if mark is None else " · ".join(filter(None, (VERDICTS.get(mark.verdict, ""), mark.note)))


def method_text(kind: str) -> tuple[str, ...]:
    """A method's name, and what it shows."""
    return (names(kind)[0], *filter(None, (method_class(kind).meaning,)))

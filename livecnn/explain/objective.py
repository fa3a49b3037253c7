"""What is explained: the activations of a layer's units at a position of their maps, or the score of a class."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, TypeAlias

import torch

from livecnn.errors import UsageError
from livecnn.explain.forward_pass import ForwardResult

At: TypeAlias = Literal["max", "sum"] | tuple[int, int]
Objective: TypeAlias = Callable[[ForwardResult], torch.Tensor]  # (N, U): a value a picture and unit


def class_objective(seen: ForwardResult, target: int) -> Objective:
    """The class's score before a softmax. Raises UsageError."""
    if seen.logits.ndim != 2:
        raise UsageError(f"class {target}: the network gives scores of shape {tuple(seen.logits.shape)}; (N, classes) are needed")
    _check("class", [target], seen.logits.shape[1], "the network")
    return lambda seen: seen.logits[:, target : target + 1]


def units_objective(seen: ForwardResult, units: Sequence[int], at: At, layer: str | None) -> Objective:
    """The units' activations, each at the place that `at` means in what was seen, and there in later passes too.

    at: "max", the strongest position of each map; "sum", over all positions; or a position (row, column). Raises UsageError.
    """
    activation = activation_of(seen, units, layer)
    chosen = list(units)

    def values(seen: ForwardResult) -> torch.Tensor:
        assert seen.activation is not None
        return seen.activation[:, chosen].flatten(2) if seen.activation.ndim > 2 else seen.activation[:, chosen, None]

    if at == "sum":
        return lambda seen: values(seen).sum(2)
    places = values(seen)[0].argmax(1) if at == "max" else torch.tensor([flat_index(at, activation.shape, layer)] * len(chosen))
    order = torch.arange(len(chosen))
    return lambda seen: values(seen)[:, order, places]


def activation_of(seen: ForwardResult, units: Sequence[int], layer: str | None) -> torch.Tensor:
    """The layer's output (N, K, …), once it is sure that it has these units. Raises UsageError."""
    if seen.activation is None:
        raise UsageError("units are those of a layer; found none")
    if seen.activation.ndim < 2:
        raise UsageError(f"layer {layer!r} gives the shape {tuple(seen.activation.shape)}; a tensor (N, units, …) is needed")
    _check("unit", units, seen.activation.shape[1], str(layer))
    return seen.activation


def check_position(at: object) -> None:
    """Raise UsageError if it means no value of any map."""
    position = isinstance(at, tuple) and len(at) == 2 and all(isinstance(step, int) for step in at)
    if not position and at not in ("max", "sum"):
        raise UsageError(f"at: found {at!r}; allowed: 'max', 'sum', (row, column)")


def flat_index(at: tuple[int, int], shape: Sequence[int], layer: str | None) -> int:
    """A position (row, column) as an index into a flat map; shape: of all maps, (N, K, h, w). Raises UsageError."""
    if len(shape) != 4:
        raise UsageError(f"at: found {at}, and layer {layer!r} gives no maps; allowed: 'max', 'sum'")
    height, width = shape[2:]
    if not (0 <= at[0] < height and 0 <= at[1] < width):
        raise UsageError(f"at: found {at}; maps of {layer!r} have rows 0-{height - 1} and columns 0-{width - 1}")
    return at[0] * width + at[1]


def _check(what: str, numbers: Sequence[int], count: int, where: str) -> None:
    for number in numbers:
        if not 0 <= number < count:
            raise UsageError(f"{what} {number}: {where} has {count} (0-{count - 1})")

"""Forward passes that keep what explanations need, and the values of units and classes that are explained."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import torch
from torch import nn
from torch.autograd.graph import GradientEdge, get_gradient_edge
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from livecnn.errors import UsageError
from livecnn.networks.inspection.probe import LayerHooks

SOFTMAXES = (
    functional.softmax,
    functional.log_softmax,
    torch.softmax,
    torch.log_softmax,
    torch.Tensor.softmax,
    torch.Tensor.log_softmax,
)
At: TypeAlias = Literal["max", "sum"] | tuple[int, int]


@dataclass(frozen=True, eq=False)
class ForwardResult:
    """The result of one forward pass.

    Attributes:
        activation: (N, K, …), as the layer gave it; None without a layer.
        edge: Where its gradient passes, if there is one.
        logits: (N, classes), the scores, or what went into a softmax that made them.
        largest: Number of values in the largest tensor.
    """

    activation: torch.Tensor | None
    edge: GradientEdge | None
    logits: torch.Tensor
    largest: int


Objective: TypeAlias = Callable[[ForwardResult], torch.Tensor]  # (N, U): a value a picture and unit


class ForwardPass:
    """Forward passes of a network, for one of its layers or none. Its hooks live during a pass only."""

    def __init__(self, module: nn.Module, layer: str | None) -> None:
        self._tap = LayerHooks(module, [] if layer is None else [layer], self._keep)
        self._kept: tuple[torch.Tensor | None, GradientEdge | None] = None, None

    def __call__(self, x: torch.Tensor) -> ForwardResult:
        """Run one pass of (N, C, H, W), with gradients where they are recorded."""
        self._kept = None, None
        with self._tap, _Functions() as functions:
            scores = self._tap.run(x)
        (activation, edge), self._kept = self._kept, (None, None)
        return ForwardResult(activation, edge, functions.before_softmax(scores), functions.largest)

    def _keep(self, _layer: str, output: torch.Tensor) -> None:
        # Later steps may write over the output: then its values are gone, and its gradient is that of what was written.
        self._kept = output.clone(), get_gradient_edge(output) if output.requires_grad else None


class _Functions(TorchFunctionMode):
    """Watches every function of torch that a forward pass calls, those within modules too."""

    def __init__(self) -> None:
        super().__init__()
        self.largest = 1
        self._softmax: tuple[torch.Tensor, torch.Tensor] | None = None

    def __torch_function__(
        self, func: Callable[..., Any], types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor):
            self.largest = max(self.largest, result.numel())
            if func in SOFTMAXES:
                self._softmax = args[0] if args else (kwargs or {})["input"], result
        return result

    def before_softmax(self, scores: torch.Tensor) -> torch.Tensor:
        """Return what went into the last softmax if the scores are its result, whatever their axes; else the scores."""
        if self._softmax is None:
            return scores
        logits, result = self._softmax
        same = result.data_ptr() == scores.data_ptr() and result.numel() == scores.numel()
        return logits.reshape(scores.shape) if same else scores


def class_objective(seen: ForwardResult, target: int) -> Objective:
    """Explain the class's score before a softmax. Raises UsageError for an unknown class."""
    if seen.logits.ndim != 2:
        raise UsageError(f"class {target}: the network gives scores of shape {tuple(seen.logits.shape)}; (N, classes) are needed")
    _check("class", [target], seen.logits.shape[1], "the network")
    return lambda seen: seen.logits[:, target : target + 1]


def units_objective(seen: ForwardResult, units: Sequence[int], at: At, layer: str | None) -> Objective:
    """Explain the units' activations, each at the place that `at` means in what was seen, and there in later passes too.

    Args:
        seen: The pass that decides on the places.
        units: Numbers of units of the layer.
        at: "max", the strongest position of each map; "sum", over all positions; or a position (row, column).
        layer: Its name, for messages.

    Raises:
        UsageError: There is no such unit or position.
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
    """Return the layer's output (N, K, …). Raises UsageError if it lacks one of the units."""
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
    """Turn a position (row, column) of maps of shape (N, K, h, w) into an index of a flat map. Raises UsageError."""
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

"""Define what an ascent maximizes: one value an image, each that of another unit or class."""

from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeAlias, get_args

import torch
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from livecnn.errors import UsageError
from livecnn.explain.forward_pass import ForwardResult, activation_of, class_objective

Over: TypeAlias = Literal["mean", "max", "centre"]
# Of N pictures and N units, the value of each picture's own unit, (N,).
Objective: TypeAlias = Callable[[ForwardResult, Sequence[int]], torch.Tensor]


def layer_objective(over: Over) -> Objective:
    """Climb the activation of each unit: the mean of its map, its maximum, or its middle. Raises UsageError."""
    if over not in get_args(Over):
        raise UsageError(f"over: found {over!r}; allowed: {', '.join(get_args(Over))}")

    def values(seen: ForwardResult, units: Sequence[int]) -> torch.Tensor:
        assert seen.activation is not None
        own = seen.activation[torch.arange(len(units)), list(units)]
        if over == "centre":
            for extent in own.shape[1:]:
                own = own[:, extent // 2]
            return own
        flat = own.reshape(len(units), -1)
        return flat.mean(1) if over == "mean" else flat.amax(1)

    return values


def class_scores(seen: ForwardResult, classes: Sequence[int]) -> torch.Tensor:
    """Return the score of each class, before a softmax."""
    return seen.logits[torch.arange(len(classes)), list(classes)]


def check(seen: ForwardResult, units: Sequence[int], layer: str | None) -> None:
    """Raise UsageError if a layer has not all these units, or, without a layer, the network not all these classes."""
    if not units:
        raise UsageError("units: found none; one or more are needed")
    if layer is not None:
        activation_of(seen, units, layer)
        return
    for number in units:
        class_objective(seen, number)


class RedirectedReLU(TorchFunctionMode):
    """Inside the `with`, a ReLU that no gradient passes lets back what would switch it on.

    Else a unit that is off, such as a neuron behind a ReLU, would have no slope to climb. Of a picture through which anything
    comes back, the gradient stays as it is (https://distill.pub/2017/feature-visualization, appendix).
    """

    RELUS = (functional.relu, torch.relu, torch.Tensor.relu)
    IN_PLACE = (torch.relu_, torch.Tensor.relu_)

    def __torch_function__(
        self, func: Callable[..., Any], types: Sequence[type], args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        given = dict(zip(("input", "inplace"), args, strict=False)) | (kwargs or {})
        x = given.get("input")
        if func not in (*self.RELUS, *self.IN_PLACE) or not isinstance(x, torch.Tensor):  # while a network is traced
            return func(*args, **(kwargs or {}))
        output: torch.Tensor = _RedirectedReLUFunction.apply(x)  # type: ignore[no-untyped-call]
        return x.copy_(output) if given.get("inplace") or func in self.IN_PLACE else output


class _RedirectedReLUFunction(torch.autograd.Function):
    """max(x, 0); for a picture whose whole gradient would be lost, its positive part comes back."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        output = x.clamp_min(0)
        ctx.save_for_backward(output)
        return output

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        (output,) = ctx.saved_tensors
        through = gradient * (output > 0)
        lost = (through.flatten(1) == 0).all(1) if through.ndim > 1 else through == 0
        return torch.where(lost.view(-1, *[1] * (through.ndim - 1)), gradient.clamp_min(0), through)

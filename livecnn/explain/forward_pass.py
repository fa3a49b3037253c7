"""Forward passes that keep what explanations need: a layer's output, and the scores before a softmax."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.autograd.graph import GradientEdge, get_gradient_edge
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from livecnn.networks.inspection.probe import LayerHooks

SOFTMAXES = (
    functional.softmax,
    functional.log_softmax,
    torch.softmax,
    torch.log_softmax,
    torch.Tensor.softmax,
    torch.Tensor.log_softmax,
)


@dataclass(frozen=True, eq=False)
class ForwardResult:
    """What one forward pass gave.

    activation: (N, K, …), as the layer gave it; None without a layer.  edge: where its gradient passes, if there is one.
    logits: (N, classes), the scores, or what went into a softmax that made them.  largest: values in the largest tensor.
    """

    activation: torch.Tensor | None
    edge: GradientEdge | None
    logits: torch.Tensor
    largest: int


class ForwardPass:
    """Forward passes of a network, for one of its layers or none. Its hooks live during a pass only. For errors see Tap."""

    def __init__(self, module: nn.Module, layer: str | None) -> None:
        self._tap = LayerHooks(module, [] if layer is None else [layer], self._keep)
        self._kept: tuple[torch.Tensor | None, GradientEdge | None] = None, None

    def __call__(self, x: torch.Tensor) -> ForwardResult:
        """One pass of (N, C, H, W), with gradients where they are recorded."""
        self._kept = None, None
        with self._tap, _Functions() as functions:
            scores = self._tap.run(x)
        (activation, edge), self._kept = self._kept, (None, None)
        return ForwardResult(activation, edge, functions.before_softmax(scores), functions.largest)

    def _keep(self, _layer: str, output: torch.Tensor) -> None:
        # Later steps may write over the output: then its values are gone, and its gradient is that of what was written.
        self._kept = output.clone(), get_gradient_edge(output) if output.requires_grad else None


class _Functions(TorchFunctionMode):
    """Sees every function of torch that a forward pass calls, those within modules too."""

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
        """What went into the last softmax, if the scores are its result, whatever their axes; else the scores."""
        if self._softmax is None:
            return scores
        logits, result = self._softmax
        same = result.data_ptr() == scores.data_ptr() and result.numel() == scores.numel()
        return logits.reshape(scores.shape) if same else scores

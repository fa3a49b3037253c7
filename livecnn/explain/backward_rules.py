"""Other ways back through ReLUs and maximum poolings than the gradient's. The way forward stays the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import fx, nn
from torch.autograd.graph import Node
from torch.nn import functional

from livecnn.errors import ModelError
from livecnn.networks.inspection.tracing import FunctionTrace


@dataclass(frozen=True)
class BackwardRule:
    """What some kinds of modules do instead of their own forward.

    forwards: by kind of module, a function of the module and its input.
    functions: names of autograd's nodes for the same as a function, and the saved bound that has to be 0, or "".
    """

    name: str
    forwards: Mapping[type[nn.Module], Callable[[Any, torch.Tensor], torch.Tensor]]
    functions: Mapping[str, str]

    def forward_of(self, module: nn.Module) -> Callable[[torch.Tensor], torch.Tensor] | None:
        """What replaces the module's forward; None where that would not be the same."""
        if getattr(module, "return_indices", False) or getattr(module, "dilation", 1) not in (1, (1, 1)):
            return None
        own = (forward for kind, forward in self.forwards.items() if type(module).forward is kind.forward)
        return next((partial(forward, module) for forward in own), None)

    def misses(self, node: Node | None) -> bool:
        """Whether a step was left to the gradient that this rule is about."""
        bound = None if node is None else self.functions.get(node.name())
        return bound is not None and (not bound or getattr(node, f"_saved_{bound}") == 0)


@contextmanager
def apply_rules(module: nn.Module, rules: Sequence[BackwardRule]) -> Iterator[None]:
    """Inside the `with`, the network's modules compute by the rules."""
    with ExitStack() as restore:
        for inner in module.modules():
            for forward in filter(None, (rule.forward_of(inner) for rule in rules)):
                restore.callback(_restore, inner, vars(inner).get("forward"))
                inner.forward = forward
        yield


def _restore(module: nn.Module, forward: Any) -> None:
    del module.forward
    if forward is not None:
        module.forward = forward


def check(kind: str, module: nn.Module, x: torch.Tensor, rules: Sequence[BackwardRule], nodes: Sequence[Node]) -> None:
    """Raise ModelError if a step on the way back (its nodes) is one that a rule is about, but no module."""
    for rule in rules:
        missed = next(filter(rule.misses, nodes), None)
        if missed is not None:
            function = _first_function(module, x, rule)
            found = f"{function!r} in the forward pass is a function" if function else f"found {missed.name()} on the way back"
            raise ModelError(f"{kind} needs {rule.name} modules; {found}")


def _first_function(module: nn.Module, x: torch.Tensor, rule: BackwardRule) -> str | None:
    """The name of the first such function in the forward pass, as a Probe takes it; None if it cannot be told."""
    try:
        trace = FunctionTrace(module)
    except ModelError:
        return None
    found: list[str] = []

    def note(step: fx.Node, output: Any) -> None:
        if rule.misses(getattr(output, "grad_fn", None)):
            found.append(step.name)

    trace.run(x, {step: partial(note, step) for step in trace.functions.values()})
    return next(iter(found), None)


class _Guided(torch.autograd.Function):
    """max(x, 0); back go only positive values, and only where x is positive."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: torch.Tensor) -> torch.Tensor:
        return x.clamp_min(0)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:  # noqa: ARG004
        ctx.save_for_backward(output)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        output: torch.Tensor
        (output,) = ctx.saved_tensors
        return torch.ops.aten.threshold_backward(gradient.clamp_min(0), output, 0)  # type: ignore[no-any-return]


class _Deconvolved(torch.autograd.Function):
    """max(x, 0); back go only positive values, wherever x lies."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: torch.Tensor) -> torch.Tensor:
        return x.clamp_min(0)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:  # noqa: ARG004
        return gradient.clamp_min(0)


def _relu(function: type[torch.autograd.Function], relu: nn.ReLU, x: torch.Tensor) -> torch.Tensor:
    output: torch.Tensor = function.apply(x)
    return x.copy_(output) if relu.inplace else output


def _spread(pool: nn.MaxPool2d, x: torch.Tensor) -> torch.Tensor:
    mean = functional.avg_pool2d(x, pool.kernel_size, pool.stride, pool.padding, pool.ceil_mode, count_include_pad=False)
    return _as_if(nn.MaxPool2d.forward(pool, x), mean)


def _spread_adaptive(pool: nn.AdaptiveMaxPool2d, x: torch.Tensor) -> torch.Tensor:
    return _as_if(nn.AdaptiveMaxPool2d.forward(pool, x), functional.adaptive_avg_pool2d(x, pool.output_size))


def _as_if(values: torch.Tensor, path: torch.Tensor) -> torch.Tensor:
    """These values, with the gradient of the other path."""
    return values.detach() + (path - path.detach())


# clamp_min(0), clamp(0), threshold(0, 0) and ReLU6 are ReLUs, too.
_RELUS = {
    "ReluBackward0": "",
    "ClampMinBackward0": "min",
    "ClampBackward1": "min",
    "ThresholdBackward0": "threshold",
    "HardtanhBackward0": "min_val",
}
_POOLINGS = {"MaxPool2DWithIndicesBackward0": "", "AdaptiveMaxPool2DBackward0": ""}

GUIDED = BackwardRule("ReLU", {nn.ReLU: partial(_relu, _Guided)}, _RELUS)
DECONVOLVED = BackwardRule("ReLU", {nn.ReLU: partial(_relu, _Deconvolved)}, _RELUS)
SPREAD = BackwardRule("undilated MaxPool2d", {nn.MaxPool2d: _spread, nn.AdaptiveMaxPool2d: _spread_adaptive}, _POOLINGS)

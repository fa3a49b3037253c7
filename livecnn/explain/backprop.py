"""Go back from units to the input: all units of a layer in one go, by the gradient or by other rules."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, cast

import torch
from torch import fx, nn
from torch.autograd.graph import Node
from torch.nn import functional

from livecnn.errors import ModelError
from livecnn.explain.base import TargetedMethod, detached_input, set_gradients
from livecnn.networks.inspection.tracing import FunctionTrace

MOST_VALUES = 1 << 22  # of one step on the way back, of all units that go together: 16 MiB
Size = tuple[int, int]


@dataclass(frozen=True)
class BackwardRule:
    """A rule by which some kinds of modules replace their own forward."""

    name: str  # name of the kinds, for messages
    # by kind of module, a function of the module and its input
    forwards: Mapping[type[nn.Module], Callable[[Any, torch.Tensor], torch.Tensor]]
    # names of autograd's nodes for the same as a function, and the saved bound that has to be 0, or ""
    functions: Mapping[str, str]

    def forward_of(self, module: nn.Module) -> Callable[[torch.Tensor], torch.Tensor] | None:
        """Return what replaces the module's forward; None where the result would differ."""
        if getattr(module, "return_indices", False) or getattr(module, "dilation", 1) not in (1, (1, 1)):
            return None
        own = (forward for kind, forward in self.forwards.items() if type(module).forward is kind.forward)
        return next((partial(forward, module) for forward in own), None)

    def misses(self, node: Node | None) -> bool:
        """Return whether a step that this rule is about was left to the gradient."""
        bound = None if node is None else self.functions.get(node.name())
        return bound is not None and (not bound or getattr(node, f"_saved_{bound}") == 0)


@contextmanager
def apply_rules(module: nn.Module, rules: Sequence[BackwardRule]) -> Iterator[None]:
    """Let the network's modules compute by the rules inside the `with`."""
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


def check_rules(kind: str, module: nn.Module, x: torch.Tensor, rules: Sequence[BackwardRule], nodes: Sequence[Node]) -> None:
    """Raise ModelError if a node on the way back is one that a rule is about, but belongs to no module."""
    for rule in rules:
        missed = next(filter(rule.misses, nodes), None)
        if missed is not None:
            function = _first_function(module, x, rule)
            found = f"{function!r} in the forward pass is a function" if function else f"found {missed.name()} on the way back"
            raise ModelError(f"{kind} needs {rule.name} modules; {found}")


def _first_function(module: nn.Module, x: torch.Tensor, rule: BackwardRule) -> str | None:
    """Find the first such function in the forward pass, by the name that a Probe takes; None if tracing fails."""
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


class _Deconvolved(_Guided):
    """max(x, 0); back go only positive values, wherever x lies."""

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
    """Return these values with the gradient of the other path."""
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


class _Convolved(torch.autograd.Function):
    """A convolution; its gradient by the input is calculated where it is not zero. Parameters get none."""

    @staticmethod
    def forward(x: torch.Tensor, conv: nn.Conv2d) -> torch.Tensor:
        output: torch.Tensor = conv._conv_forward(x, conv.weight, conv.bias)
        return output

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[torch.Tensor, nn.Conv2d], output: torch.Tensor) -> None:  # noqa: ARG004
        x, ctx.conv = inputs
        ctx.size = tuple(x.shape[2:])

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        return _WindowBackward.apply(gradient, ctx.conv, ctx.size), None  # type: ignore[no-untyped-call]


class _WindowBackward(torch.autograd.Function):
    """Its way back: (N, C, h, w) -> (N, C', *size), for all pictures of a vmap at once."""

    @staticmethod
    def forward(gradient: torch.Tensor, conv: nn.Conv2d, size: Size) -> torch.Tensor:
        return _window_backward(gradient, conv, size)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: torch.Tensor) -> None:
        pass

    @staticmethod
    def vmap(
        _info: Any, in_dims: tuple[Any, ...], gradient: torch.Tensor, conv: nn.Conv2d, size: Size
    ) -> tuple[torch.Tensor, int]:
        together = gradient.movedim(in_dims[0], 0)
        return _window_backward(together.flatten(0, 1), conv, size).unflatten(0, together.shape[:2]), 0


def _window_backward(gradient: torch.Tensor, conv: nn.Conv2d, size: Size) -> torch.Tensor:
    corners, extent = _windows(gradient)
    windows = torch.stack([one[:, y : y + extent[0], x : x + extent[1]] for one, (y, x) in zip(gradient, corners, strict=True)])
    spread = _transposed(windows, conv)
    rows, columns = spread.shape[2:]
    (down, right), (above, left) = conv.stride, cast(Size, conv.padding)
    canvas = spread.new_zeros(
        *spread.shape[:2],
        max(size[0] + above, (gradient.shape[2] - extent[0]) * down + rows),
        max(size[1] + left, (gradient.shape[3] - extent[1]) * right + columns),
    )
    for one, window, (y, x) in zip(canvas, spread, corners, strict=True):
        one[:, y * down : y * down + rows, x * right : x * right + columns] = window
    return canvas[:, :, above : above + size[0], left : left + size[1]]


def _transposed(windows: torch.Tensor, conv: nn.Conv2d) -> torch.Tensor:
    """Transpose the convolution without padding; rows and columns of a stride become channels, which is much faster."""
    down, right = conv.stride
    kernel = functional.pad(conv.weight, (0, -conv.kernel_size[1] % right, 0, -conv.kernel_size[0] % down))
    phases = kernel.unflatten(3, (-1, right)).unflatten(2, (-1, down)).permute(0, 1, 3, 5, 2, 4).flatten(1, 3)
    found = functional.conv_transpose2d(windows, phases, groups=conv.groups, dilation=conv.dilation)
    spread: torch.Tensor = found.unflatten(1, (-1, down, right)).permute(0, 1, 4, 2, 5, 3).flatten(4).flatten(2, 3)
    return spread


def _windows(gradient: torch.Tensor) -> tuple[list[Size], Size]:
    """Find windows of (N, C, h, w) outside of which all is zero: their top left corners, and one size for all."""
    there = gradient.any(1)
    firsts, extents = [], []
    for axis, count in ((2, gradient.shape[2]), (1, gradient.shape[3])):
        seen = there.any(axis).to(torch.uint8)
        first, last = seen.argmax(1), count - 1 - seen.flip(1).argmax(1)
        extent = int((last - first).max()) + 1
        firsts.append(first.clamp(max=count - extent).tolist())
        extents.append(extent)
    return list(zip(*firsts, strict=True)), (extents[0], extents[1])


def _windowed(conv: nn.Conv2d, x: torch.Tensor) -> torch.Tensor:
    if not _plain(conv) or x.ndim != 4:
        return nn.Conv2d.forward(conv, x)
    output: torch.Tensor = _Convolved.apply(x, conv)  # type: ignore[no-untyped-call]
    return output


def _plain(conv: nn.Conv2d) -> bool:
    own = type(conv)._conv_forward is nn.Conv2d._conv_forward
    zeros = conv.padding_mode == "zeros" and not isinstance(conv.padding, str)
    return own and zeros and (max(conv.stride) == 1 or max(conv.dilation) == 1)


WINDOWED = BackwardRule("Conv2d", {nn.Conv2d: _windowed}, {})


@dataclass(frozen=True, eq=False)
class Backprop(TargetedMethod):
    """The gradient of each unit's value by the input, where `rules` do not change the way back."""

    rules: ClassVar[tuple[BackwardRule, ...]] = ()

    def explain(self, x: torch.Tensor, units: Sequence[int] = (), target: int | None = None) -> torch.Tensor:
        """Return gradients (U, C, H, W), or for a class (1, C, H, W)."""
        with set_gradients(), apply_rules(self.module, (*self.rules, WINDOWED)):
            leaf = detached_input(x).requires_grad_()
            seen = self._forward(leaf.clone())  # the network may write over its input
            values = self._objective(seen, units, target)(seen)[0]
            nodes = autograd_nodes(values, leaf, self.kind)
            check_rules(self.kind, self.module, leaf.clone(), self.rules, nodes)
            return gradients(values, leaf, seen.largest)[:, 0]


def autograd_nodes(values: torch.Tensor, leaf: torch.Tensor, kind: str) -> list[Node]:
    """Collect all steps of autograd before these values. Raises ModelError if the input is not among them."""
    nodes: dict[Node, None] = {}
    ahead = [values.grad_fn]
    while ahead:
        node = ahead.pop()
        if node is not None and node not in nodes:
            nodes[node] = None
            ahead += [before for before, _ in node.next_functions]
    if not any(getattr(node, "variable", None) is leaf for node in nodes):
        raise ModelError(f"{kind} needs a way back to the input; the forward pass has none, or cuts it (detach, no_grad)")
    return list(nodes)


def gradients(values: torch.Tensor, leaf: torch.Tensor, largest: int) -> torch.Tensor:
    """Return the gradients of values (U,) by the input, (U, *leaf.shape), as many in one go as memory allows.

    `largest` is the number of values in the largest tensor on the way.
    """
    seeds = torch.eye(len(values), dtype=values.dtype, device=values.device)
    found = leaf.new_empty(len(values), *leaf.shape)
    together = max(1, MOST_VALUES // largest)
    for part, seed in zip(found.split(together), seeds.split(together), strict=True):
        part.copy_(_batched_gradients(values, leaf, seed))
    return found


def _batched_gradients(values: torch.Tensor, leaf: torch.Tensor, seeds: torch.Tensor) -> torch.Tensor:
    def back(seed: torch.Tensor) -> torch.Tensor:
        return torch.autograd.grad(values, leaf, seed, retain_graph=True)[0]

    try:
        return torch.func.vmap(back)(seeds)  # on LeNet twice as fast as is_grads_batched
    except RuntimeError:  # a step that has no batched way back, or too little memory
        return torch.stack([back(seed) for seed in seeds])

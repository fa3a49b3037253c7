"""Go back from units to the input: all units of a layer in one go, by the gradient or by other rules."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, TypeAlias, cast

import torch
from torch import fx, nn
from torch.autograd.graph import Node
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from livecnn.errors import ModelError
from livecnn.explain.base import TargetedMethod, detached_input, set_gradients
from livecnn.networks.inspection.tracing import FunctionTrace

MOST_VALUES = 1 << 22  # of one step on the way back, of all units that go together: 16 MiB
Size = tuple[int, int]


Call: TypeAlias = Callable[[Callable[..., Any], Sequence[Any], Mapping[str, Any]], torch.Tensor | None]


@dataclass(frozen=True)
class BackwardRule:
    """A rule by which some functions, or kinds of modules, compute in another way."""

    name: str  # for messages
    # by function of torch, which modules call, too, what replaces it, called with it and its arguments; gives None to leave it
    calls: Mapping[Callable[..., Any], Call]
    # by kind of module, a function of the module and its input
    forwards: Mapping[type[nn.Module], Callable[[Any, torch.Tensor], torch.Tensor]]
    # names of autograd's nodes of what the rule is about, and the saved bound that has to be 0, or ""
    nodes: Mapping[str, str]

    def forward_of(self, module: nn.Module) -> Callable[[torch.Tensor], torch.Tensor] | None:
        """Return what replaces the module's forward, if anything does."""
        own = (forward for kind, forward in self.forwards.items() if type(module).forward is kind.forward)
        return next((partial(forward, module) for forward in own), None)

    def misses(self, node: Node | None) -> bool:
        """Return whether a step that this rule is about was left to the gradient."""
        bound = None if node is None else self.nodes.get(node.name())
        return bound is not None and (not bound or getattr(node, f"_saved_{bound}") == 0)


class _RuledFunctions(TorchFunctionMode):
    """Inside the `with`, functions of torch compute by the rules."""

    def __init__(self, rules: Sequence[BackwardRule]) -> None:
        super().__init__()
        self._calls = {function: call for rule in rules for function, call in rule.calls.items()}

    def __torch_function__(
        self, func: Callable[..., Any], _types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        call, keywords = self._calls.get(func), kwargs or {}
        x = args[0] if args else keywords.get("input")
        output = call(func, args, keywords) if call is not None and isinstance(x, torch.Tensor) else None
        return func(*args, **keywords) if output is None else output


@contextmanager
def apply_rules(module: nn.Module, rules: Sequence[BackwardRule]) -> Iterator[None]:
    """Let the network compute by the rules inside the `with`."""
    with ExitStack() as restore, _RuledFunctions(rules):
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
    """Raise ModelError if a node on the way back is one that a rule is about, but could not change."""
    for rule in rules:
        missed = next(filter(rule.misses, nodes), None)
        if missed is not None:
            function = _first_function(module, x, rule)
            where = f"{function!r} in the forward pass" if function else f"found {missed.name()} on the way back"
            raise ModelError(f"{kind} cannot change the way back through {rule.name}: {where}")


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
    """min(max(x, 0), high); back go only positive values, and only where x lies between the two."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: torch.Tensor, high: float) -> torch.Tensor:
        return x.clamp_min(0) if high == math.inf else x.clamp(0, high)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[torch.Tensor, float], output: torch.Tensor) -> None:
        ctx.high = inputs[1]
        ctx.save_for_backward(output)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        (output,) = ctx.saved_tensors
        back: torch.Tensor = torch.ops.aten.threshold_backward(gradient.clamp_min(0), output, 0)
        return (back if ctx.high == math.inf else back * (output < ctx.high)), None


class _Deconvolved(_Guided):
    """The same; back go only positive values, wherever x lies."""

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[torch.Tensor, float], output: torch.Tensor) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:  # noqa: ARG004
        return gradient.clamp_min(0), None


_PLAIN = (functional.relu, torch.relu, torch.relu_, torch.Tensor.relu, torch.Tensor.relu_)
_CLAMPS = (torch.clamp, torch.clamp_min, torch.Tensor.clamp, torch.Tensor.clamp_min, torch.clip, torch.Tensor.clip)
# Arguments of functions that are ReLUs for some of them, after the first.
_ARGUMENTS: dict[Callable[..., Any], tuple[str, ...]] = {
    **dict.fromkeys(_PLAIN, ("inplace",)),
    **dict.fromkeys(_CLAMPS, ("min", "max")),
    functional.relu6: ("inplace",),
    functional.hardtanh: ("min_val", "max_val", "inplace"),
    functional.threshold: ("threshold", "value", "inplace"),
}


def _relu(
    function: type[torch.autograd.Function], func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> torch.Tensor | None:
    """Compute what is a ReLU, with an upper end or without; None for clamps with other ends."""
    given = {**dict(zip(("input", *_ARGUMENTS[func]), args, strict=False)), **kwargs}
    low, high = _ends(func, given)
    if not (isinstance(low, int | float) and low == 0 and isinstance(high, int | float)):  # tensors, too, may be ends
        return None
    x: torch.Tensor = given["input"]
    output: torch.Tensor = function.apply(x, high)
    return x.copy_(output) if given.get("inplace") or func in (torch.relu_, torch.Tensor.relu_) else output


def _ends(func: Callable[..., Any], given: Mapping[str, Any]) -> tuple[Any, Any]:
    """Return between which values a function hands its input on."""
    if func is functional.relu6:
        return 0, 6.0
    if func is functional.hardtanh:
        return given.get("min_val", -1.0), given.get("max_val", 1.0)
    if func is functional.threshold:
        return (given["threshold"] or given["value"]), math.inf
    if func in _CLAMPS:
        return given.get("min"), math.inf if given.get("max") is None else given["max"]
    return 0, math.inf


def _spread(func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> torch.Tensor | None:
    """Compute a maximum pooling whose gradient is that of the mean; None where windows have gaps, or indices are wanted."""
    names = ("input", "kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices")
    given = {**dict(zip(names, args, strict=False)), **kwargs}
    if given.get("dilation", 1) not in (1, (1, 1), [1, 1]) or given.get("return_indices"):
        return None
    mean = functional.avg_pool2d(
        given["input"], given["kernel_size"], given.get("stride"), given.get("padding", 0), given.get("ceil_mode", False), False
    )
    return _as_if(func(*args, **kwargs), mean)


def _spread_adaptive(func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> torch.Tensor | None:
    given = {**dict(zip(("input", "output_size", "return_indices"), args, strict=False)), **kwargs}
    if given.get("return_indices"):
        return None
    return _as_if(func(*args, **kwargs), functional.adaptive_avg_pool2d(given["input"], given["output_size"]))


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

GUIDED = BackwardRule("a ReLU", dict.fromkeys(_ARGUMENTS, partial(_relu, _Guided)), {}, _RELUS)
DECONVOLVED = BackwardRule("a ReLU", dict.fromkeys(_ARGUMENTS, partial(_relu, _Deconvolved)), {}, _RELUS)
SPREAD = BackwardRule(
    "a maximum pooling",
    {
        functional.max_pool2d: _spread,
        torch.max_pool2d: _spread,
        functional.adaptive_max_pool2d: _spread_adaptive,
    },
    {},
    _POOLINGS,
)


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


WINDOWED = BackwardRule("a convolution", {}, {nn.Conv2d: _windowed}, {})


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

"""What the steps of a forward pass give, under a name each: the modules, and by torch.fx the functions between them."""

from __future__ import annotations

import copy
import dataclasses
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from threading import Lock, get_ident
from typing import Any, NamedTuple, TypeVar

import torch
from torch import fx, nn

from livecnn.errors import ModelError

T = TypeVar("T")

_TRACING = Lock()  # while torch.fx traces, it changes what a call of any module in any thread means


class TensorPath(NamedTuple):
    """Which tensor: of which step, of which of its calls in one pass (from 1), at which place in what it returned."""

    name: str
    call: int = 1
    part: str = ""


def locate(names: Collection[str], key: str) -> TensorPath | None:
    """Where `key` leads: "relu" (first call, first tensor), "relu:2", "lstm.1.0", "lstm:2.0"; None if to none of the names."""
    head, part = key, ""
    while head not in names:
        name, _, call = head.rpartition(":")
        if name in names and call.isdecimal() and int(call) > 0:
            return TensorPath(name, int(call), part)
        head, _, tail = head.rpartition(".")
        if not head:
            return None
        part = f"{tail}.{part}" if part else tail
    return TensorPath(head, 1, part)


def key_of(place: TensorPath) -> str:
    """Return the key that leads there."""
    called = place.name if place.call == 1 else f"{place.name}:{place.call}"
    return f"{called}.{place.part}" if place.part else called


def parts(output: Any, kind: type[T]) -> dict[str, T]:
    """Everything of a kind in what a step returned, by its place: "0", "1.0", "logits"; "" for what stands alone."""
    if isinstance(output, kind):
        return {"": output}
    items: Any = ()
    if isinstance(output, Mapping):
        items = output.items()
    elif isinstance(output, (tuple, list)):
        items = enumerate(output)
    elif dataclasses.is_dataclass(output):
        items = vars(output).items()
    return {f"{key}.{inner}".rstrip("."): value for key, item in items for inner, value in parts(item, kind).items()}


def pick(output: Any, part: str, kind: type[T]) -> T | None:
    """Return what stands at a place in what a step returned; the first of its kind for ""."""
    found = parts(output, kind)
    return found.get(part) if part else next(iter(found.values()), None)


class ReplaceOutputHook:
    """A forward hook that replaces what a module gives; in a traced pass as well, which goes through the module step by step."""

    def __init__(self, change: Callable[[Any], Any]) -> None:
        self._change = change

    def __call__(self, _module: nn.Module | None, _inputs: object, output: Any) -> Any:
        if isinstance(output, fx.Proxy):  # the pass is being traced: a step that does it later
            return output.tracer.create_proxy("call_function", self, (None, (), output), {}, name="change")
        return self._change(output)


def modes(module: nn.Module) -> list[tuple[bool, list[ReplaceOutputHook]]]:
    """Of every module: training or evaluation, and what changes its output; a traced pass is that of one mode."""
    return [
        (inner.training, [hook for hook in inner._forward_hooks.values() if isinstance(hook, ReplaceOutputHook)])
        for inner in module.modules()
    ]


class FunctionTrace(fx.Tracer):
    """A forward pass as a graph over the same parameters; its steps are the modules' and the functions' calls.

    functions: step by name, as torch.fx gives them: "relu", "relu_1", "add", "flatten". A module's name comes first.
    Raises ModelError where the forward pass is no fixed graph, as with control flow that depends on the data.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.modes = modes(module)
        self._returned: dict[str, Any] = {}  # by key without a part
        self._calls: Counter[str] = Counter()
        self._thread = get_ident()
        # Constants of the pass become attributes of what is traced: of a copy, over the same parameters.
        try:
            with _TRACING:
                self.trace(copy.copy(module))
        except Exception as error:  # whatever a forward pass does with what is no tensor
            reason = str(error).partition("\n")[0]
            raise ModelError(f"torch.fx cannot trace the functions in it: {type(error).__name__}: {reason}") from error
        modules = dict(module.named_modules())
        steps = [node for node in self.graph.nodes if node.op in ("call_function", "call_method")]
        steps = [node for node in steps if node.name not in modules and not isinstance(node.target, ReplaceOutputHook)]
        self.functions: dict[str, fx.Node] = {node.name: node for node in steps}

    @property
    def offered(self) -> list[str]:
        """Keys of all calls of modules and functions, without parts."""
        return [*self._returned, *self.functions]

    def create_args_for_root(
        self,
        root_fn: Callable[..., Any],  # noqa: ARG002
        is_module: bool,  # noqa: ARG002
        concrete_args: Any = None,  # noqa: ARG002
    ) -> tuple[Any, list[Any]]:
        """Take the first argument as the input; all others keep their defaults, as in a call with the input alone."""
        root = self.root
        assert isinstance(root, nn.Module)
        return root.forward, [self.create_proxy("placeholder", "input", (), {})]

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: dict[str, fx.Proxy]) -> Any:
        return super().getattr(attr, attr_val, parameter_proxy_cache) if get_ident() == self._thread else attr_val

    def call_module(self, m: nn.Module, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if get_ident() != self._thread:
            return forward(*args, **kwargs)  # a network that runs meanwhile
        output = super().call_module(m, forward, args, kwargs)
        name = self.path_of_module(m)
        self._calls[name] += 1
        self._returned[key_of(TensorPath(name, self._calls[name]))] = output
        return output

    def step(self, place: TensorPath) -> tuple[fx.Node, str] | None:
        """Return the node that gives what `place` means, and the part of its output; None if there is none."""
        if place.name in self.functions:
            return (self.functions[place.name], place.part) if place.call == 1 else None
        returned = self._returned.get(key_of(place._replace(part="")))
        if isinstance(returned, fx.Proxy):
            return returned.node, place.part
        proxy = pick(returned, place.part, fx.Proxy)  # a module that was traced through may well return several
        return None if proxy is None else (proxy.node, "")

    def run(self, x: torch.Tensor, take: Mapping[fx.Node, Callable[[Any], None]]) -> Any:
        """One pass; `take` is told what its nodes give. Returns what the network returns."""
        assert isinstance(self.root, nn.Module)
        self.root.forward = _Steps(self.root, self.graph, take).run
        return self.root(x)  # with the network's own hooks


class _Steps(fx.Interpreter):
    def __init__(self, module: nn.Module, graph: fx.Graph, take: Mapping[fx.Node, Callable[[Any], None]]) -> None:
        super().__init__(module, graph=graph)
        self.extra_traceback = False  # an error of the network keeps its own words
        self._wanted = take

    def run_node(self, n: fx.Node) -> Any:
        output = super().run_node(n)
        if n in self._wanted:
            self._wanted[n](output)
        return output

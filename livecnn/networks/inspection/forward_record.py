"""One forward pass, call by call: every layer, and every function between layers, with what fed it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from operator import getitem
from typing import Any

import torch
from torch import fx, nn
from torch.overrides import TorchFunctionMode

from livecnn.networks.inspection.tracing import FunctionTrace, TensorPath, key_of, parts

Shape = tuple[int, ...]
PICTURE = -1  # in place of a call's number: the network's input
OPERATORS = ("add", "sub", "mul", "div", "truediv", "pow")  # which come as __radd__ and __iadd__, too


@dataclass(frozen=True, eq=False)
class FunctionCall:
    """A layer, or a function between layers, at work.

    name: as a Probe takes it; "" of a function that no Probe can have.  module: the layer, None for a function.
    function: its name, "" for a layer.  arguments, keywords: what it was called with.  inputs: numbers of the calls that gave
    them, PICTURE for the network's input.  given: the shapes (N, …) of these inputs.  shape: of its (first) output.
    """

    name: str
    module: nn.Module | None
    function: str
    arguments: tuple[Any, ...]
    keywords: Mapping[str, Any]
    inputs: tuple[int, ...]
    given: tuple[Shape, ...]
    shape: Shape


def record(module: nn.Module, x: torch.Tensor) -> list[FunctionCall]:
    """Record the calls of a pass of x (1, C, H, W), in the order in which they end.

    A layer is a module that is made of no others, or one of torch.nn's own. Functions have names if torch.fx can trace the
    network. Mode, device and hooks stay as they are; whatever the network raises comes through.
    """
    with torch.inference_mode(False), torch.no_grad():  # in inference mode tensors would not count what is written to them
        recorder = _Recorder(x.clone())
        with recorder.hooks(module), recorder:
            module(recorder.picture)
        functions = [call for call in recorder.calls if call.module is None]
        names = iter(_names(module, x.clone(), functions) if functions else ())
    return [call if call.module else replace(call, name=next(names)) for call in recorder.calls]


def is_layer(module: nn.Module) -> bool:
    """Whether it counts as one layer: it is made of no others, or torch.nn has it."""
    return not any(module.children()) or fx.Tracer().is_leaf_module(module, "")


class _Recorder(TorchFunctionMode):
    """Tells by the identity of tensors which call gave them; all stay alive, so that none gets the identity of another."""

    def __init__(self, picture: torch.Tensor) -> None:
        super().__init__()
        self.picture = picture
        self.calls: list[FunctionCall] = []
        self._givers = {id(picture): PICTURE}
        self._alive: list[Any] = []
        self._open: list[dict[int, int]] = []  # of each layer at work: how often its inputs were written to
        self._ran: Counter[str] = Counter()

    def hooks(self, module: nn.Module) -> ExitStack:
        with ExitStack() as hooks:
            for name, inner in module.named_modules():
                if name and is_layer(inner):
                    hooks.callback(inner.register_forward_pre_hook(self._enter, with_kwargs=True).remove)
                    hooks.callback(inner.register_forward_hook(partial(self._leave, name), with_kwargs=True).remove)
            return hooks.pop_all()

    def __torch_function__(
        self, func: Callable[..., Any], _types: Iterable[type], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        keywords = kwargs or {}
        if self._open:
            return func(*args, **keywords)
        writes = _writes(args, keywords)
        output = func(*args, **keywords)
        if not any(tensor in self._givers for tensor in writes):
            return output  # of constants
        return self._note(FunctionCall("", None, _word(func), args, keywords, (), (), ()), writes, output)

    def _enter(self, _module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._open.append({})
        self._open[-1].update(_writes(args, kwargs))

    def _leave(self, name: str, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> Any:
        self._ran[name] += 1
        if len(self._open) == 1:
            key = key_of(TensorPath(name, self._ran[name]))
            output = self._note(FunctionCall(key, module, "", args, kwargs, (), (), ()), self._open[-1], output)
        self._open.pop()
        return output

    def _note(self, call: FunctionCall, writes: Mapping[int, int], output: Any) -> Any:
        """Keep the call; returns its output, in a tensor of its own where it hands on what it was given."""
        tensors = parts((call.arguments, call.keywords), torch.Tensor).values()
        inputs = [tensor for tensor in tensors if id(tensor) in self._givers]
        if isinstance(output, torch.Tensor) and writes.get(id(output)) == output._version:
            output = output.view_as(output)
        outputs = list(parts(output, torch.Tensor).values())
        if outputs:
            numbers = tuple(dict.fromkeys(self._givers[id(tensor)] for tensor in inputs))
            given = tuple(tuple(tensor.shape) for tensor in inputs)
            self.calls.append(replace(call, inputs=numbers, given=given, shape=tuple(outputs[0].shape)))
            self._givers.update((id(tensor), len(self.calls) - 1) for tensor in outputs)
            self._alive.append(outputs)
        return output


def _writes(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[int, int]:
    return {id(tensor): tensor._version for tensor in parts((args, kwargs), torch.Tensor).values()}


def _word(function: Callable[..., Any]) -> str:
    """Return the name of a function: "add" of torch.add, Tensor.add_, `+` and `+=`; "T" of what is an attribute."""
    name = getattr(function, "__name__", "")
    if name == "__get__":
        return str(getattr(function.__self__, "__name__", ""))  # type: ignore[attr-defined]
    word: str = name.strip("_")
    return word[1:] if word[1:] in OPERATORS else word


def _names(module: nn.Module, x: torch.Tensor, functions: list[FunctionCall]) -> list[str]:
    """Return the names that torch.fx gives them; "" where it has none, as where its way through the network is another."""
    try:
        found = _traced(module, x)
    except Exception:  # it cannot be traced, or not as it runs
        found = []
    same = [shape for _, shape in found] == [call.shape for call in functions]
    return [name for name, _ in found] if same else [""] * len(functions)


def _traced(module: nn.Module, x: torch.Tensor) -> list[tuple[str, Shape]]:
    """Name and output shape of the functions between layers that work on what comes of the picture."""
    trace = FunctionTrace(module)
    layers = {name for name, inner in module.named_modules(remove_duplicate=False) if name and is_layer(inner)}
    outputs: dict[fx.Node, Any] = {}
    trace.run(x, {node: partial(outputs.__setitem__, node) for node in trace.graph.nodes})
    flowing: set[fx.Node] = set()
    found = []
    for node in trace.graph.nodes:
        within = {path for path, _ in node.meta.get("nn_module_stack", {}).values()} & layers
        tensors = list(parts(outputs[node], torch.Tensor).values())
        if node.op in ("placeholder", "call_module") or within:
            flowing.add(node)
        elif node.op in ("call_function", "call_method") and tensors and flowing.intersection(node.all_input_nodes):
            flowing.add(node)
            if node.target is not getitem or isinstance(outputs[node.args[0]], torch.Tensor):  # else it takes one of several
                found.append((node.name if node.name in trace.functions else "", tuple(tensors[0].shape)))
    return found

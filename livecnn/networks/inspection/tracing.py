"""The steps of a forward pass: every layer and every function between layers, by name, with what it gives and what fed it."""

import copy
import dataclasses
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from operator import getitem
from threading import Lock, get_ident
from typing import Any, NamedTuple, TypeVar

import torch
from torch import fx, nn
from torch.overrides import TorchFunctionMode

from livecnn.errors import ModelError

T = TypeVar("T")

_TRACING = Lock()  # while torch.fx traces, it changes what a call of any module in any thread means
Shape = tuple[int, ...]
PICTURE = -1  # in place of a call's number: the network's input
OPERATORS = ("add", "sub", "mul", "div", "truediv", "pow")  # which come as __radd__ and __iadd__, too


class TensorPath(NamedTuple):
    """Which tensor: of which step, of which of its calls in one pass (from 1), at which place in what it returned."""

    name: str
    call: int = 1
    part: str = ""


def locate(names: Collection[str], key: str) -> TensorPath | None:
    """Return the path of `key`: "relu" (first call, first tensor), "relu:2", "lstm.1.0", "lstm:2.0"; None if there is none."""
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
    return [call if call.module is not None else replace(call, name=next(names)) for call in recorder.calls]


def is_layer(module: nn.Module) -> bool:
    """Return whether a module counts as one layer: it is made of no others, or torch.nn has it."""
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

"""Scores and activations of a network, through hooks that live exactly as long as a `with`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from functools import partial
from types import TracebackType
from typing import Any

import torch
from torch import fx, nn
from torch.nn.parameter import is_lazy

from livecnn.errors import ModelError, nearest
from livecnn.networks.inspection.tracing import FunctionTrace, TensorPath, key_of, locate, modes, parts, pick
from livecnn.types import Floats

Wanted = list[tuple[str, str]]  # of one step's output: the layer as it was asked for, the part


class LayerHooks:
    """Forward hooks on layers of a network that hand on every output before a later step can write over it.

    For the names of layers see Probe. A network with a mapping `blobs` (layer -> the layer that overwrites its blob, Caffe's way)
    gives the overwritten value under the layer's name, as Caffe's blob holds it. Only if a layer is no module the network is
    traced, and then goes step by step.

    Args:
        module: The network.
        layers: Names of layers.
        take: Is called with a layer and its output.
        output: Name of the scores among several outputs, see `find_scores`.

    Raises:
        ModelError: A layer is unknown, did not run, or gave no tensor.
    """

    def __init__(
        self, module: nn.Module, layers: Iterable[str], take: Callable[[str, torch.Tensor], None], output: str = ""
    ) -> None:
        self.module, self._output = module, output
        self.layers = tuple(dict.fromkeys(layers))
        self._take = take
        self._modules = {name: inner for name, inner in module.named_modules(remove_duplicate=False) if name}
        self._trace: FunctionTrace | None = None
        blobs: Mapping[str, str] = getattr(module, "blobs", {})
        self._places = {layer: self._locate(layer, blobs.get(layer, layer)) for layer in self.layers}
        self._ran: set[str] = set()
        self._calls: dict[str, int] = {}
        self._hooks = ExitStack()
        self._inside = False

    def __enter__(self) -> LayerHooks:
        self._hooks.close()
        with ExitStack() as hooks:
            for name, wanted in self._by_module().items() if self._trace is None else ():
                handle = self._modules[name].register_forward_hook(partial(self._hook, name, wanted))
                hooks.callback(handle.remove)
            self._hooks = hooks.pop_all()
        self._inside = True
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self._hooks.close()
        self._inside = False

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Run a forward pass without gradients and return the network's scores, see `find_scores`."""
        # In inference mode tensors would not count what is written to them.
        with torch.inference_mode(False), torch.no_grad():
            return self.run(x)

    def run(self, x: torch.Tensor) -> torch.Tensor:
        """Run a forward pass with gradients where they are recorded, and return the scores."""
        self._ran.clear()
        self._calls.clear()
        x = as_input(self.module, x)
        output = self.module(x) if self._trace is None or not self._inside else self._step_by_step(self._trace, x)
        for layer in self.layers:
            if layer not in self._ran:
                raise self._did_not_run(layer)
        return find_scores(output, self._output)

    def _locate(self, layer: str, blob: str) -> TensorPath:
        place = locate(self._modules, blob)
        if place is not None:
            return place
        if self._trace is None:
            try:
                self._trace = FunctionTrace(self.module)
            except ModelError as error:
                raise ModelError(f"unknown layer {layer!r}; {nearest(layer, self._modules)}; {error}") from error
        place = locate(self._trace.functions, blob)
        if place is None or self._trace.step(place) is None:
            raise ModelError(f"unknown layer {layer!r}; {nearest(layer, dict.fromkeys([*self._modules, *self._trace.offered]))}")
        return place

    def _by_module(self) -> dict[str, dict[int, Wanted]]:
        """By module and call, what is wanted of it."""
        wanted: dict[str, dict[int, Wanted]] = {}
        for layer, place in self._places.items():
            wanted.setdefault(place.name, {}).setdefault(place.call, []).append((layer, place.part))
        return wanted

    def _hook(self, name: str, wanted: Mapping[int, Wanted], _module: nn.Module, _inputs: object, output: object) -> None:
        self._calls[name] = call = self._calls.get(name, 0) + 1
        if call in wanted:
            self._give(wanted[call], output)

    def _give(self, wanted: Wanted, output: object) -> None:
        for layer, part in wanted:
            tensor = output if isinstance(output, torch.Tensor) and not part else pick(output, part, torch.Tensor)
            if tensor is None:
                raise _no_tensor(layer, part, output)
            self._ran.add(layer)
            self._take(layer, tensor)

    def _step_by_step(self, trace: FunctionTrace, x: torch.Tensor) -> Any:
        if trace.modes != modes(self.module):  # which are part of a trace
            self._trace = trace = FunctionTrace(self.module)
        wanted: dict[fx.Node, Wanted] = {}
        for layer, place in self._places.items():
            step = trace.step(place)
            if step is not None:
                wanted.setdefault(step[0], []).append((layer, step[1]))
        return trace.run(x, {node: partial(self._give, layers) for node, layers in wanted.items()})

    def _did_not_run(self, layer: str) -> ModelError:
        name, call, _ = self._places[layer]
        if 0 < self._calls.get(name, 0) < call:
            return ModelError(f"layer {layer!r} did not run: {name!r} runs {self._calls[name]} times in a pass")
        return ModelError(f"layer {layer!r} did not run; is it part of the forward pass, and the probe inside its `with`?")


def _no_tensor(layer: str, part: str, output: object) -> ModelError:
    found = parts(output, torch.Tensor)
    if not found or not part:
        return ModelError(f"layer {layer!r} gave a {type(output).__name__}; a tensor is needed")
    step = layer.removesuffix(f".{part}")
    return ModelError(f"unknown layer {layer!r}; {nearest(layer, [step, *(f'{step}.{place}' for place in found if place)])}")


class Probe:
    """Get the scores and chosen activations of a network, with hooks that live exactly as long as a `with`.

    A call of the probe takes x (N, C, H, W) and returns the scores and a dict from layers to activations (N, …). The scores are
    what the network returns; of several tensors the first of shape (N, classes).

    Gradients are not recorded. Training or evaluation mode is left as it is, inside and afterwards; call `model.eval()` first for
    a network that normalizes by batch or drops units. An activation is copied where a later step of the network writes over it
    (`nn.ReLU(inplace=True)`, `x += y`), so it is what the layer gave. For `blobs` see LayerHooks.

    Args:
        module: The network.
        layers: Names, as `layers_of` lists them. "block.conv1" is a module by its name in `named_modules`, in its first call of a
            pass; "relu:2" is its second call. Of a module that gives a tuple or a dict, "lstm" is the first tensor, and "lstm.0",
            "lstm.1.0", "head.logits" are those at their places. Any other name is that of a function in the forward pass, as
            torch.fx gives it: "relu_1", "add", "flatten"; then the network is traced, and runs function by function.
        output: The scores among several outputs: "1", "logits"; by default the first of shape (N, classes).

    Raises:
        ModelError: A layer is unknown; in a call: a layer did not run, or gave no tensor.

    Example:
        >>> import livecnn
        >>> net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 10))
        >>> with livecnn.Probe(net, ["0", "1"]) as probe:
        ...     scores, activations = probe(torch.zeros(2, 1, 8, 8))
        >>> tuple(scores.shape), {layer: tuple(each.shape) for layer, each in activations.items()}
        ((2, 10), {'0': (2, 4, 6, 6), '1': (2, 4, 6, 6)})
    """

    def __init__(self, module: nn.Module, layers: Iterable[str], output: str = "") -> None:
        self._tap = LayerHooks(module, layers, self._keep, output)
        self._kept: dict[str, torch.Tensor] = {}
        # Copying costs. The first pass copies everything and tells which outputs are overwritten; later ones copy only those.
        self._overwritten: set[str] | None = None
        self._given: dict[str, tuple[torch.Tensor, float]] = {}

    def __enter__(self) -> Probe:
        self._tap.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self._tap.__exit__(kind, value, trace)
        self._kept = {}

    def __call__(self, x: torch.Tensor) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Run one forward pass and return the scores and the activations by layer."""
        self._kept = {}
        scores = self._tap(x)
        if self._overwritten is None:
            self._overwritten = {layer for layer, (output, writes) in self._given.items() if _writes(output) != writes}
            self._given = {}
        return scores, self._kept

    def _keep(self, layer: str, output: torch.Tensor) -> None:
        if self._overwritten is None:
            self._given[layer] = output, _writes(output)
        copied = self._overwritten is None or layer in self._overwritten
        self._kept[layer] = output.clone() if copied else output


def _writes(tensor: torch.Tensor) -> float:
    """Return how often something was written in place; not equal to itself where torch does not count, so that a copy is kept."""
    return math.nan if tensor.is_inference() else tensor._version


def as_input(module: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """Return an input in the type of numbers of the network's weights, such as float64 or float16."""
    weights = (tensor for tensor in module.parameters() if not is_lazy(tensor) and tensor.is_floating_point())
    first = next(weights, x)
    return x.to(first.dtype) if x.is_floating_point() else x


def find_scores(output: object, name: str = "") -> torch.Tensor:
    """Return a network's scores (N, classes), see `score_tensors`: those of that name, by default the first.

    Where nothing has scores it is the first tensor of all, such as maps (N, K, H, W). Raises ModelError if there is no tensor, or
    none of that name.
    """
    found = score_tensors(output) if not name else {}
    everything = parts(output, torch.Tensor)
    if name:
        found = {part: score_tensors(tensor).get("", tensor) for part, tensor in everything.items() if part == name}
        if not found:
            raise ModelError(f"unknown output {name!r}; {nearest(name, everything)}")
    scores = next(iter(found.values()), None)
    if scores is None:
        scores = next((tensor for tensor in everything.values() if tensor.ndim > 1), None)
    if scores is None:
        raise ModelError(f"the network returns a {type(output).__name__} without a tensor (N, …); one is needed")
    return scores


def score_tensors(output: object) -> dict[str, torch.Tensor]:
    """Return what a network gives in the shape of scores (N, classes), by its place: "" alone, "0", "logits".

    Also (N, classes, 1, 1), and, if there is nothing else, (classes,) of a network that drops the axis of the batch.
    """
    found = parts(output, torch.Tensor)
    flat = {part: tensor.flatten(1) for part, tensor in found.items() if tensor.ndim >= 2 and math.prod(tensor.shape[2:]) == 1}
    return flat or {part: tensor[None] for part, tensor in found.items() if tensor.ndim == 1}


def layers_of(module: nn.Module, x: torch.Tensor) -> dict[str, tuple[int, ...]]:
    """List the layers of a network that a Probe takes, by one forward pass.

    Mode, device and hooks stay as they are; whatever the network raises comes through.

    Args:
        module: The network.
        x: Input (N, C, H, W) on the network's device.

    Returns:
        Shape (N, …) of each output by its name: modules in the order in which they finish, then functions, if the network can be
        traced. What does not run, or has no batch axis, is left out.

    Example:
        >>> import livecnn
        >>> livecnn.layers_of(nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU()), torch.zeros(1, 1, 8, 8))
        {'0': (1, 4, 6, 6), '1': (1, 4, 6, 6)}
    """
    return {**run_and_shapes(module, x)[1], **function_shapes(module, x)}


def run_and_shapes(
    module: nn.Module, x: torch.Tensor, run: Callable[[torch.Tensor], Any] | None = None
) -> tuple[Any, dict[str, tuple[int, ...]]]:
    """One pass: what the network returned, and the shapes that `layers_of` tells of its modules.

    run: makes the pass; by default the network itself, without gradients.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    modules = {name: inner for name, inner in module.named_modules() if name and not isinstance(inner, torch.jit.ScriptModule)}
    calls = dict.fromkeys(modules, 0)

    def note(name: str, _module: nn.Module, _inputs: object, output: object) -> None:
        calls[name] += 1
        found = _shapes(TensorPath(name, calls[name]), output)
        shapes.update((key, shape) for key, shape in found.items() if key == name or key not in modules)

    with ExitStack() as hooks:
        for name, inner in modules.items():
            hooks.callback(inner.register_forward_hook(partial(note, name)).remove)
        if run is not None:
            return run(x), shapes
        with torch.no_grad():
            return module(x), shapes


def function_shapes(module: nn.Module, x: torch.Tensor) -> dict[str, tuple[int, ...]]:
    """Return the shapes that `layers_of` lists for functions; {} where the network cannot be traced."""
    try:
        trace = FunctionTrace(module)
    except ModelError:
        return {}
    shapes: dict[str, tuple[int, ...]] = {}
    take = {
        node: (lambda output, name=name: shapes.update(_shapes(TensorPath(name), output)))
        for name, node in trace.functions.items()
    }
    with torch.no_grad():
        trace.run(x, take)
    return shapes


def _shapes(place: TensorPath, output: object) -> dict[str, tuple[int, ...]]:
    """By key; the first tensor stands under the key without a part, too."""
    found = {part: tuple(tensor.shape) for part, tensor in parts(output, torch.Tensor).items() if tensor.ndim >= 2}
    if found:
        found = {"": next(iter(found.values())), **found}
    return {key_of(place._replace(part=part)): shape for part, shape in found.items()}


def class_weights(module: nn.Module, units: int, classes: int) -> torch.Tensor | None:
    """Weights (classes, units) from the units of the last hidden layer to the classes; None if no such layer feeds them."""
    weights = [getattr(inner, "weight", None) for inner in module.modules()]
    fitting = [weight for weight in weights if isinstance(weight, torch.Tensor) and weight.shape == (classes, units)]
    return fitting[-1].detach() if fitting else None


def weight_norms(module: nn.Module, layer: str) -> Floats | None:
    """float32 (units,): the L2 norm of the weights that lead to each unit of a layer; None of a layer without weights."""
    inner = dict(module.named_modules()).get(layer)
    found = None if inner is None else next((found for each in inner.modules() if (found := _by_unit(each)) is not None), None)
    if found is None:
        return None
    norms: Floats = found.detach().float().flatten(1).norm(dim=1).cpu().numpy()
    return norms


def _by_unit(inner: nn.Module) -> torch.Tensor | None:
    """Return a layer's weights with the axis of its units first; Keras has it last."""
    weight, kernel = getattr(inner, "weight", None), dict(inner.named_parameters(recurse=False)).get("kernel")
    if isinstance(weight, torch.Tensor) and weight.ndim >= 2:
        return weight.movedim(1, 0) if isinstance(inner, nn.ConvTranspose2d) else weight
    return None if kernel is None or kernel.ndim < 2 else kernel.movedim(-1, 0)

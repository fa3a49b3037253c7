"""Forward hooks that live exactly as long as a `with`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from functools import partial
from types import TracebackType

import torch
from torch import nn

from livecnn.errors import ModelError, nearest


class Tap:
    """Forward hooks on layers of a network: `take(layer, output)` gets every output before a later step can write over it.

    A network with a mapping `blobs` (layer -> the layer that overwrites its blob, Caffe's way) gives the overwritten value under
    the layer's name, as Caffe's blob holds it. Raises ModelError for an unknown layer, or one that did not run or gave
    something else than a tensor.
    """

    def __init__(self, module: nn.Module, layers: Iterable[str], take: Callable[[str, torch.Tensor], None]) -> None:
        self.module = module
        self.layers = tuple(dict.fromkeys(layers))
        blobs: Mapping[str, str] = getattr(module, "blobs", {})
        self._modules = {layer: find_layer(module, blobs.get(layer, layer)) for layer in self.layers}
        self._take = take
        self._ran: set[str] = set()
        self._hooks = ExitStack()

    def __enter__(self) -> Tap:
        self._hooks.close()
        with ExitStack() as hooks:
            for layer, module in self._modules.items():
                handle = module.register_forward_hook(partial(self._hook, layer))
                hooks.callback(handle.remove)
            self._hooks = hooks.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self._hooks.close()

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """One forward pass without gradients: what the network returned."""
        self._ran.clear()
        # In inference mode tensors would not count what is written to them.
        with torch.inference_mode(False), torch.no_grad():
            output: torch.Tensor = self.module(x)
        missing = [layer for layer in self.layers if layer not in self._ran]
        if missing:
            raise ModelError(
                f"layer {missing[0]!r} did not run; is it part of the forward pass, and the probe inside its `with`?"
            )
        return output

    def _hook(self, layer: str, _module: nn.Module, _inputs: object, output: object) -> None:
        if not isinstance(output, torch.Tensor):
            raise ModelError(f"layer {layer!r} gave a {type(output).__name__}; a tensor is needed")
        self._ran.add(layer)
        self._take(layer, output)


class Probe:
    """Scores and chosen activations of a network.

        with Probe(model, ["conv1", "fc1"]) as probe:
            scores, activations = probe(x)  # x (N, C, H, W); activations: dict layer -> tensor (N, ...)

    Gradients are not recorded. Training or evaluation mode is left as it is, inside and afterwards; a network that normalises
    by batch or drops units wants `model.eval()` first. An activation is copied where a later step of the network writes over it
    (`nn.ReLU(inplace=True)`, `x += y`), so it is what the layer gave. For `blobs` and errors see Tap.
    """

    def __init__(self, module: nn.Module, layers: Iterable[str]) -> None:
        self._tap = Tap(module, layers, self._keep)
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
        """One forward pass: what the network returned, and the activations by layer."""
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
    """How often something was written in place; not equal to itself where torch does not count, so that a copy is kept."""
    return math.nan if tensor.is_inference() else tensor._version


def find_layer(module: nn.Module, name: str) -> nn.Module:
    """The sub-module of that name; raises ModelError with the nearest names."""
    named: dict[str, nn.Module] = dict(module.named_modules())
    if name and name in named:
        return named[name]
    raise ModelError(f"unknown layer {name!r}; {nearest(name, [n for n in named if n])}")


def class_weights(module: nn.Module, units: int, classes: int) -> torch.Tensor | None:
    """Weights (classes, units) from the units of the last hidden layer to the classes; None if no such layer feeds them."""
    shapes = [m for m in module.modules() if isinstance(m, nn.Linear) and m.weight.shape == (classes, units)]
    return shapes[-1].weight.detach() if shapes else None

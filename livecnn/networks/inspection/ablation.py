"""Units of a network switched off while it runs."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Any

import torch
from torch import nn

from livecnn.errors import ModelError, nearest
from livecnn.networks.inspection.tracing import FunctionTrace, ReplaceOutputHook, TensorPath, locate

Units = Collection[tuple[str, int]]  # layer as a Probe takes it, index


class Ablation:
    """Units of a network's layers switched off: what they give is 0, for all that comes after and for whoever looks.

        with Muting(model) as muting:
            muting.set({("conv1", 3), ("fc1", 20)})
            scores = model(x)

    A unit is an index on axis 1: a map of (N, C, H, W), a neuron of (N, K). Layers are modules, named as a Probe takes them: the
    first call in a pass of the network, "relu:2" the second; of a network with `blobs` (see Tap) the layer that finally writes.
    Only what a layer gives is changed, never what it was given, so a way around it carries what it always did. No gradient comes
    back through a muted unit. It also holds where a network goes step by step. Use it from the thread that runs the network.
    """

    def __init__(self, module: nn.Module) -> None:
        self._module = module
        self._modules = {name: inner for name, inner in module.named_modules(remove_duplicate=False) if name}
        self._layers: list[_Layer] = []
        self._hooks = ExitStack()
        self._inside = False

    def set(self, units: Units) -> None:
        """Mute these units in place of those before; () for none. Raises ModelError, and changes nothing, if a layer is unknown.

        A pass raises ModelError for a unit that its layer does not have, or a layer that gives no tensor (N, units, …).
        """
        numbers: dict[str, set[int]] = {}
        for layer, unit in units:
            numbers.setdefault(layer, set()).add(unit)
        self._layers = [_Layer(layer, self._locate(layer), sorted(found)) for layer, found in numbers.items()]
        if self._inside:
            self._hook()

    def __enter__(self) -> Ablation:
        self._hook()
        self._inside = True
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self._hooks.close()
        self._inside = False

    def _hook(self) -> None:
        self._hooks.close()
        with ExitStack() as hooks:
            if self._layers:
                hooks.callback(self._module.register_forward_pre_hook(self._begin, prepend=True).remove)
            for layer in self._layers:
                # Before all others, so that they see what the network goes on with.
                handle = self._modules[layer.place.name].register_forward_hook(ReplaceOutputHook(layer.mute), prepend=True)
                hooks.callback(handle.remove)
            self._hooks = hooks.pop_all()

    def _begin(self, _module: nn.Module, _inputs: object) -> None:
        for layer in self._layers:
            layer.calls = 0

    def _locate(self, layer: str) -> TensorPath:
        blobs = getattr(self._module, "blobs", {})
        place = locate(self._modules, blobs.get(layer, layer))
        if place is not None and not place.part:
            return place
        if place is None and self._is_function(layer):
            raise ModelError(f"layer {layer!r} is a function in the forward pass; only modules can be muted")
        raise ModelError(f"unknown layer {layer!r}; only whole modules can be muted; {nearest(layer, self._modules)}")

    def _is_function(self, layer: str) -> bool:
        try:
            return locate(FunctionTrace(self._module).functions, layer) is not None
        except ModelError:
            return False


class _Layer:
    """The units of one layer, and how often it has run in this pass."""

    def __init__(self, name: str, place: TensorPath, units: Sequence[int]) -> None:
        self.place = place
        self.calls = 0
        self._name, self._units = name, units
        self._index: torch.Tensor | None = None

    def mute(self, output: Any) -> Any:
        self.calls += 1
        if self.calls != self.place.call:
            return output
        if not isinstance(output, torch.Tensor) or output.ndim < 2:
            found = f"shape {tuple(output.shape)}" if isinstance(output, torch.Tensor) else type(output).__name__
            raise ModelError(f"layer {self._name!r} gave a {found}; a tensor (N, units, …) can be muted")
        count = output.shape[1]
        for unit in self._units:
            if not 0 <= unit < count:
                raise ModelError(f"unit {unit}: layer {self._name!r} has {count} (0-{count - 1})")
        # Unlike a product with a mask: NaN and infinite become 0 too, and the order of axes in memory stays.
        return output.index_fill(1, self._on(output.device), 0)

    def _on(self, device: torch.device) -> torch.Tensor:
        """Return the units there; they are kept, because a recorded pass cannot upload them."""
        if self._index is None or self._index.device != device:
            with torch.inference_mode(False):  # else no later pass could record gradients with it
                self._index = torch.tensor(self._units, device=device)
        return self._index

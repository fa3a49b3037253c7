"""Explanations of one input on one copy of a network: arrays, or a line why there are none."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from types import TracebackType
from typing import Any, TypeVar

import numpy as np
import torch
from torch import nn

from livecnn.errors import LivecnnError, ModelError, UsageError
from livecnn.explain.base import Method, detached_input, layer_gradient, set_gradients
from livecnn.explain.forward_pass import ForwardPass, activation_of, class_objective
from livecnn.explain.methods import method_class
from livecnn.explain.methods.occlusion import COARSEST, Occlusion
from livecnn.explain.results import Refused
from livecnn.networks.device import copy_sharing_weights
from livecnn.networks.inspection.ablation import Ablation
from livecnn.selection import INPUT, OUTPUT, Unit
from livecnn.types import Floats

T = TypeVar("T")

REFINEMENTS = COARSEST.bit_length()  # of occlusion: patches 8, 4, 2 strides and 1 stride apart
ENDS = {
    INPUT: Refused("the input has no units; choose a layer"),
    OUTPUT: Refused("the scores are no layer; choose one"),
}


class Contributions:
    """Contributions of a layer's units to a class's score to first order: the sum over positions of a ds/da.

    Here a are a unit's activations, and s is the score before a softmax. One pass forward and one back serve all units. Where the
    score is linear in the layer, as after the last hidden one, they sum up to the score without the bias.
    """

    def __init__(self, module: nn.Module, layer: str) -> None:
        self._layer = layer
        self._forward = ForwardPass(module, layer)

    def of(self, x: torch.Tensor, target: int) -> tuple[torch.Tensor, float]:
        """Return what each unit adds, (units,), and the score, for x (1, C, H, W). Raises UsageError, ModelError."""
        with set_gradients():
            seen = self._forward(detached_input(x).requires_grad_().clone())
            activation = activation_of(seen, (), self._layer)
            score = class_objective(seen, target)(seen).sum()
            slopes = layer_gradient(seen, score, "contributions need", self._layer)
        products = activation.detach()[0] * slopes[0]
        return products.flatten(1).sum(1) if products.ndim > 1 else products, score.item()


def copy_to_explain(module: nn.Module) -> nn.Module:
    """Copy the network over the same weights: one that explains must run nothing else. Raises ModelError."""
    try:
        return copy_sharing_weights(module)
    except Exception as error:  # whatever a network holds that cannot be copied
        reason = str(error).partition("\n")[0]
        raise ModelError(f"explanations need a copy of the network: {type(error).__name__}: {reason}") from error


class LiveExplainer:
    """Explains inputs by one network, in a `with` and on one thread; no other may run the network meanwhile.

    Answers are arrays on the host or, where a method cannot be used, the reason in a line. A reason that lies in the network
    or the layer is remembered.
    """

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self._ablation = Ablation(module)
        self._ablated: frozenset[tuple[str, int]] = frozenset()
        self._methods: dict[tuple[str, str], Any] = {}
        self._refused: dict[tuple[str, str], Refused] = {}

    def __enter__(self) -> LiveExplainer:
        self._ablation.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self._ablation.__exit__(kind, value, trace)

    def mute(self, units: Collection[tuple[str, int]]) -> None:
        """Explain the network without these units from now on. Raises ModelError."""
        if self._ablated != units:
            self._ablation.set(units)
            self._ablated = frozenset(units)
            self._refused.clear()

    def picture(self, kind: str, x: torch.Tensor, unit: Unit, target: int) -> Floats | Refused:
        """Explain the unit or, by a method of classes, the class `target`: float32 (C, H, W) or (1, H, W)."""

        def explain() -> Floats:
            method = self._method(kind, unit.layer)
            wanted: dict[str, Any] = {"units": [unit.index]} if method.of_units else {"target": target}
            return _array(method.explain(x, **wanted)[0])

        return self.run_or_refuse(kind, unit.layer, explain)

    def pictures(self, kind: str, x: torch.Tensor, layer: str, units: Sequence[int]) -> Floats | Refused:
        """Explain units of a layer: float32 (U, C, H, W) or (U, 1, H, W)."""

        def explain() -> Floats:
            method = self._method(kind, layer)
            if not method.of_units:
                raise UsageError(f"{kind} explains classes, not units")
            return _array(method.explain(x, units))

        return self.run_or_refuse(kind, layer, explain)

    def contributions(self, x: torch.Tensor, layer: str, target: int) -> tuple[Floats, float] | Refused:
        """Return what each unit adds to the score of `target`, float32 (units,), and that score."""

        def explain() -> tuple[Floats, float]:
            values, score = self._made("contributions", layer, lambda: Contributions(self.module, layer)).of(x, target)
            return _array(values), score

        return self.run_or_refuse("contributions", layer, explain)

    def refine(self, x: torch.Tensor, unit: Unit) -> Iterator[tuple[Floats, float] | Refused]:
        """Yield occlusion from coarse to fine, float32 (1, H, W), each with its progress, 0..1."""

        def refine() -> Iterator[torch.Tensor]:
            method: Occlusion = self._method("occlusion", unit.layer)
            return method.refine(x, [unit.index])

        for done, found in enumerate(self.steps("occlusion", unit.layer, refine), 1):
            yield found if isinstance(found, Refused) else (_array(found[0]), done / REFINEMENTS)

    def steps(self, kind: str, layer: str, make: Callable[[], Iterator[T]]) -> Iterator[T | Refused]:
        """Yield all that an iterator gives as `run_or_refuse` does; a refusal is the last."""
        given = self.run_or_refuse(kind, layer, make)
        while not isinstance(given, Refused):
            found = self.run_or_refuse(kind, layer, partial(next, given, None))
            if found is None:
                return
            yield found
            if isinstance(found, Refused):
                return
        yield given

    def run_or_refuse(self, kind: str, layer: str, explain: Callable[[], T]) -> T | Refused:
        """Return what `explain` returns or why it is refused. Whatever the network raises, the program goes on."""
        known = ENDS.get(layer) or self._refused.get((kind, layer))
        if known is not None:
            return known
        try:
            return explain()
        except Exception as error:
            reason = Refused(_reason(kind, error))
            if not isinstance(error, UsageError):  # which lies in the unit or the class
                self._refused[kind, layer] = reason
            return reason

    def _method(self, kind: str, layer: str) -> Any:
        def make() -> Method:
            return method_class(kind)(self.module, layer)

        return self._made(kind, layer, make)

    def _made(self, kind: str, layer: str, make: Callable[[], Any]) -> Any:
        """Make something once for a layer, as it may have to trace the network."""
        if (kind, layer) not in self._methods:
            self._methods[kind, layer] = make()
        return self._methods[kind, layer]


def _array(tensor: torch.Tensor) -> Floats:
    return np.ascontiguousarray(tensor.detach().float().cpu().numpy())


def _reason(kind: str, error: Exception) -> str:
    """Describe an error in one short line, without the method's name."""
    line = str(error).partition("\n")[0].removeprefix(f"{kind} ")
    return line if isinstance(error, LivecnnError) else f"{type(error).__name__}: {line}"

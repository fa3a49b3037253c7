"""Back from units to the input: all units of a layer in one go, by the gradient or by other rules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch.autograd.graph import Node

from livecnn.errors import ModelError
from livecnn.explain.backward_rules import BackwardRule, apply_rules, check
from livecnn.explain.base import TargetedMethod, detached_input, set_gradients
from livecnn.explain.sparse_backward import WINDOWED

MOST_VALUES = 1 << 22  # of one step on the way back, of all units that go together: 16 MiB


@dataclass(frozen=True, eq=False)
class Backprop(TargetedMethod):
    """The gradient of each unit's value by the input, where `rules` do not change the way back."""

    rules: ClassVar[tuple[BackwardRule, ...]] = ()

    def explain(self, x: torch.Tensor, units: Sequence[int] = (), target: int | None = None) -> torch.Tensor:
        """Returns (U, C, H, W), or for a class (1, C, H, W); negative values too."""
        with set_gradients(), apply_rules(self.module, (*self.rules, WINDOWED)):
            leaf = detached_input(x).requires_grad_()
            seen = self._forward(leaf.clone())  # the network may write over its input
            values = self._objective(seen, units, target)(seen)[0]
            nodes = autograd_nodes(values, leaf, self.kind)
            check(self.kind, self.module, leaf.clone(), self.rules, nodes)
            return gradients(values, leaf, seen.largest)[:, 0]


def autograd_nodes(values: torch.Tensor, leaf: torch.Tensor, kind: str) -> list[Node]:
    """All steps of autograd before these values. Raises ModelError if the input is not among them."""
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
    """(U, *leaf.shape): the gradient of each of U values by the input, as many in one go as memory allows.

    largest: how many values the largest tensor on the way has.
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

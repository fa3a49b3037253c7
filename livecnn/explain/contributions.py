"""What the units of a layer add to the score of a class, to first order: activation times gradient."""

from __future__ import annotations

import torch
from torch import nn

from livecnn.errors import ModelError
from livecnn.explain.base import detached_input, set_gradients
from livecnn.explain.forward_pass import ForwardPass
from livecnn.explain.objective import activation_of, class_objective


class Contributions:
    """sum over a unit's positions of a ds/da: a are its activations, s the score of a class before a softmax.

    One pass forward and one back for all units of the layer. Where the score is linear in the layer, as after the last hidden
    one, they sum up to the score without the bias. For the network's state and threads see Method.
    """

    def __init__(self, module: nn.Module, layer: str) -> None:
        self._layer = layer
        self._forward = ForwardPass(module, layer)

    def of(self, x: torch.Tensor, target: int) -> tuple[torch.Tensor, float]:
        """x (1, C, H, W) -> (units,) and the score. Raises UsageError, ModelError."""
        with set_gradients():
            seen = self._forward(detached_input(x).requires_grad_().clone())
            activation = activation_of(seen, (), self._layer)
            score = class_objective(seen, target)(seen).sum()
            slopes = None
            if seen.edge is not None and score.requires_grad:
                (slopes,) = torch.autograd.grad(score, [seen.edge], allow_unused=True)
        if slopes is None:
            raise ModelError(f"contributions need a way from the layer to the scores; {self._layer!r} has none")
        products = activation.detach()[0] * slopes[0]
        return products.flatten(1).sum(1) if products.ndim > 1 else products, score.item()

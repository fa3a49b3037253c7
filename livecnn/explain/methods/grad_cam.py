"""Grad-CAM: Selvaraju et al. 2017, https://arxiv.org/abs/1610.02391."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from livecnn.explain.base import (
    Method,
    activation_of,
    class_objective,
    detached_input,
    layer_gradient,
    layer_maps,
    resize_maps,
    set_gradients,
)


@dataclass(frozen=True, eq=False)
class GradCam(Method):
    """max(0, sum_k w_k A_k) for a class: A_k are the layer's maps, w_k the mean of d s / d A_k, s the score before a softmax.

    For fields see Method.
    """

    names = ("Grad-CAM",)
    meaning = "which region of this layer speaks for the class"
    shown_as = "overlay"
    signed = False
    of_units = False

    def explain(self, x: torch.Tensor, units: Sequence[int] = (), target: int | None = None) -> torch.Tensor:
        """Return one map (1, 1, H, W), at least 0, resized to the input (bilinear).

        Args:
            x: The network's input, (1, C, H, W).
            units: The maps that count, by default all.
            target: By default the strongest class.
        """
        with set_gradients():
            seen = self._forward(detached_input(x).requires_grad_().clone())
            maps = layer_maps(seen, self.kind, self.layer)
            activation_of(seen, units, self.layer)
            score = class_objective(seen, int(seen.logits[0].argmax()) if target is None else target)(seen)
            slopes = layer_gradient(seen, score, f"{self.kind} needs", self.layer)
        chosen = list(units) or slice(None)
        shares = (slopes.mean((2, 3), keepdim=True) * maps.detach())[:, chosen]
        return resize_maps(shares.sum(1, keepdim=True).clamp_min(0), x)

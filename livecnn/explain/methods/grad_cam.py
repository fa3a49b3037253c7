"""Grad-CAM: Selvaraju et al. 2017, https://arxiv.org/abs/1610.02391."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from livecnn.errors import ModelError
from livecnn.explain.base import Method, gradients_recorded, maps_of, picture, resized
from livecnn.explain.objective import activation_of, of_class


@dataclass(frozen=True, eq=False)
class GradCam(Method):
    """max(0, sum_k w_k A_k) for a class: A_k are the layer's maps, w_k the mean of d s / d A_k, s the score before a softmax.

    For fields see Method.
    """

    def explain(self, x: torch.Tensor, units: Sequence[int] = (), target: int | None = None) -> torch.Tensor:
        """Returns (1, 1, H, W), at least 0, resized to the input (bilinear).

        units: the maps that count, by default all.  target: by default the strongest class.
        """
        with gradients_recorded():
            seen = self._forward(picture(x).requires_grad_().clone())
            maps = maps_of(seen, self.kind, self.layer)
            activation_of(seen, units, self.layer)
            score = of_class(seen, int(seen.logits[0].argmax()) if target is None else target)(seen)
            slopes = None
            if seen.edge is not None and score.requires_grad:
                (slopes,) = torch.autograd.grad(score.sum(), [seen.edge], allow_unused=True)
        if slopes is None:
            raise ModelError(f"{self.kind} needs a way from the layer to the scores; {self.layer!r} has none")
        chosen = list(units) or slice(None)
        shares = (slopes.mean((2, 3), keepdim=True) * maps.detach())[:, chosen]
        return resized(shares.sum(1, keepdim=True).clamp_min(0), x)

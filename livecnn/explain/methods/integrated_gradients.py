"""Integrated gradients: Sundararajan, Taly, Yan 2017, https://arxiv.org/abs/1703.01365."""

import math
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from functools import reduce

import numpy as np
import torch

from livecnn.errors import UsageError
from livecnn.explain.backprop import WINDOWED, apply_rules, autograd_nodes, gradients
from livecnn.explain.base import Objective, TargetedMethod, detached_input, set_gradients

MOST_STEPS = 1000  # finding the places of more takes longer than the way


@dataclass(frozen=True, eq=False)
class IntegratedGradients(TargetedMethod):
    """(x - b) times the mean of d a / d x on the straight way from a baseline b to x: the pictures sum up to a(x) - a(b).

    A position "max" is that of x on the whole way. For other fields see Method and TargetedMethod.
    """

    names = ("integrated gradients", "integrated")
    meaning = "what each pixel adds to the value"
    quick = False

    _: KW_ONLY
    baseline: float = 0.0  # the value of all its pixels, in the network's units
    steps: int = 50  # of the way, 1 to 1000, by Gauss-Legendre quadrature

    def __post_init__(self) -> None:
        super().__post_init__()
        if not math.isfinite(self.baseline):
            raise UsageError(f"baseline: found {self.baseline}; a finite number is needed")
        if not 1 <= self.steps <= MOST_STEPS:
            raise UsageError(f"steps: found {self.steps}; allowed: 1 to {MOST_STEPS}")

    def explain(self, x: torch.Tensor, units: Sequence[int] = (), target: int | None = None) -> torch.Tensor:
        """Return attributions (U, C, H, W), or for a class (1, C, H, W); negative values too."""
        with set_gradients(False):
            whole = detached_input(x)
            way = whole - self.baseline
            objective = self._objective(self._forward(whole.clone()), units, target)
            slopes = (share * self._slopes(self.baseline + place * way, objective) for place, share in _legendre(self.steps))
            return way * reduce(torch.add, slopes)

    def _slopes(self, x: torch.Tensor, objective: Objective) -> torch.Tensor:
        """Return the gradients of all values, (U, C, H, W), at one place of the way."""
        with set_gradients(), apply_rules(self.module, (WINDOWED,)):
            leaf = x.requires_grad_()
            seen = self._forward(leaf.clone())
            values = objective(seen)[0]
            autograd_nodes(values, leaf, self.kind)
            return gradients(values, leaf, seen.largest)[:, 0]


def _legendre(steps: int) -> list[tuple[float, float]]:
    """Places between 0 and 1, each with its share; these sum up to 1."""
    places, shares = np.polynomial.legendre.leggauss(steps)
    return list(zip(((1 + places) / 2).tolist(), (shares / 2).tolist(), strict=True))

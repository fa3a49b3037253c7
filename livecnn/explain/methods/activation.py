"""The activation itself, laid over the input."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from livecnn.errors import UsageError
from livecnn.explain.base import Method, activation_of, detached_input, layer_maps, resize_maps, set_gradients


@dataclass(frozen=True, eq=False)
class Activation(Method):
    """A unit's map, resized to the input (bilinear). For fields see Method."""

    names = ("activation",)
    meaning = "where the unit is active"
    shown_as = "gray"
    signed = False
    of_classes = False

    def explain(self, x: torch.Tensor, units: Sequence[int] = (), target: int | None = None) -> torch.Tensor:
        """Return maps (U, 1, H, W). Raises UsageError for a class, ModelError for a layer without maps."""
        if target is not None or not units:
            raise UsageError("activation shows units of a layer; allowed: units, and no class")
        with set_gradients(False):
            seen = self._forward(detached_input(x))
            activation_of(seen, units, self.layer)
            maps = layer_maps(seen, self.kind, self.layer)
            return resize_maps(maps[0, list(units), None], x)

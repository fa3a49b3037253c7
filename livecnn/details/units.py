"""Single values as cells: the neurons of a fully connected layer."""

from __future__ import annotations

from livecnn.details.grid import BY, Grid
from livecnn.engine.maps_reducer import Maps


class UnitGrid(Grid):
    """Of a layer with an output (K,) or (K, 1, 1)."""

    noun, by = "neuron", {**BY, "mean": "by value", "max": "by value"}
    least, most, colormap = 3.0, 90, "viridis"

    def figures(self, maps: Maps, unit: int) -> str:
        return f"value {maps.mean[unit]:.3g}"

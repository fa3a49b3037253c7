"""Feature maps side by side."""

from __future__ import annotations

from livecnn.details.grid import Grid
from livecnn.drawer import Context
from livecnn.engine.maps_reducer import Maps
from livecnn.networks.inspection.architecture import Node
from livecnn.types import ScaleValue


class MapGrid(Grid):
    """Of a layer with an output (C, H, W); pictures of a method that explains units have the size of the network's input."""

    noun = "map"

    def __init__(self, node: Node, context: Context, scale: ScaleValue) -> None:
        super().__init__(node, context, scale)
        _, self._height, self._width = node.output
        self.aspect = self._width / self._height

    @property
    def told(self) -> str:
        return f"{super().told}, {self._width}×{self._height}"

    def figures(self, maps: Maps, unit: int) -> str:
        return f"min {maps.low[unit]:.2f}   max {maps.high[unit]:.2f}   mean {maps.mean[unit]:.2f}"

    def _position(self, down: float, along: float) -> tuple[int, int] | None:
        return (int(down * self._height), int(along * self._width)) if not self._explains else None

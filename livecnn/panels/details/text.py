"""What there is to say of a layer in words."""

from __future__ import annotations

from livecnn.drawing.artists import text_width
from livecnn.drawing.theme import Metrics
from livecnn.engine.maps_reducer import Maps
from livecnn.geometry import Rect
from livecnn.networks.inspection.architecture import Node
from livecnn.networks.inspection.windows import size_text, window_facts
from livecnn.panels.base.drawer import Context
from livecnn.panels.details.base import Detail, LabelPool
from livecnn.types import Scene


def window_lines(node: Node) -> tuple[str, ...]:
    """Of a convolution or pooling; () of others."""
    told = window_facts(node.window)
    return (" · ".join(told),) if told else ()


def size_line(node: Node) -> str:
    """Of the output."""
    if len(node.output) == 3:
        return f"{node.output[0]:,} maps, {size_text(node.output[1:])}"
    return f"{' × '.join(f'{side:,}' for side in node.output) or 'no'} values"


def parameter_line(node: Node) -> str:
    return f"{node.parameters:,} parameters" if node.parameters else "no parameters"


def field_lines(node: Node) -> tuple[str, ...]:
    """Of the receptive field; () where it cannot be told."""
    return () if node.field is None else (f"each value sees {size_text(node.field.size)} pixels",)


class TextDetail(Detail):
    """Lines of words, the whole of a layer that has nothing to look at."""

    def __init__(self, node: Node, context: Context) -> None:
        super().__init__(node, context)
        self._words = LabelPool()
        self.live = [self._words]

    def lines(self) -> tuple[str, ...]:
        node = self.node
        fed = ", ".join(name or "the input" for name in node.inputs)
        return (
            f"type {node.type}" if node.type else "not a layer of this network",
            *([f"fed by {fed}"] if fed else []),
            size_line(node),
            parameter_line(node),
            *window_lines(node),
            *field_lines(node),
        )

    def show(self, scene: Scene, maps: Maps | None) -> None:  # noqa: ARG002
        write_lines(self._words, self.lines(), self.body, self.metrics, self)


def write_lines(words: LabelPool, lines: tuple[str, ...], room: Rect, metrics: Metrics, detail: Detail) -> None:
    """One below another from the top, as many as there is room for; the first in the colour of text."""
    words.clear()
    line, size = metrics.px(20), metrics.small
    for i, text in enumerate(lines[: room.h // line]):
        color = detail.theme.text if i == 0 else detail.theme.muted
        words.write(text, (room.x, room.y + i * line + size), size, color, width=room.w)


class FactsDetail(Detail):
    """A strip below a grid: the parameters in a line."""

    def __init__(self, node: Node, context: Context) -> None:
        super().__init__(node, context)
        self._words = LabelPool()
        self.live = [self._words]

    def height(self, room: Rect, metrics: Metrics) -> int:
        return metrics.px(18) if room.h >= metrics.px(110) else 0

    def show(self, scene: Scene, maps: Maps | None) -> None:  # noqa: ARG002
        told = [*window_lines(self.node), parameter_line(self.node), *field_lines(self.node)]
        while len(told) > 1 and text_width(" · ".join(told), self.metrics.small) > self.body.w:
            told.pop()
        self._words.clear()
        place = self.body.x, self.body.y + self.body.h - self.metrics.px(3)
        self._words.write(" · ".join(told), place, self.metrics.small, self.theme.muted, width=self.body.w)

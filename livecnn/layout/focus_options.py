"""Where a layout looks first: its key `focus`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from livecnn.errors import UsageError, nearest
from livecnn.explain.methods import method_class
from livecnn.io.validation import ValidationProblem
from livecnn.networks.inspection.architecture import Architecture, Node
from livecnn.panels.base.spec import FieldError, class_field
from livecnn.selection import OUTPUT, Order, Selection

AUTO = "auto"


def _method(kind: str) -> str:
    try:
        method_class(kind)
    except UsageError as error:
        raise ValidationProblem(str(error)) from error
    return kind


def _different(methods: tuple[str, ...]) -> tuple[str, ...]:
    twice = next((kind for kind in methods if methods.count(kind) > 1), None)
    if twice is not None:
        raise ValidationProblem(f"found {twice!r} twice; allowed: each once")
    return methods


Method = Annotated[str, AfterValidator(_method)]
Methods = Annotated[tuple[Method, ...], Field(min_length=1, max_length=3, strict=False), AfterValidator(_different)]


class FocusOptions(BaseModel):
    """What panels that follow the user show first; keys and mouse then lead elsewhere."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    layer: str = Field(
        AUTO,
        min_length=1,
        description="Name of a layer, `(input)`, `(output)`, or auto: the last convolution, else the last with weights.",
    )
    unit: int = Field(0, ge=0, description="The selected one of that layer.")
    target: int | str | None = Field(
        None, description="The class (its number or name) that is explained; left out, the one that the network predicts."
    )
    methods: Methods = Field(
        ("activation", "guided_backprop", "occlusion"), description="Explanations of the unit, up to three, side by side."
    )
    grid: Method = Field("activation", description="What the grid of the layer shows of each unit.")
    order: Order = Field("number", description="The order of the units in the grid, the important first.")

    def focus(self, architecture: Architecture, classes: Sequence[str]) -> Selection:
        """Raises FieldError where the network has no such layer, unit or class."""
        layer = self._layer(architecture)
        units = next((node.output[0] for node in architecture.nodes if node.name == layer), len(classes))
        if self.unit >= units:
            raise FieldError("unit", f"unit {self.unit}: {layer} has {units} (0-{units - 1})")
        target = None if self.target is None else class_field("target", self.target, classes)
        return Selection(layer, self.unit, None, target, self.methods, self.grid, self.order)

    def _layer(self, architecture: Architecture) -> str:
        if self.layer == AUTO:
            return _first(architecture.nodes)
        names = {"(input)": "", OUTPUT: OUTPUT, **{node.name: node.name for node in architecture.nodes}}
        if self.layer not in names:
            raise FieldError("layer", f"unknown layer {self.layer!r}; {nearest(self.layer, [AUTO, *names])}")
        return names[self.layer]


def _first(nodes: Sequence[Node]) -> str:
    convolutions = [node.name for node in nodes if node.window is not None and node.parameters and len(node.output) == 3]
    weighted = [node.name for node in nodes if node.parameters and node.output]
    return next(reversed(convolutions or weighted), OUTPUT)

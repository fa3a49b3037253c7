"""The half of a panel that is data: its configuration as a layout writes it, and the check that it fits a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from livecnn.errors import nearest
from livecnn.networks.selectors import class_index

if TYPE_CHECKING:
    from livecnn.panels.base.drawer import Context, Drawer


class FieldError(ValueError):
    """A field that is well formed but does not fit the model: `key` names the field, the text says what is allowed."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key


def check_value(layer: str, index: int, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Raise FieldError, of the fields `layer` and `index`, if the layer has no such single value."""
    if layer not in shapes:
        raise FieldError("layer", f"unknown layer {layer!r}; {nearest(layer, shapes)}")
    shape = shapes[layer]
    if len(shape) < 2 or any(extent != 1 for extent in shape[2:]):
        told = " x ".join(map(str, shape[1:])) or "no"
        raise FieldError("layer", f"{layer!r} gives {told} values; a layer that gives single values, 1 x K, is needed")
    if index >= shape[1]:
        raise FieldError("index", f"value {index}: {layer} has {shape[1]} (0-{shape[1] - 1})")


def class_field(key: str, wanted: int | str, classes: Sequence[str], *others: str) -> int:
    """Return the number of the class that the field `key` names, see `class_index`. Raises FieldError."""
    try:
        return class_index(wanted, classes, *others)
    except ValueError as error:
        raise FieldError(key, str(error)) from error


class PanelSpec(BaseModel):
    """What every panel can be told."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str = Field(description="Which panel: the name of a file in livecnn/panels.")
    title: str | None = Field(None, description="Heading of the panel; by default its own name for what it shows.")
    model: str = Field("", description="Where the layout has several `models`: which one the panel shows; by default the first.")

    explores: ClassVar[bool] = False  # does it follow what the user looks at?

    def layers(self) -> tuple[str, ...]:
        """Names of the layers whose activations the panel shows."""
        return ()

    def check(self, shapes: Mapping[str, tuple[int, ...]], classes: Sequence[str]) -> None:
        """Raise FieldError if the panel does not fit a model: shapes of all its layers' outputs (N, …), and its classes."""

    def drawer(self, name: str, context: Context) -> Drawer:
        """The half that owns the artists, for one figure."""
        from livecnn.panels.base.drawer import Drawer

        return Drawer(name, context)

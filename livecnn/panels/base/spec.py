"""PanelSpec, the base class of all panels' configurations, and the types of fields that several panels have."""

from __future__ import annotations

import reprlib
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, WithJsonSchema

from livecnn.errors import nearest
from livecnn.networks.selectors import Units, class_index, expand_units
from livecnn.types import SCALES, ScaleValue

if TYPE_CHECKING:
    from livecnn.panels.base.drawer import Context, Drawer

# Perceptually uniform (equal steps in value look equal) or gray: a map with false edges would show what is not there.
Colormap = Literal[
    "gray", "viridis", "inferno", "magma", "plasma", "cividis",
    "gray_r", "viridis_r", "inferno_r", "magma_r", "plasma_r", "cividis_r",
]  # fmt: skip
COLORMAPS: tuple[Colormap, ...] = get_args(Colormap)


def parse_scale(value: Any) -> ScaleValue:
    """Return `map`, `layer`, `running`, or [lo, hi] as a tuple of finite floats, lo < hi. Raises ValueError."""
    if isinstance(value, str):
        if value not in SCALES:
            raise ValueError(f"found {reprlib.repr(value)}; {nearest(value, [*SCALES, '[lo, hi]'])}")
        return value
    return _pair(value, f"{', '.join(SCALES)}, or ")


def parse_range(value: Any) -> tuple[float, float]:
    """Return [lo, hi] as a tuple of finite floats, lo < hi. Raises ValueError."""
    return _pair(value)


def _pair(value: Any, others: str = "") -> tuple[float, float]:
    if not isinstance(value, (list, tuple)) or len(value) != 2 or not all(_is_number(v) for v in value):
        raise ValueError(f"found {reprlib.repr(value)}; allowed: {others}two numbers [lo, hi]")
    low, high = map(float, value)
    if not low < high:
        raise ValueError(f"found [{low:g}, {high:g}]; the first number has to be the lower one")
    return low, high


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


_PAIR = {"type": "array", "prefixItems": [{"type": "number"}, {"type": "number"}], "minItems": 2, "maxItems": 2}

Scale = Annotated[
    ScaleValue,
    PlainValidator(parse_scale),
    WithJsonSchema({"examples": [*SCALES, [-1.0, 4.0]], "anyOf": [{"enum": list(SCALES)}, _PAIR]}),
]
Range = Annotated[tuple[float, float], PlainValidator(parse_range), WithJsonSchema(_PAIR)]


class FieldError(ValueError):
    """A field that is well formed but does not fit the network: `key` names the field, the text says what is allowed."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key


def check_value(layer: str, index: int, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Raise FieldError, of the fields `layer` and `index`, if the layer has no such single value."""
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


def units_field(key: str, wanted: Units, count: int, noun: str, layer: str) -> tuple[int, ...]:
    """Return the numbers of the units that the field `key` names, see `expand_units`. Raises FieldError."""
    try:
        return expand_units(wanted, count, noun, layer)
    except ValueError as error:
        raise FieldError(key, str(error)) from error


class PanelSpec(BaseModel):
    """Configure a panel: the half of a panel that is data, the same on every screen, as a layout writes it.

    A new panel is a file in livecnn/panels named like its kind, with a subclass named like the kind in CamelCase and `Panel`, and
    its `Drawer` named likewise, which is made as HighestDrawer(spec, name, context). The fields are what a layout may set; their
    descriptions and the docstring of the class are printed in docs/layouts.md.

    Attributes:
        explores: Whether the panel follows what the user looks at.

    Example:
        The configuration of a panel in a file livecnn/panels/highest.py; `Drawer` shows the other half:

        >>> from typing import Literal
        >>> from pydantic import Field
        >>> class HighestPanel(PanelSpec):
        ...     kind: Literal["highest"] = Field("highest", description="The highest score.")
        ...     digits: int = Field(0, ge=0, le=3, description="Decimal places.")
        >>> HighestPanel(digits=1)
        HighestPanel(kind='highest', title=None, model='', digits=1)
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str = Field(description="Which panel: the name of a file in livecnn/panels.")
    title: str | None = Field(None, description="Heading of the panel; by default its own name for what it shows.")
    model: str = Field("", description="Where the layout has several `models`: which one the panel shows; by default the first.")

    explores: ClassVar[bool] = False

    def layers(self) -> tuple[str, ...]:
        """Return the names of the layers whose activations the panel shows: that in its field `layer`, if it has one."""
        layer = getattr(self, "layer", None)
        return () if layer is None else (layer,)

    def check(self, shapes: Mapping[str, tuple[int, ...]], classes: Sequence[str]) -> None:  # noqa: ARG002
        """Check that the panel fits a network; by default, that the network has its layers.

        Args:
            shapes: By layer, the shape (N, …) of its output.
            classes: Names of the classes.

        Raises:
            FieldError: A field does not fit; the error names it.
        """
        for layer in self.layers():
            if layer not in shapes:
                raise FieldError("layer", f"unknown layer {layer!r}; {nearest(layer, shapes)}")

    def drawer(self, name: str, context: Context) -> Drawer:
        """Make the half that owns the artists, for one figure: `HighestDrawer` of `HighestPanel`, from the same file."""
        drawer_class = getattr(sys.modules[self.__module__], type(self).__name__.removesuffix("Panel") + "Drawer")
        made: Drawer = drawer_class(self, name, context)
        return made

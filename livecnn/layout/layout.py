"""Read a layout, what the figure shows, from YAML, and validate it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    InstanceOf,
    PlainValidator,
    PrivateAttr,
    ValidationError,
    WithJsonSchema,
    model_validator,
)

from livecnn import paths, registry
from livecnn.errors import ConfigError, LivecnnError, UsageError, nearest
from livecnn.explain.methods import method_class
from livecnn.io import yaml_document
from livecnn.io.validation import Problem, ValidationProblem, explain, report
from livecnn.io.yaml_document import Document, Location
from livecnn.networks.inspection.architecture import Architecture
from livecnn.panels.base.spec import FieldError, PanelSpec, class_field
from livecnn.selection import OUTPUT, Order, Selection

SMALLEST_BOX = 0.1
AUTO = "auto"
EMPTY = "."  # a cell of the grid without a panel
MOST_BANDS = 32  # rows or columns; more than any screen can show
_NAME = re.compile(r"[\w-]+")  # of a panel: a dot would be taken for a step by `--set`

Grid = tuple[tuple[str, ...], ...]  # rows from the top, each from the left, as `Figure.subplot_mosaic` takes them


def _share(value: Any) -> float | Literal["auto"]:
    if value == "auto":
        return "auto"
    if isinstance(value, (int, float)) and not isinstance(value, bool) and SMALLEST_BOX <= value <= 1:
        return float(value)
    raise ValidationProblem(f"found {value!r}; allowed: auto, or a number from {SMALLEST_BOX} to 1.0")


def parse_grid(text: Any) -> Grid:
    """Read a grid in matplotlib's subplot-mosaic notation, a row a line, with names of any length separated by blanks.

    Raises:
        ValidationProblem: The grid is ragged, or a panel is no rectangle.
    """
    if not isinstance(text, str) or not text.strip():
        raise ValidationProblem(
            f"found {'nothing' if text in (None, '') else repr(text)}; needed: rows of panel names, '.' for an empty cell"
        )
    grid = tuple(tuple(line.split()) for line in text.splitlines() if line.strip())
    columns = len(grid[0])
    for row, names in enumerate(grid):
        if len(names) != columns:
            raise ValidationProblem(
                f"row {row + 1} has {len(names)} names, row 1 has {columns}; all rows need the same number", row=row
            )
    if max(len(grid), columns) > MOST_BANDS:
        raise ValidationProblem(f"found {len(grid)} rows and {columns} columns; at most {MOST_BANDS} of each are allowed")
    if not panels_of(grid):
        raise ValidationProblem("found empty cells only; needed: the name of a panel")
    for name in panels_of(grid):
        _check_rectangle(name, grid)
    return grid


def panels_of(grid: Grid) -> dict[str, int]:
    """Return the names in a grid, from the top left, each with the first row that it stands in."""
    first: dict[str, int] = {}
    for row, names in enumerate(grid):
        for name in names:
            if name != EMPTY:
                first.setdefault(name, row)
    return first


def _check_rectangle(name: str, grid: Grid) -> None:
    cells = [(row, column) for row, names in enumerate(grid) for column, other in enumerate(names) if other == name]
    (top, bottom), (left, right) = ((min(places), max(places)) for places in zip(*cells, strict=True))
    if (bottom - top + 1) * (right - left + 1) != len(cells):
        area = f"rows {top + 1} to {bottom + 1}, columns {left + 1} to {right + 1}"
        raise ValidationProblem(f"panel {name!r} does not fill a rectangle ({area}); each panel needs one", row=top)


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


Share = Annotated[
    float | Literal["auto"],
    PlainValidator(_share),
    WithJsonSchema({"anyOf": [{"const": "auto"}, {"type": "number", "minimum": SMALLEST_BOX, "maximum": 1}]}),
]
Mosaic = Annotated[Grid, PlainValidator(parse_grid), WithJsonSchema({"type": "string"})]
Margin = Annotated[float, Field(ge=0, le=2)]
Width = Annotated[int, Field(ge=320, le=7680)]
Height = Annotated[int, Field(ge=240, le=4320)]
Ratio = Annotated[float, Field(gt=0, le=1000)]
Facts = tuple[Mapping[str, tuple[int, ...]], Sequence[str]]
NotStrict = Field(strict=False)  # a YAML list is no tuple, and strict validation would insist


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class BoxOptions(_Section):
    """The part of the frame that the network gets."""

    size: Share = Field(
        "auto",
        description="Side of the box as a share of the frame's short side. "
        "auto: 0.55 for cameras and videos, 1.0 (the largest centred square) for folders.",
    )
    finder: Literal["centre", "face"] = Field(
        "centre",
        description="What places the box. centre: in the middle of the frame. face: around the largest face; "
        "where there is none, in the middle.",
    )
    margin: Margin = Field(
        0.1, description="What the box leaves free on each side of a face, as a share of the face's side; for finder face."
    )


class Figure(_Section):
    """The picture that all panels share."""

    size: Annotated[tuple[Width, Height], NotStrict] = Field((1280, 720), description="Width and height in pixels.")
    theme: Literal["dark", "light"] = Field("dark", description="Colours of everything but the maps.")
    widths: Annotated[tuple[Ratio, ...], NotStrict] | None = Field(
        None, description="Relative widths of the grid's columns; equal where none are given."
    )
    heights: Annotated[tuple[Ratio, ...], NotStrict] | None = Field(
        None, description="Relative heights of the grid's rows; equal where none are given."
    )


class FocusOptions(_Section):
    """What panels that follow the user show first; keys and mouse then lead elsewhere."""

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
        """Return the selection to begin with; classes in the order of the scores.

        Raises:
            FieldError: The network has no such layer, unit or class.
        """
        layer = self._layer(architecture)
        units = next((node.output[0] for node in architecture.nodes if node.name == layer), len(classes))
        if self.unit >= units:
            raise FieldError("unit", f"unit {self.unit}: {layer} has {units} (0-{units - 1})")
        target = None if self.target is None else class_field("target", self.target, classes)
        return Selection(layer, self.unit, None, target, self.methods, self.grid, self.order)

    def _layer(self, architecture: Architecture) -> str:
        if self.layer == AUTO:
            convolutions = [each.name for each in architecture.nodes if each.window and each.parameters and len(each.output) == 3]
            weighted = [node.name for node in architecture.nodes if node.parameters and node.output]
            return next(reversed(convolutions or weighted), OUTPUT)
        names = {"(input)": "", OUTPUT: OUTPUT, **{node.name: node.name for node in architecture.nodes}}
        if self.layer not in names:
            raise FieldError("layer", f"unknown layer {self.layer!r}; {nearest(self.layer, [AUTO, *names])}")
        return names[self.layer]


class Layout(_Section):
    """What the figure shows: where the pictures come from, which network sees them, which panels stand where."""

    name: str = Field("livecnn", description="Title of the view in the header; the file's name where none is given.")
    description: str = Field("", description="One line for `livecnn config list`.")
    views: Annotated[tuple[str, ...], NotStrict] = Field(
        (), description="Layouts that the key v walks through: names of shipped ones, or files beside this one."
    )
    model: str = Field("lenet-mnist", min_length=1, description="A bundle's name, its folder, or `package.module:factory`.")
    models: dict[str, str] = Field(
        {}, description="Instead of `model`, several networks on the same picture, by a name each; panels name theirs."
    )
    source: str = Field("auto", min_length=1, description="Where the pictures come from, unless `--source` says otherwise.")
    box: BoxOptions = Field(BoxOptions(), description="The part of the frame that the network gets.")
    focus: FocusOptions = Field(FocusOptions(), description="What panels that follow the user show first.")
    figure: Figure = Field(Figure(), description="Size and look of the picture.")
    layout: Mosaic = Field(
        description="The grid: a row of panel names a line, separated by blanks; a panel fills the rectangle of cells "
        "that bear its name, `.` stays empty. This is matplotlib's subplot-mosaic notation."
    )
    panels: dict[str, InstanceOf[PanelSpec]] = Field(description="By name, what each panel shows.")

    _document: Document | None = PrivateAttr(None)

    @model_validator(mode="after")
    def _models_fit(self) -> Layout:
        if self.models and "model" in self.model_fields_set:
            raise ValidationProblem("found `models`, too; one of them is allowed", ("model",))
        for name, panel in self.panels.items():
            if panel.model and panel.model not in self.models:
                known = nearest(panel.model, self.models) if self.models else "the layout has no `models`; allowed: leave it out"
                raise ValidationProblem(f"no network is named {panel.model!r}; {known}", ("panels", name, "model"))
        return self

    @model_validator(mode="after")
    def _grid_fits(self) -> Layout:
        rows = panels_of(self.layout)
        for name, row in rows.items():
            if name not in self.panels:
                raise ValidationProblem(f"no panel is named {name!r}; {nearest(name, [*self.panels, EMPTY])}", ("layout",), row)
        for name in self.panels:
            if not _NAME.fullmatch(name):
                raise ValidationProblem("found an unusable name; allowed: letters, digits, _ and -", ("panels", name))
            if name not in rows:
                raise ValidationProblem(f"this panel has no place in the grid; {nearest(name, rows)}", ("panels", name))
        for key, noun, count in (("widths", "column", len(self.layout[0])), ("heights", "row", len(self.layout))):
            ratios = getattr(self.figure, key)
            if ratios is not None and len(ratios) != count:
                raise ValidationProblem(
                    f"found {len(ratios)} numbers; the grid has {count} {noun}s, each needs one", ("figure", key)
                )
        return self

    @property
    def networks(self) -> dict[str, str]:
        """The networks to load, by the names that panels use, the main one first; under "" where there is one only."""
        return self.models or {"": self.model}

    @property
    def explores(self) -> bool:
        """True if any panel follows what the user looks at."""
        return any(panel.explores for panel in self.panels.values())

    @property
    def from_file(self) -> bool:
        """True if it was read from a file, False if it was made in Python."""
        return self._document is not None

    @property
    def path(self) -> Path:
        """The file that it was read from, or the name of one that was made in Python."""
        return self._document.path if self._document else Path(self.name)

    def fault(self, location: Location, message: str) -> LivecnnError:
        """Return the error to raise for the value at a location: "FILE:LINE: KEY: message"."""
        return self._report([Problem(location, message)])

    def _report(self, problems: list[Problem]) -> LivecnnError:
        return report(self._document or Document({}, self.path, {}), problems)


def load_layout(name_or_path: str | Path, overrides: Sequence[str] = ()) -> Layout:
    """Read and validate a layout.

    Args:
        name_or_path: A file (`.yaml` may be left off), or the name of a layout that ships.
        overrides: Changes before validation, each `dotted.key=YAML value`, e.g. "panels.conv1.channels=0-9".

    Raises:
        ConfigError: "FILE:LINE: KEY: what was found; what is allowed" for the first problem, and how many more there are.

    Example:
        >>> load_layout("lenet", ["figure.size=[800, 600]"]).figure.size
        (800, 600)
    """
    document = yaml_document.load(find_layout(str(name_or_path)))
    for assignment in overrides:
        document = document.with_override(assignment)
    return layout_from_document(document)


def find_layout(name_or_path: str, folder: Path = Path()) -> Path:
    """Return the file that a name or a path (from `folder`) means; raise ConfigError if there is none."""
    shipped = paths.layouts()
    path = os.path.join(folder, os.path.expanduser(name_or_path))  # os.path takes any text, pathlib raises
    for candidate in (path, f"{path}.yaml"):
        if os.path.isfile(candidate):
            return Path(candidate)
    if name_or_path in shipped:
        return shipped[name_or_path]
    raise ConfigError(f"{name_or_path}: neither a file nor a layout that ships; {nearest(name_or_path, ['FILE.yaml', *shipped])}")


def layout_from_document(document: Document) -> Layout:
    """Return the layout that a document describes; raise ConfigError as `load_layout` does."""
    fields = {"name": document.path.stem, **document.data}
    problems: list[Problem] = []
    if isinstance(fields.get("panels"), dict):
        fields["panels"] = {name: _panel(name, spec, problems) for name, spec in fields["panels"].items()}
    if isinstance(fields.get("views"), list):
        fields["views"] = [_view(index, view, document.path.parent, problems) for index, view in enumerate(fields["views"])]
    try:
        layout = Layout.model_validate(fields)
    except ValidationError as error:
        problems += explain(error, Layout, document.data)
    if problems:
        raise report(document, problems)
    layout._document = document
    return layout


def check_layout(
    layout: Layout, shapes: Mapping[str, tuple[int, ...]], classes: Sequence[str], others: Mapping[str, Facts] | None = None
) -> None:
    """Check that every panel fits its network.

    shapes are those of the outputs (N, …) of all layers of the main network, classes are in the order of its scores; `others` has
    both of each network that panels name.

    Raises:
        ConfigError: As of `load_layout`.
    """
    problems = []
    for name, panel in layout.panels.items():
        try:
            panel.check(*(others or {}).get(panel.model, (shapes, classes)))
        except FieldError as error:  # noqa: PERF203 (once a run)
            problems.append(Problem(("panels", name, error.key), str(error)))
    if problems:
        raise layout._report(problems)


def _panel(name: str, spec: Any, problems: list[Problem]) -> PanelSpec:
    """Return the spec as its kind's class; for one that is wrong a bare one, so that the grid can still be checked."""
    place = ("panels", name)
    kind = spec.get("kind") if isinstance(spec, dict) else None
    if not isinstance(kind, str):
        allowed = f"allowed: {', '.join(registry.kinds('panels'))}"
        problems.append(Problem(place, f"found {spec!r:.60}; needed: a mapping with a `kind`; {allowed}"))
        return PanelSpec(kind="")
    try:
        panel_class: type[PanelSpec] = registry.find("panels", kind, ConfigError)
        return panel_class.model_validate_json(json.dumps(spec), strict=True)  # JSON, as lists then pass for tuples
    except ConfigError as error:
        problems.append(Problem((*place, "kind"), str(error)))
    except ValidationError as error:
        problems += explain(error, panel_class, spec, place)
    return PanelSpec(kind=kind)


def _view(index: int, view: Any, folder: Path, problems: list[Problem]) -> Any:
    if not isinstance(view, str):
        return view
    try:
        return str(find_layout(view, folder))
    except ConfigError as error:
        problems.append(Problem(("views", index), str(error)))
        return view

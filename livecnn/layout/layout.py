"""A layout: what the figure shows, read from YAML and validated."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
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
from livecnn.errors import ConfigError, LivecnnError, nearest
from livecnn.io import yaml_document as yamlfile
from livecnn.io.validation import Problem, ValidationProblem, explain, report
from livecnn.io.yaml_document import Document, Location
from livecnn.layout import grid as mosaic
from livecnn.layout.focus_options import FocusOptions
from livecnn.panels.base.spec import FieldError, PanelSpec

SMALLEST_BOX = 0.1

_NAME = re.compile(r"[\w-]+")  # of a panel: a dot would be taken for a step by `--set`


def _share(value: Any) -> float | Literal["auto"]:
    if value == "auto":
        return "auto"
    if isinstance(value, (int, float)) and not isinstance(value, bool) and SMALLEST_BOX <= value <= 1:
        return float(value)
    raise ValidationProblem(f"found {value!r}; allowed: auto, or a number from {SMALLEST_BOX} to 1.0")


Share = Annotated[
    float | Literal["auto"],
    PlainValidator(_share),
    WithJsonSchema({"anyOf": [{"const": "auto"}, {"type": "number", "minimum": SMALLEST_BOX, "maximum": 1}]}),
]
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
    layout: mosaic.Mosaic = Field(
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
        rows = mosaic.panels(self.layout)
        for name, row in rows.items():
            if name not in self.panels:
                raise ValidationProblem(
                    f"no panel is named {name!r}; {nearest(name, [*self.panels, mosaic.EMPTY])}", ("layout",), row
                )
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
        """What to load, by the name that panels use, the main one first; under "" where there is one only."""
        return self.models or {"": self.model}

    @property
    def explores(self) -> bool:
        """Does any panel follow what the user looks at?"""
        return any(panel.explores for panel in self.panels.values())

    @property
    def from_file(self) -> bool:
        return self._document is not None

    @property
    def path(self) -> Path:
        """The file that it was read from; its name, for one that was made in Python."""
        return self._document.path if self._document else Path(self.name)

    def fault(self, location: Location, message: str) -> LivecnnError:
        """The error to raise where what stands at a location cannot be had: "FILE:LINE: KEY: message"."""
        return self._report([Problem(location, message)])

    def _report(self, problems: list[Problem]) -> LivecnnError:
        return report(self._document or Document({}, self.path, {}), problems)


def load_layout(name_or_path: str | Path, overrides: Sequence[str] = ()) -> Layout:
    """Read and validate a layout: a file (`.yaml` may be left off), or one that ships, by name.

    overrides: `dotted.key=YAML value`, put in before validation, e.g. "panels.conv1.channels=0-9".
    Raises ConfigError: "FILE:LINE: KEY: what was found; what is allowed", for the first problem, and how many more there are.
    """
    document = yamlfile.load(find_layout(str(name_or_path)))
    for assignment in overrides:
        document = document.with_override(assignment)
    return make_drawers(document)


def find_layout(name_or_path: str, folder: Path = Path()) -> Path:
    """The file that a name or a path (from `folder`) means. Raises ConfigError."""
    shipped = paths.layouts()
    path = os.path.join(folder, os.path.expanduser(name_or_path))  # os.path takes any text, pathlib raises
    for candidate in (path, f"{path}.yaml"):
        if os.path.isfile(candidate):
            return Path(candidate)
    if name_or_path in shipped:
        return shipped[name_or_path]
    raise ConfigError(f"{name_or_path}: neither a file nor a layout that ships; {nearest(name_or_path, ['FILE.yaml', *shipped])}")


def make_drawers(document: Document) -> Layout:
    """The layout that a document describes. Raises ConfigError as `load_layout` does."""
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
    """Raise ConfigError, as `load_layout` does, if a panel does not fit its network.

    shapes: of the outputs (N, …) of all layers of the main one, by name; classes: names in the order of its scores. others: both,
    by the name of the network, of those that panels name.
    """
    facts = others or {}
    problems = [
        problem
        for name, panel in layout.panels.items()
        for problem in _misfits(name, panel, *facts.get(panel.model, (shapes, classes)))
    ]
    if problems:
        raise layout._report(problems)


def _misfits(name: str, panel: PanelSpec, shapes: Mapping[str, tuple[int, ...]], classes: Sequence[str]) -> list[Problem]:
    try:
        panel.check(shapes, classes)
    except FieldError as error:
        return [Problem(("panels", name, error.key), str(error))]
    return []


def _panel(name: str, spec: Any, problems: list[Problem]) -> PanelSpec:
    """The spec as its kind's class; for one that is wrong, a bare one, so that the grid can still be checked."""
    place = ("panels", name)
    kind = spec.get("kind") if isinstance(spec, dict) else None
    if not isinstance(kind, str):
        problems.append(Problem(place, f"found {spec!r:.60}; needed: a mapping with a `kind`; {_kinds()}"))
        return PanelSpec(kind="")
    try:
        panel_class: type[PanelSpec] = registry.find("panels", kind, ConfigError)
        return panel_class.model_validate_json(json.dumps(spec), strict=True)  # JSON, as lists then pass for tuples
    except ConfigError as error:
        problems.append(Problem((*place, "kind"), str(error)))
    except ValidationError as error:
        problems += explain(error, panel_class, spec, place)
    return PanelSpec(kind=kind)


def _kinds() -> str:
    return f"allowed: {', '.join(registry.kinds('panels'))}"


def _view(index: int, view: Any, folder: Path, problems: list[Problem]) -> Any:
    if not isinstance(view, str):
        return view
    try:
        return str(find_layout(view, folder))
    except ConfigError as error:
        problems.append(Problem(("views", index), str(error)))
        return view

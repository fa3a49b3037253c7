"""`livecnn annotations`: units that were called good or bad, or noted, while a network ran."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from livecnn.cli import _common
from livecnn.errors import ModelError, OutputError, UsageError

if TYPE_CHECKING:
    from livecnn.analysis.annotations.store import Annotations
    from livecnn.analysis.patterns.summary import Summary
    from livecnn.networks.bundle import Bundle

LAYOUT = "explorer"
COLUMNS = ("model", "layer", "unit", "verdict", "note", "annotator", "time")
FORMATS = (".csv", ".json")

OF_LAYOUT = click.option("--layout", default=LAYOUT, show_default=True, help="In which the units were marked.")


@click.group()
def command() -> None:
    """Marks of units: list, export and compare them."""


@command.command(name="list")
def list_() -> None:
    """The files in the data folder, each with its model, its annotator and how many units are good, bad, noted."""
    from livecnn import paths
    from livecnn.analysis.annotations.store import SUFFIX

    folder = paths.user_annotations()
    files = sorted(folder.glob(f"*{SUFFIX}"))
    for line in _common.aligned([_row(path) for path in files]):
        click.echo(line)
    click.echo(f"{_common.counted(len(files), 'file')} in {folder}")


@command.command()
@click.argument("out", type=_common.FILE)
@OF_LAYOUT
@click.option("--model", help="On which they were marked.  [the layout's]")
@click.option("--from", "given", type=_common.FILE, metavar="FILE", help="Export this file of annotations instead.")
@_common.force("Replace a file that is there already.")
def export(out: Path, layout: str, model: str | None, given: Path | None, force: bool) -> None:
    """Write the marks to OUT: a row a unit as FILE.csv, or as FILE.json what `stats` of another user can read."""
    from livecnn.analysis.annotations.store import Annotations, as_json
    from livecnn.io.files import write_atomically

    if out.suffix.lower() not in FORMATS:
        raise OutputError(f"{out}: unknown suffix {out.suffix!r}; allowed: {', '.join(FORMATS)}")
    source = given or _path(layout, model)
    annotations = Annotations.read(source)
    _check_other(out, source)
    if out.exists() and not force:
        raise OutputError(f"{out}: is there already; allowed: another name, or --force to replace it")
    as_table = out.suffix.lower() == ".csv"
    data = _csv(annotations) if as_table else as_json(annotations.model, annotations.annotator, annotations.units)
    write_atomically(out, data)
    click.echo(f"{out}: {_common.counted(sum(map(len, annotations.units.values())), 'unit')} of {annotations.model}")


@command.command()
@click.argument("files", nargs=-1, type=_common.FILE)
@OF_LAYOUT
@click.option("--model", help="The network: a bundle's name or folder.  [the files' own]")
@click.option("--images", metavar="FOLDER", help="Pictures over which the units' mean activations are taken, as for replay.")
@click.option("--json", "file", metavar="FILE", help="Write it as data; - writes to the standard output instead of the tables.")
@_common.allow_code
def stats(
    files: tuple[Path, ...], layout: str, model: str | None, images: str | None, file: str | None, allow_code: bool
) -> None:
    """How many units of each layer were called good or bad, and how far the annotators of several files agree.

    FILES are files of annotations; without any, those of the layout and the model. "agreed" is the share of the units that both
    annotators called good or bad and called the same, "kappa" is Cohen's. The means are over all images and positions, averaged
    over the units called good, and over those called bad.
    """
    from livecnn.analysis.annotations import agreement as verdicts
    from livecnn.analysis.annotations.store import Annotations

    _common.check_report(file)
    read = [Annotations.read(path) for path in files or [_path(layout, model)]]
    for each in read:
        _check_other(Path(str(file)), each.path)
    for each in read[1:]:
        if each.model != read[0].model:
            raise UsageError(f"{each.path}: model: found {each.model!r}; allowed: {read[0].model!r}, as in {read[0].path}")
    bundle = _bundle(read[0].model, model, allow_code, needed=images is not None)
    sizes, patterns = ({}, None) if bundle is None else _looked_at(bundle, read, layout, images)
    report = verdicts.report(read, sizes, patterns)
    _common.report(file, report, _tables(report))


def _check_other(out: Path, source: Path) -> None:
    if out.exists() and os.path.samefile(out, source):
        raise OutputError(f"{out}: holds the annotations that are read; allowed: another name")


def _tables(report: dict[str, Any]) -> Iterator[str]:
    for about in report["files"]:
        yield f"{about['file']}: {report['model']}, by {about['annotator']}"
        yield from _table(about)
    if report["images"] is not None:
        yield f"means over {report['images']:,} image{'' if report['images'] == 1 else 's'}"
    for about in report["agreement"]:
        yield " and ".join(f"{who} ({Path(file).name})" for who, file in zip(about["annotators"], about["files"], strict=True))
        yield from _table(about)


def _table(about: dict[str, Any]) -> Iterator[str]:
    """A row a layer, and one for all."""
    rows = {**about["layers"], "in all": about["in all"]}
    keys = list(dict.fromkeys(key for row in rows.values() for key in row))
    cells = [(layer, *(_cell(key, row[key]) if key in row else "" for key in keys)) for layer, row in rows.items()]
    return _common.aligned([("layer", *keys), *cells], range(1, len(keys) + 1))


def _cell(key: str, value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,}" if isinstance(value, int) else f"{value:.1%}" if key == "agreed" else f"{value:.3g}"


def _row(path: Path) -> tuple[str, ...]:
    from livecnn.analysis.annotations.store import Annotations, count_verdicts

    try:
        found = Annotations.read(path)
    except OutputError as error:
        return path.name, "", "", f"damaged: {error}"
    total = count_verdicts(mark for marks in found.units.values() for mark in marks.values())
    return path.name, found.model, found.annotator, ", ".join(f"{count} {key}" for key, count in total.items())


def _path(layout: str, model: str | None) -> Path:
    """Return the file with the marks of a layout and a model."""
    from livecnn.analysis.annotations.store import annotations_path
    from livecnn.layout.layout import load_layout

    found = load_layout(layout)
    return annotations_path(found.path, found.from_file, _name(model or next(iter(found.networks.values()))))


def _name(model: str) -> str:
    """As the bundle calls itself, if there is one."""
    from livecnn import paths
    from livecnn.networks import bundle as bundles

    folder = paths.bundles().get(model) or Path(model).expanduser()
    return bundles.read_card(folder).name if os.path.isfile(folder / bundles.CARD) else model


def _bundle(name: str, model: str | None, allow_code: bool, *, needed: bool) -> Bundle | None:
    """The network that the marks are of; None if it is not at hand, nor needed. Raises ModelError."""
    from livecnn import paths
    from livecnn.networks import bundle as bundles

    if model is None and name not in paths.bundles() and not needed:
        return None
    bundle = bundles.load(model or name, allow_code=allow_code)
    if bundle.name != name:
        raise ModelError(f"--model {model}: found {bundle.name!r}; the annotations are of {name!r}")
    return bundle


def _looked_at(
    bundle: Bundle, files: Sequence[Annotations], layout: str, images: str | None
) -> tuple[dict[str, int], Summary | None]:
    """Sizes of the layers with marks and, over images, what their units do."""
    from livecnn.analysis.annotations import agreement as verdicts
    from livecnn.analysis.dataset import ImageDataset, as_spec
    from livecnn.app.plan import make_cropper
    from livecnn.layout.layout import load_layout

    sizes = verdicts.sizes(bundle, files)
    if images is None:
        return sizes, None
    album = ImageDataset(as_spec(images))
    cropper = make_cropper(bundle, load_layout(layout), album.source)
    return sizes, verdicts.responses(bundle, list(sizes), album, cropper, _common.warn)


def _csv(annotations: Annotations) -> bytes:
    from livecnn.io.files import as_csv

    marks = ((layer, unit, mark) for layer, found in annotations.units.items() for unit, mark in sorted(found.items()))
    rows = [(annotations.model, layer, unit, m.verdict or "", m.note, m.annotator, m.time) for layer, unit, m in marks]
    return as_csv([COLUMNS, *rows])

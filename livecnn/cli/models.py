"""`livecnn models`: which networks there are, what they are, and how more of them come in."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from livecnn.cli import _common
from livecnn.errors import ModelError, UsageError
from livecnn.types import Precision

if TYPE_CHECKING:
    from livecnn.networks.bundle import Bundle, ModelCard

FORCE = _common.force("Replace a model of that name.")


@click.group()
def command() -> None:
    """Networks: list, describe, fetch, import and check them."""


@command.command(name="list")
def list_() -> None:
    """The networks at hand, and those that `livecnn models get` fetches."""
    from livecnn import paths
    from livecnn.networks import catalogue

    known = paths.bundles()
    rows = [_row(name, folder) for name, folder in known.items()]
    for name, entry in catalogue.ENTRIES.items():
        if name not in known:
            size = f"{entry.megabytes:.1f} MB"
            rows.append((name, entry.what, f"livecnn models get {name}", size, _accuracy(entry.accuracy)))
    for line in _common.aligned(rows):
        click.echo(line)


@command.command()
@click.argument("name", shell_complete=_common.models)
@click.option("--json", "as_json", is_flag=True, help="As data.")
@_common.allow_code
def show(name: str, as_json: bool, allow_code: bool) -> None:
    """What a network is: architecture, input, classes, licence, source.

    NAME is that of a network at hand or of one that can be fetched, or a bundle's folder.
    """
    from livecnn import paths
    from livecnn.networks import catalogue

    about = _of_entry(name) if name in catalogue.ENTRIES and name not in paths.bundles() else _of_bundle(name, allow_code)
    if as_json:
        import json

        click.echo(json.dumps(about, indent=2, ensure_ascii=False))
        return
    texts = {key: _text(key, value) for key, value in about.items()}
    width = max(map(len, texts))
    for key, text in texts.items():
        if text:
            click.echo(f"{key:{width}}  {text}")


@command.command()
@click.argument("name")
@click.option(
    "--from", "given", type=_common.FILE, multiple=True, metavar="FILE", help="Take this file instead of downloading it."
)
@FORCE
def get(name: str, given: tuple[Path, ...], force: bool) -> None:
    """Fetch the network NAME from where its makers put it, and tell first under which licence it is.

    A download that breaks off, or is ended with Ctrl-C, goes on from there the next time.
    """
    from livecnn.networks import catalogue
    from livecnn.networks.import_model import fetch_model

    entry = catalogue.find(name)
    unpinned = "" if all(file.sha256 for file in entry.files if file.suffix != ".txt") else " (its maker names no checksum)"
    click.echo(f"{name}: {entry.what}, {entry.megabytes:.1f} MB{unpinned}\nsource: {entry.source}\nlicence: {entry.licence}")
    _done(name, fetch_model(name, given, force=force))


@command.command(name="import")
@click.argument("files", nargs=-1, required=True, type=_common.FILE)
@click.option("--name", required=True, help="What the network will be called.")
@_common.fields("--input", "fields", "Of the input pipeline: --input size=[64,64].")
@_common.fields("--output", "output", "What the scores are: --output kind=sigmoid_logits.")
@click.option("--classes", metavar="FILE|A,B,C", help="Names in the order of the scores, or a file with one a line.")
@click.option("--architecture", help="For files of weights alone: one of livecnn's own, or package.module:factory.")
@_common.fields("--option", "options", "Of the architecture: --option depth=16.")
@click.option("--licence", default="unknown", show_default=True, help="Under which the network may be used.")
@click.option("--source", help="Where it comes from.  [the files' names]")
@click.option(
    "--precision",
    type=click.Choice(get_args(Precision)),
    default="float32",
    show_default=True,
    help="On CUDA; the other two are faster, if the scores stay within 0.01.",
)
@_common.allow_code
@FORCE
def import_(
    files: tuple[Path, ...],
    name: str,
    fields: tuple[str, ...],
    output: tuple[str, ...],
    classes: str | None,
    options: tuple[str, ...],
    licence: str,
    source: str | None,
    precision: Precision,
    **chosen: Any,
) -> None:
    """Make a network that another program saved one of your own models.

    FILES are those of one network; their suffixes tell what they are.
    """
    from livecnn.networks.import_model import ModelDescription, import_model

    told = {"input": _pairs("--input", fields), "output": _pairs("--output", output)}
    about = ModelDescription(classes=_names(classes), licence=licence, source=source or "", precision=precision, **told)
    _done(name, import_model(files, name, about, options=_pairs("--option", options), tell=_common.warn, **chosen))


@command.command()
@click.argument("name", shell_complete=_common.models)
@_common.allow_code
def check(name: str, allow_code: bool) -> int:
    """Run the network NAME on a known picture and compare its scores with those in its model.yaml.

    Ends with 0 if they agree, with 1 if not, with 2 if there is nothing to run or to compare with.
    """
    from livecnn.networks import bundle as bundles

    found = bundles.describe_difference(bundles.load(name, allow_code=allow_code))
    click.echo(f"{name}: {found or 'ok'}")
    return 1 if found else 0


def _done(name: str, folder: Path) -> None:
    click.echo(f"{name}: ready, in {folder}")


def _row(name: str, folder: Path) -> tuple[str, ...]:
    from livecnn import paths
    from livecnn.networks import bundle as bundles

    where = "shipped" if folder.parent == paths.shipped("models") else str(folder)
    try:
        card = bundles.read_card(folder)
    except ModelError as error:
        return name, f"damaged: {error}", where, "", ""
    return name, f"{card.architecture}, {len(card.classes)} classes", where, _size(folder, card), _accuracy(card.accuracy)


def _of_bundle(name: str, allow_code: bool) -> dict[str, Any]:
    from livecnn import paths
    from livecnn.networks import bundle as bundles

    bundle = bundles.load(name, allow_code=allow_code)
    if bundle.card is None:
        raise UsageError(f"{name}: code, not a bundle: it has no model.yaml to show")
    folder = paths.bundles().get(name, Path(name).expanduser())
    numbers = {"parameters": _parameters(bundle), "layers": _layers(bundle), "size": _size(folder, bundle.card)}
    return {**bundle.card.model_dump(mode="json"), **numbers, "folder": str(folder)}


def _of_entry(name: str) -> dict[str, Any]:
    from livecnn.networks import catalogue

    entry = catalogue.find(name)
    return {
        "name": name,
        "what": entry.what,
        "architecture": entry.architecture,
        "options": dict(entry.options),
        "input": dict(entry.input),
        "classes": list(entry.classes or ()),
        "licence": entry.licence,
        "source": entry.source,
        "accuracy": dict(entry.accuracy),
        "size": f"{entry.megabytes:.1f} MB",
        "files": [file.url for file in entry.files],
        "get": f"livecnn models get {name}",
    }


def _parameters(bundle: Bundle) -> int:
    return sum(parameter.numel() for parameter in bundle.module.parameters())


def _layers(bundle: Bundle) -> int:
    """Modules that are made of no others."""
    return sum(not any(module.children()) for module in bundle.module.modules())


def _size(folder: Path, card: ModelCard) -> str:
    weights = folder / card.weights.file
    return f"{weights.stat().st_size / 1e6:.1f} MB" if weights.is_file() else "no weights"


def _accuracy(shares: dict[str, float] | Any) -> str:
    return ", ".join(f"{data} {share:.2%}" for data, share in shares.items())


def _brief(value: Any) -> str:
    """A long list, such as the layers of an imported network, by its length; what is nested deeper not at all."""
    if isinstance(value, dict):
        return "(…)"
    return f"({len(value)} of them)" if isinstance(value, list) and len(value) > 4 else str(value)


def _text(key: str, value: Any) -> str:
    """A value of a card in one line."""
    if key == "check" and value:
        return f"{len(value['scores'])} scores of a picture of {value['sample'][1]}x{value['sample'][0]}"
    if key == "accuracy":
        return _accuracy(value)
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, dict):
        return _cut(", ".join(f"{name} {_brief(inner)}" for name, inner in value.items()))
    if isinstance(value, list):
        return _cut(f"{len(value)}: {', '.join(map(str, value))}" if key == "classes" and value else " ".join(map(str, value)))
    return str(value or "")


def _cut(text: str, most: int = 200) -> str:
    return text if len(text) <= most else f"{text[:most]} …"


def _pairs(option: str, words: Sequence[str]) -> dict[str, Any]:
    from livecnn.io import yaml_document as yamlfile

    pairs = {}
    for word in words:
        key, equals, text = word.partition("=")
        if not key.strip() or not equals:
            raise UsageError(f"{option} {word}: found no KEY=VALUE")
        pairs[key.strip()] = yamlfile.parse_value(text, f"{option} {word}", UsageError)
    return pairs


def _names(text: str | None) -> list[str] | None:
    from livecnn.networks.import_model import read_labels

    if text is None:
        return None
    if not text or ("," in text and not os.path.isfile(text)):  # which takes any text, pathlib raises
        names = [name.strip() for name in text.split(",")]
        if not all(names):
            raise UsageError(
                f"--classes: found an empty name in {text!r}; allowed: names between commas, or a file with one a line"
            )
        return names
    return read_labels(Path(text))

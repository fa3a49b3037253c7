"""`livecnn top`: the images that units answer to most."""

from __future__ import annotations

import importlib

import click

from livecnn.cli import _complete as complete
from livecnn.cli import pass_workbench
from livecnn.cli._workbench import ShellState


@click.command(short_help="The images to which each unit answers most, and statistics.")
@click.argument("images", shell_complete=complete.files)
@click.argument("model", default=complete.MODEL, shell_complete=complete.models)
@click.option(
    "--layers", required=True, metavar="A,B", shell_complete=complete.layers, help="Names as `livecnn layers MODEL` lists them."
)
@click.option("--k", type=click.IntRange(1, 100), default=9, show_default=True, help="Images of each unit.")
@click.option(
    "--out",
    metavar="DIR/",
    shell_complete=complete.files,
    help="A folder; a run that was interrupted there goes on.  [one for the explorer]",
)
@click.option("--shard", type=click.IntRange(1, 10_000_000), help="Images worked on and written at a time.  [256 or more]")
@click.option("--engine", type=click.Choice(["local", "ray"]), default="local", show_default=True, help="Who does the work.")
@click.option("--address", help="Of a Ray cluster: auto, HOST:PORT, ray://HOST:PORT.  [this machine]")
@click.option("--finder", type=click.Choice(["centre", "face"]), default="centre", show_default=True, help="What is cut out.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:N or mps.")
@click.option("--allow-code", is_flag=True, help="Let a model `package.module:factory` run its code.")
@click.option("--debug", is_flag=True, expose_value=False, help="Show the traceback of an error.")
@pass_workbench
def command(bench: ShellState, /, images: str, model: str, out: str | None, **options: object) -> None:
    """For every unit of some layers, the images to which it answers most, and statistics over all.

    IMAGES is a folder (sub-folders by class are labels) or MNIST-style idx files, or a video, or idx:DIR?split=train. MODEL is
    the name of a network at hand, a bundle's folder, or package.module:factory.

    The work is done in shards; what is finished stays in DIR/, and the same command goes on from there.
    Without --out that is a folder in your own data, where the explorer finds it; another question gets another folder.
    """
    found = importlib.import_module("livecnn.analysis.top.api").top(images, bench.model(model), out=out, **options)
    units = sum(found.units(layer) for layer in found.layers)
    skipped = f", {found.skipped} skipped (skipped.txt)" if found.skipped else ""
    counts = (len(found.layers), "layer"), (found.images, "image")
    layers, images = (f"{count} {noun}{'s'[: count != 1]}" for count, noun in counts)
    click.echo(f"{out or found.path}: {units} units of {layers}, {images}{skipped}")
    if out is None:
        click.echo(f"the explorer shows them: livecnn run explorer --model {model}")

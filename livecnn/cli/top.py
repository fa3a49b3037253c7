"""`livecnn top`: the images that units answer to most."""

import importlib

import click

from livecnn.cli import _common


@click.command(short_help="The images to which each unit answers most, and statistics.")
@click.argument("images", shell_complete=_common.files)
@_common.model
@click.option(
    "--layers", required=True, metavar="A,B", shell_complete=_common.layers, help="Names as `livecnn layers MODEL` lists them."
)
@click.option("--k", type=click.IntRange(1, 100), default=9, show_default=True, help="Images of each unit.")
@_common.out("DIR/", "A folder; a run that was interrupted there goes on.  [one for the explorer]", required=False)
@click.option("--shard", type=click.IntRange(1, 10_000_000), help="Images worked on and written at a time.  [256 or more]")
@_common.engine
@_common.address
@click.option("--finder", type=click.Choice(["centre", "face"]), default="centre", show_default=True, help="What is cut out.")
@_common.asks_network
@_common.pass_workbench
def command(bench: _common.ShellState, /, images: str, model: str, out: str | None, **options: object) -> None:
    """For every unit of some layers, the images to which it answers most, and statistics over all.

    IMAGES is a folder (sub-folders by class are labels) or MNIST-style idx files, or a video, or idx:DIR?split=train. MODEL is
    the name of a network at hand, a bundle's folder, or package.module:factory.

    The work is done in shards; what is finished stays in DIR/, and the same command goes on from there.
    Without --out that is a folder in your own data, where the explorer finds it; another question gets another folder.
    """
    found = importlib.import_module("livecnn.analysis.top.api").top(images, bench.model(model), out=out, **options)
    units = sum(found.units(layer) for layer in found.layers)
    skipped = f", {found.skipped} skipped (skipped.txt)" if found.skipped else ""
    counts = f"{units} units of {_common.counted(len(found.layers), 'layer')}, {_common.counted(found.images, 'image')}"
    click.echo(f"{out or found.path}: {counts}{skipped}")
    if out is None:
        click.echo(f"the explorer shows them: livecnn run explorer --model {model}")

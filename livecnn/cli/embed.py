"""`livecnn embed`: a map of pictures."""

from pathlib import Path
from typing import Any

import click

from livecnn.cli import _common


@click.command(short_help="A map of pictures: what a layer finds alike lies together.")
@click.argument("folder", shell_complete=_common.files)
@_common.model
@_common.layer("Whose activations", required=True)
@_common.out("X.png|X.html|X.csv|X.npz", "A picture, a page, a table, or a map for live use.", type=_common.FILE)
@click.option(
    "--method", type=click.Choice(["tsne", "pca", "umap"]), default="tsne", show_default=True, help="How they are laid out."
)
@click.option("--limit", type=click.IntRange(min=8), help="So many pictures, chosen at random.")
@click.option("--grid", is_flag=True, help="Each thumbnail in a cell of its own.")
@click.option("--size", type=int, help="Width of the picture in pixels, e.g. 6000 for print.  [1600]")
@_common.seed("The same seed, the same map.")
@_common.jobs
@_common.engine
@_common.address
@_common.asks_network
@_common.pass_workbench
def command(
    bench: _common.ShellState, /, folder: str, model: str, out: Path, grid: bool, size: int | None, **options: Any
) -> None:
    """A map of pictures on which those lie together to which a layer answers alike.

    FOLDER holds images (sub-folders by class are labels) or MNIST-style idx files, or is a video, or idx:DIR?split=train. MODEL
    is the name of a network at hand, a bundle's folder, or package.module:factory.

    What is finished stays in OUT.parts/ until the map is written, and the same command goes on from there.
    """
    from livecnn.analysis import shards
    from livecnn.analysis.embedding import api

    api.check_out(out, folder, size, grid=grid)
    parts, network = out.with_name(f"{out.name}.parts"), bench.model(model)
    with shards.exclusive(parts):
        made = api.embed(folder, network, parts=parts, **options)
        api.write(made, out, size, grid=grid)
        shards.discard(parts)
    skipped = f", {len(made.skipped)} skipped (first: {made.skipped[0]})" if made.skipped else ""
    click.echo(f"{bench.told(out)}: {len(made.names)} pictures{skipped}, {made.layer} by {made.method}")

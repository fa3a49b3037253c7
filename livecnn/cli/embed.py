"""`livecnn embed`: a map of pictures."""

from __future__ import annotations

import importlib
from pathlib import Path

import click

from livecnn.cli import _complete as complete
from livecnn.cli import pass_workbench
from livecnn.workbench import Workbench

FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.argument("folder", shell_complete=complete.files)
@click.argument("model", default=complete.MODEL, shell_complete=complete.models)
@click.option(
    "--layer",
    required=True,
    shell_complete=complete.layers,
    help="Whose activations; a name as `livecnn layers MODEL` lists them.",
)
@click.option(
    "--out",
    required=True,
    type=FILE,
    metavar="X.png|X.html|X.csv|X.npz",
    help="A picture, a page, a table, or a map for live use.",
)
@click.option(
    "--method", type=click.Choice(["tsne", "pca", "umap"]), default="tsne", show_default=True, help="How they are laid out."
)
@click.option("--limit", type=click.IntRange(min=8), help="So many pictures, chosen at random.")
@click.option("--grid", is_flag=True, help="Each thumbnail in a cell of its own.")
@click.option("--size", type=int, help="Width of the picture in pixels, e.g. 6000 for print.  [1600]")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="The same seed, the same map.")
@click.option("--jobs", type=click.IntRange(1, 256), default=1, show_default=True, help="Processes that prepare pictures.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:N or mps.")
@click.option("--allow-code", is_flag=True, help="Let a model `package.module:factory` run its code.")
@click.option("--debug", is_flag=True, expose_value=False, help="Show the traceback of an error.")
@pass_workbench
def command(
    bench: Workbench, /, folder: str, model: str, layer: str, out: Path, method: str, limit: int | None, grid: bool,
    size: int | None, seed: int, jobs: int, device: str, allow_code: bool,
) -> None:  # fmt: skip
    """A map of pictures on which those lie together to which a layer answers alike.

    FOLDER holds images (sub-folders by class are labels) or MNIST-style idx files, or is a video, or idx:DIR?split=train. MODEL
    is the name of a network at hand, a bundle's folder, or package.module:factory.
    """
    files = importlib.import_module("livecnn.embedding_files")
    files.check_out(out, size, grid=grid)
    embed = importlib.import_module("livecnn.embedder").embed
    network = bench.model(model)
    made = embed(folder, network, layer, method=method, limit=limit, seed=seed, jobs=jobs, device=device, allow_code=allow_code)
    files.write(made, out, size, grid=grid)
    skipped = f", {len(made.skipped)} skipped (first: {made.skipped[0]})" if made.skipped else ""
    click.echo(f"{bench.told(out)}: {len(made.names)} pictures{skipped}, {layer} by {method}")

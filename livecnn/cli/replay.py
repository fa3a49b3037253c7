"""`livecnn replay`: pictures as a film."""

from __future__ import annotations

import importlib
from pathlib import Path

import click

from livecnn.cli import _complete as complete
from livecnn.cli.run import Size

FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.argument("folder", shell_complete=complete.files)
@click.argument("config", required=False, shell_complete=complete.layouts)
@click.option("--out", help="A .gif or .mp4 file, or a folder for PNG files: FOLDER/.")
@click.option("--scores", type=FILE, help="Write a CSV row per picture shown; without --out no picture is drawn.")
@click.option("--summary", type=FILE, help="Write patterns over all pictures shown: FILE.png, FILE.csv or FILE.json.")
@click.option("--only-class", help="Only pictures in which the network sees this class.")
@click.option("--min-score", type=click.FloatRange(0, 1), default=0.0, help="Only where the top class has at least this score.")
@click.option("--max-score", type=click.FloatRange(0, 1), default=1.0, help="Only where it has at most this score.")
@click.option("--wrong", is_flag=True, help="Only misclassified pictures, where labels are known.")
@click.option("--limit", type=click.IntRange(min=1), help="At most so many pictures.")
@click.option("--shuffle", is_flag=True, help="Choose them at random.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of --shuffle.")
@click.option(
    "--order", type=click.Choice(["name", "score", "class"]), help="Of the pictures shown; score: the highest first.  [name]"
)
@click.option("--fps", type=click.FloatRange(0.01, 30), default=4.0, show_default=True, help="Pictures a second.")
@click.option("--hold", type=click.FloatRange(0, 3600), default=1.0, show_default=True, help="Seconds more for the last one.")
@click.option("--loop", type=click.IntRange(0, 65535), default=0, show_default=True, help="Times that a GIF plays; 0: for ever.")
@click.option("--size", type=Size(), help="Of the film, e.g. 1280x720.")
@click.option("--jobs", type=click.IntRange(1, 256), default=1, show_default=True, help="Processes that prepare pictures.")
@click.option(
    "--model",
    shell_complete=complete.models,
    help="A bundle's name or folder; with --allow-code also package.module:factory.",
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:N or mps.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change the layout: --set panels.ip1.rows=20.")
@click.option("--force", is_flag=True, help="Replace files that are there already.")
@click.option("--allow-code", is_flag=True, help="Let --model package.module:factory run code.")
@click.option("--debug", is_flag=True, expose_value=False, help="Show the traceback of an error.")
def command(folder: str, config: str | None, **options: object) -> None:
    """Show the pictures of a folder one by one, as a film.

    FOLDER holds images (sub-folders by class are labels) or MNIST-style idx files, or is a video, or idx:DIR?split=train.
    CONFIG is a layout: a file, or the name of one that ships (livecnn config list); replay by default, and for another --model
    one that fits it.
    """
    click.echo(str(importlib.import_module("livecnn.app.replay").replay(folder, config, **options)))

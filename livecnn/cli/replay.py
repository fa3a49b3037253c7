"""`livecnn replay`: pictures as a film."""

import importlib

import click

from livecnn.cli import _common


@click.command()
@click.argument("folder", shell_complete=_common.files)
@click.argument("config", required=False, shell_complete=_common.layouts)
@click.option("--out", help="A .gif or .mp4 file, or a folder for PNG files: FOLDER/.")
@click.option("--scores", type=_common.FILE, help="Write a CSV row per picture shown; without --out no picture is drawn.")
@click.option("--summary", type=_common.FILE, help="Write patterns over all pictures shown: FILE.png, FILE.csv or FILE.json.")
@click.option("--only-class", help="Only pictures in which the network sees this class.")
@click.option("--min-score", type=click.FloatRange(0, 1), default=0.0, help="Only where the top class has at least this score.")
@click.option("--max-score", type=click.FloatRange(0, 1), default=1.0, help="Only where it has at most this score.")
@click.option("--wrong", is_flag=True, help="Only misclassified pictures, where labels are known.")
@click.option("--limit", type=click.IntRange(min=1), help="At most so many pictures.")
@click.option("--shuffle", is_flag=True, help="Choose them at random.")
@_common.seed("Of --shuffle.")
@click.option(
    "--order", type=click.Choice(["name", "score", "class"]), help="Of the pictures shown; score: the highest first.  [name]"
)
@click.option("--fps", type=click.FloatRange(0.01, 30), default=4.0, show_default=True, help="Pictures a second.")
@click.option("--hold", type=click.FloatRange(0, 3600), default=1.0, show_default=True, help="Seconds more for the last one.")
@click.option("--loop", type=click.IntRange(0, 65535), default=0, show_default=True, help="Times that a GIF plays; 0: for ever.")
@click.option("--size", type=_common.Size(), help="Of the film, e.g. 1280x720.")
@_common.jobs
@_common.live_model
@_common.live_output
@_common.device
@_common.fields("--set", "overrides", "Change the layout: --set panels.ip1.rows=20.")
@_common.force("Replace files that are there already.")
@_common.live_allow_code
@_common.debug
def command(folder: str, config: str | None, **options: object) -> None:
    """Show the pictures of a folder one by one, as a film.

    FOLDER holds images (sub-folders by class are labels) or MNIST-style idx files, or is a video, or idx:DIR?split=train.
    CONFIG is a layout: a file, or the name of one that ships (livecnn config list); replay by default, and for another --model
    one that fits it.
    """
    click.echo(str(importlib.import_module("livecnn.app.replay").replay(folder, config, **options)))

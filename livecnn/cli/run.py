"""`livecnn run`: the main job."""

from __future__ import annotations

import gc
import importlib
import re
import sys
from pathlib import Path

import click

from livecnn.cli import _complete as complete
from livecnn.sources import SourceOptions


class Size(click.ParamType):  # type: ignore[type-arg]
    """640x480 -> (640, 480)."""

    name = "WxH"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        match = re.fullmatch(r"([1-9]\d{1,4})[x×]([1-9]\d{1,4})", str(value))
        if match is None:
            self.fail(f"{value!r} is not a size; allowed: WIDTHxHEIGHT, e.g. 640x480", param, ctx)
        return int(match[1]), int(match[2])


FILE = click.Path(path_type=Path, dir_okay=False)


@click.command(short_help="Show a network at work: camera, video, folder or the demo.")
@click.argument("config", required=False, shell_complete=complete.layouts)
@click.option("--source", help="auto, camera, camera:1, video:FILE, folder:DIR, demo, an http or rtsp address.")
@click.option(
    "--model",
    shell_complete=complete.models,
    help="A bundle's name or folder; with --allow-code also package.module:factory.",
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:N or mps.")
@click.option("--record", type=FILE, help="Record into a .gif or .mp4 file.")
@click.option("--headless", is_flag=True, help="Run the same loop without a window.")
@click.option("--frames", type=click.IntRange(min=1), help="End after so many ticks; with --headless, nothing is paced.")
@click.option(
    "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change the layout: --set panels.conv1.channels=0-9."
)
@click.option("--stats", type=FILE, help="Write rates, ages and counts as JSON.")
@click.option("--scores", type=FILE, help="Write a CSV row per pass through the network.")
@click.option("--fullscreen", is_flag=True, help="Open full screen (key f).")
@click.option("--once", is_flag=True, help="End with the video or folder instead of starting it over.")
@click.option("--camera-size", type=Size(), help="Size asked of the camera, e.g. 640x480.")
@click.option("--camera-fps", type=click.FloatRange(1, 1000), help="Rate asked of the camera.")
@click.option("--fps", type=click.FloatRange(0.01, 1000), help="Pictures a second of a folder (default 1), video or demo.")
@click.option("--seed", type=click.IntRange(min=0), default=0, help="Of the demo.")
@click.option("--allow-code", is_flag=True, help="Let --model package.module:factory run code.")
@click.option("--debug", is_flag=True, expose_value=False, help="Show the traceback of an error.")
def command(
    camera_size: tuple[int, int] | None, camera_fps: float | None, fps: float | None, seed: int, **chosen: object
) -> None:
    """Show a network at work on a camera, video, folder or the demo.

    CONFIG is a layout: a file, or the name of one that ships (livecnn config list); lenet by default, and for another --model
    one that fits it.
    """
    # Imported here so that --help and a mistyped option answer at once.
    _import_program()
    from livecnn.app.run import RunOptions, run

    run(RunOptions(**chosen, source_options=SourceOptions(camera_size, camera_fps, fps, seed)))  # type: ignore[arg-type]


def _import_program() -> None:
    """What modules hold lives for ever: looking for garbage in it would hold up the start, and now and then a picture."""
    if "livecnn.app.run" in sys.modules:
        return
    gc.disable()
    try:
        importlib.import_module("livecnn.app.run")
        gc.freeze()
    finally:
        gc.enable()

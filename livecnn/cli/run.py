"""`livecnn run`: the main job."""

import gc
import importlib
import sys

import click

from livecnn.cli import _common
from livecnn.sources import SourceOptions


@click.command(short_help="Show a network at work: camera, video, folder or the demo.")
@click.argument("config", required=False, shell_complete=_common.layouts)
@click.option("--source", help="auto, camera, camera:1, video:FILE, folder:DIR, demo, an http or rtsp address.")
@_common.live_model
@_common.live_output
@_common.device
@click.option("--record", type=_common.FILE, help="Record into a .gif or .mp4 file.")
@click.option("--headless", is_flag=True, help="Run the same loop without a window.")
@click.option("--frames", type=click.IntRange(min=1), help="End after so many ticks; with --headless, nothing is paced.")
@_common.fields("--set", "overrides", "Change the layout: --set panels.conv1.channels=0-9.")
@click.option("--stats", type=_common.FILE, help="Write rates, ages and counts as JSON.")
@click.option("--scores", type=_common.FILE, help="Write a CSV row per pass through the network.")
@click.option("--fullscreen", is_flag=True, help="Open full screen (key f).")
@click.option("--once", is_flag=True, help="End with the video or folder instead of starting it over.")
@click.option("--camera-size", type=_common.Size(), help="Size asked of the camera, e.g. 640x480.")
@click.option("--camera-fps", type=click.FloatRange(1, 1000), help="Rate asked of the camera.")
@click.option("--fps", type=click.FloatRange(0.01, 1000), help="Pictures a second of a folder (default 1), video or demo.")
@_common.seed("Of the demo.", shown=False)
@_common.live_allow_code
@_common.debug
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
    """Exempt what modules hold from garbage collection: it lives for ever, and a search would hold up pictures."""
    if "livecnn.app.run" in sys.modules:
        return
    gc.disable()
    try:
        importlib.import_module("livecnn.app.run")
        gc.freeze()
    finally:
        gc.enable()

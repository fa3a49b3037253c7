"""From pictures to a GIF or MP4 file or a folder of PNGs, one picture at a time: nothing but the newest one is held.

A file appears under its name when it is complete. Until then it is NAME.part.SUFFIX beside it, which can be played at any
moment (MP4: once ffmpeg has seen that nobody feeds it any more): what was recorded survives the end of the process by any signal.
"""

from pathlib import Path

from livecnn.errors import OutputError
from livecnn.io.files import check_writable, is_folder
from livecnn.io.recorders.base import Recorder, ThreadedRecorder, letterbox
from livecnn.io.recorders.gif import GifRecorder
from livecnn.io.recorders.mp4 import Mp4Recorder, find_ffmpeg
from livecnn.io.recorders.png_folder import NUMBERED, FolderRecorder, check_unnumbered

__all__ = [
    "NUMBERED",
    "FolderRecorder",
    "GifRecorder",
    "Mp4Recorder",
    "Recorder",
    "ThreadedRecorder",
    "find_ffmpeg",
    "letterbox",
    "open_recorder",
]

SUFFIXES = (".gif", ".mp4")


def open_recorder(path: Path | str, *, fps: float = 10.0, hold: float = 0.0, loop: int = 0) -> Recorder:
    """Return the recorder for a file's suffix, or for a folder: a path that ends with / or is a folder already.

    Args:
        path: .gif, .mp4 or a folder.
        fps: pictures a second, above 0; the last picture lasts 1 / fps seconds.
        hold: seconds that it lasts longer.
        loop: how often a GIF is played, at most 65,536 times; 0: for ever.

    Raises:
        OutputError: another suffix, or a place that cannot be written to.
    """
    name, path = str(path), Path(path)
    suffix = path.suffix.lower()
    if is_folder(name) and not name.lower().endswith(SUFFIXES):
        check_writable(path / "0000.png")
        check_unnumbered(path)
        return FolderRecorder(path)
    if suffix not in SUFFIXES:
        allowed = f"{', '.join(SUFFIXES)}, or a folder: {name}/"
        raise OutputError(f"{path}: unknown suffix {path.suffix!r}; allowed: {allowed}")
    if suffix == ".mp4":
        find_ffmpeg()
    check_writable(path)
    return GifRecorder(path, fps, hold, loop) if suffix == ".gif" else Mp4Recorder(path, fps, hold)

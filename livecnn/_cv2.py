"""OpenCV, imported the safe way. Everybody writes `from livecnn._cv2 import cv2`.

OpenCV reads some settings from the environment only while it is imported, and its wheel for Linux points Qt to its own
Qt 5 plugins, with which no PySide6 window opens (https://github.com/opencv/opencv-python/issues/736).
"""

import contextlib
import os
from collections.abc import Iterator

from livecnn.errors import SystemLibraryError

MAX_PIXELS = 50_000_000  # of one picture; more is taken for a decompression bomb

_SETTINGS = {
    "OPENCV_IO_MAX_IMAGE_PIXELS": str(MAX_PIXELS),
    "OPENCV_LOG_LEVEL": "FATAL",  # our own errors say it in one line; a user may ask for OpenCV's
    "OPENCV_FFMPEG_LOGLEVEL": "-8",  # AV_LOG_QUIET
    "OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT": "4",  # seconds without a picture until a camera counts as lost; 10 otherwise
    "OPENCV_VIDEOIO_MSMF_ENABLE_HW_TRANSFORMS": "0",  # else Windows cameras take up to 20 s to open
}
_NEEDED = "libgl1 libglib2.0-0 libegl1 libxkbcommon-x11-0 libxcb-cursor0"
_QT = ("QT_QPA_PLATFORM_PLUGIN_PATH", "QT_QPA_FONTDIR")

for _name, _value in _SETTINGS.items():
    os.environ.setdefault(_name, _value)
_before = {name: os.environ.get(name) for name in _QT}

try:
    import cv2  # after the settings
except ImportError as _error:
    if ".so" not in str(_error):
        raise
    raise SystemLibraryError(f"OpenCV lacks a system library ({_error}); Debian, Ubuntu: apt install {_NEEDED}") from _error


def _restore_environment() -> None:
    """Undo what importing OpenCV did to Qt's variables, also if somebody else imported it before us."""
    own = os.path.dirname(cv2.__file__)
    for name, before in _before.items():
        if own not in os.environ.get(name, ""):
            continue
        if before is None or own in before:
            del os.environ[name]
        else:
            os.environ[name] = before


_restore_environment()


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Let OpenCV work on the caller's thread alone: threads that share small pictures mostly wait for each other."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


__all__ = ["MAX_PIXELS", "cv2", "one_thread"]

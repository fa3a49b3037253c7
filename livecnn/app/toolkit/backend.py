"""Find out whether and with what a window can be opened, and open it; no toolkit and nothing heavy is imported for that."""

import ctypes.util
import importlib
import os
import sys

from matplotlib.backend_bases import FigureManagerBase
from matplotlib.figure import Figure
from matplotlib.transforms import BboxBase

from livecnn.errors import UsageError


class NoRestoreMixin:
    """Base of our canvases: no copies of the whole picture that a tick can do without.

    FuncAnimation keeps a background and restores it before every tick; the stage does that itself, and only where it must.
    """

    def copy_from_bbox(self, _bbox: BboxBase) -> None:
        """There is no background to keep."""

    def restore_region(self, *_: object) -> None:
        """There is no background to restore."""


def has_display() -> bool:
    """Return whether a window can be opened; on X11 and Wayland that takes the name of a display."""
    return sys.platform in ("win32", "darwin") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def backend() -> str:
    """Return "qtagg" with PySide6 (or another Qt for Python), else "tkagg"; raise UsageError if there is neither."""
    for name in ("qtagg", "tkagg") if _qt_can_start() else ("tkagg",):
        try:
            importlib.import_module(f"matplotlib.backends.backend_{name}")
        except ImportError:
            continue
        return name
    if not _qt_can_start():
        raise UsageError(
            "no window toolkit: Qt lacks the system library libxcb-cursor (Debian, Ubuntu: apt install libxcb-cursor0)"
        )
    raise UsageError("no window toolkit: `pip install PySide6-Essentials`, install Tk for Python, or use --headless")


def _qt_can_start() -> bool:
    """On X11, without this library, Qt ends the whole process instead of raising an error."""
    x11 = sys.platform.startswith("linux") and not os.environ.get("WAYLAND_DISPLAY")
    return not x11 or ctypes.util.find_library("xcb-cursor") is not None


def new_manager(figure: Figure, toolkit: str) -> FigureManagerBase:
    """Open a window for a figure; raise UsageError if the display does not answer."""
    canvas_class = importlib.import_module(f"livecnn.app.toolkit.{toolkit}").FigureCanvas
    try:
        manager: FigureManagerBase = canvas_class.new_manager(figure, 1)
    except Exception as error:  # each toolkit has its own
        place = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY") or "here"
        raise UsageError(f"no window on display {place}: {error}; --headless runs without one") from error
    return manager

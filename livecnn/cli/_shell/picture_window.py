"""A window beside a prompt: it shows one picture, and lives while the prompt waits."""

import time
from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl
from matplotlib.artist import Artist
from matplotlib.backend_bases import FigureManagerBase, KeyEvent
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.figure import Figure

from livecnn.app.toolkit.backend import new_manager
from livecnn.drawing.artists import renderer_buffer, resize_exactly
from livecnn.drawing.theme import THEMES
from livecnn.errors import OutputError
from livecnn.io.files import free_path, write_png
from livecnn.types import Image

MOST = (1280, 720)  # pixels of a window that opens
DPI = 100
PAUSE = 0.02  # seconds between two looks at the window
GROUND = "#{:02x}{:02x}{:02x}".format(*THEMES["dark"].background)


class PictureWindow:
    """The window opens with the first picture, and again with the next one after it was closed. For the main thread.

    In it `s` saves the picture into the folder `saved`, `q` closes the window.
    """

    def __init__(self, toolkit: str, saved: Path) -> None:
        self._toolkit, self._saved = toolkit, saved
        self._manager: FigureManagerBase | None = None

    def show(self, picture: Image, title: str) -> None:
        """uint8 (H, W, 3), in place of the one before. Raises UsageError if the display does not answer."""
        self._look()  # what was done to the picture before, closing it say, is not for this one
        self._manager = self._manager or self._opened(picture)
        self._fitted.picture = picture
        self._manager.set_window_title(title)
        ratio = self._manager.canvas.device_pixel_ratio
        self._manager.resize(*(round(ratio * side) for side in _size(picture)))
        self._manager.canvas.draw()
        self._look()

    def live(self, enough: Callable[[], bool]) -> None:
        """Let the window do what windows do, until it is enough or the window is closed."""
        while self._look() and not enough():
            time.sleep(PAUSE)

    def close(self) -> None:
        """Idempotent."""
        manager, self._manager = self._manager, None
        if manager is not None:
            manager.destroy()

    def _opened(self, picture: Image) -> FigureManagerBase:
        width, height = _size(picture)
        figure = Figure((width / DPI, height / DPI), DPI, facecolor=GROUND)
        self._fitted = _Fitted(picture)
        figure.add_artist(self._fitted)
        # The one who types keeps the keyboard, where the window manager leaves that to us.
        with mpl.rc_context({"toolbar": "None", "figure.raise_window": False}):
            manager = new_manager(figure, self._toolkit)
            if manager.key_press_handler_id is not None:
                manager.canvas.mpl_disconnect(manager.key_press_handler_id)  # matplotlib's own keys
            manager.canvas.mpl_connect("key_press_event", self._press)
            manager.canvas.mpl_connect("close_event", self._closed)
            manager.show()
        return manager

    def _look(self) -> bool:
        """Is there a window, after all that happened to it?"""
        if self._manager is not None:
            self._manager.canvas.flush_events()
        return self._manager is not None

    def _press(self, event: KeyEvent) -> None:
        if event.key in ("q", "escape"):
            self.close()
        elif event.key == "s" and self._manager is not None:
            self._manager.set_window_title(self._save())

    def _save(self) -> str:
        path = free_path(self._saved, ".png")
        try:
            write_png(path, self._fitted.picture)
        except OutputError as error:
            return str(error)
        return f"saved as {path}"

    def _closed(self, _event: object) -> None:
        self._manager = None


def _size(picture: Image) -> tuple[float, float]:
    """Of its window: width and height."""
    height, width = picture.shape[:2]
    scale = min(1, MOST[0] / width, MOST[1] / height)
    return scale * width, scale * height


class _Fitted(Artist):
    """A picture in the middle, as large as the window."""

    def __init__(self, picture: Image) -> None:
        super().__init__()
        self.picture = picture

    def draw(self, renderer: RendererAgg) -> None:  # type: ignore[override]  # the base class leaves it untyped
        buffer = renderer_buffer(renderer)
        height, width = buffer.shape[:2]
        scale = min(width / self.picture.shape[1], height / self.picture.shape[0])
        high, wide = (max(1, round(scale * side)) for side in self.picture.shape[:2])
        top, left = (height - high) // 2, (width - wide) // 2
        buffer[top : top + high, left : left + wide, :3] = resize_exactly(self.picture, wide, high)

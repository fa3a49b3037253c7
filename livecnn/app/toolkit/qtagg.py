"""A canvas in a Qt window."""

import importlib
from typing import Any

from matplotlib.backends.backend_qtagg import FigureCanvasQTAgg
from matplotlib.backends.qt_compat import QT_API

from livecnn.app.toolkit.backend import NoRestoreMixin

QtGui: Any = importlib.import_module(f"{QT_API}.QtGui")


class FigureCanvas(NoRestoreMixin, FigureCanvasQTAgg):
    """Paints straight from Agg's pixels."""

    def paintEvent(self, _event: object) -> None:
        """Paint the pixels; matplotlib's own method copies the pixels, clears the widget and blends the copy over it."""
        self._draw_idle()  # type: ignore[no-untyped-call]
        if not hasattr(self, "renderer"):
            return  # nothing was drawn yet
        width, height = self.get_width_height(physical=True)
        pixels = self.buffer_rgba()  # type: ignore[no-untyped-call]
        image = QtGui.QImage(pixels, width, height, QtGui.QImage.Format.Format_RGBX8888)
        image.setDevicePixelRatio(self.device_pixel_ratio)
        painter = QtGui.QPainter(self)
        try:
            painter.drawImage(0, 0, image)
        finally:
            painter.end()

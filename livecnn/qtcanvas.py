"""matplotlib's Qt canvas without the copies of the whole picture that our ticks can do without."""

from __future__ import annotations

from matplotlib.backends.backend_qtagg import FigureCanvasQTAgg
from matplotlib.backends.qt_compat import QtGui  # type: ignore[attr-defined]  # made when the toolkit is chosen
from matplotlib.transforms import BboxBase

from livecnn.pixels import buffer_of


class FigureCanvas(FigureCanvasQTAgg):
    """Paints straight from Agg's pixels, and leaves it to the stage to put the still picture back."""

    def paintEvent(self, _event: QtGui.QPaintEvent) -> None:
        """As the base class, which copies the pixels, clears the widget and blends the copy over it."""
        self._draw_idle()  # type: ignore[no-untyped-call]
        if not hasattr(self, "renderer"):
            return  # nothing was drawn yet
        width, height = self.get_width_height(physical=True)
        image = QtGui.QImage(buffer_of(self.renderer).data, width, height, QtGui.QImage.Format.Format_RGBX8888)
        image.setDevicePixelRatio(self.device_pixel_ratio)
        painter = QtGui.QPainter(self)
        try:
            painter.drawImage(0, 0, image)
        finally:
            painter.end()

    def copy_from_bbox(self, _bbox: BboxBase) -> None:
        """FuncAnimation asks for a background, to restore before every tick."""

    def restore_region(self, *_: object) -> None:
        """See copy_from_bbox."""

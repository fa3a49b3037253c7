"""A canvas in a Tk window."""

from matplotlib.backends.backend_tkagg import FigureCanvasTkAgg

from livecnn.app.toolkit.backend import NoRestoreMixin


class TkFigureCanvas(NoRestoreMixin, FigureCanvasTkAgg):
    """As matplotlib's own."""


FigureCanvas = TkFigureCanvas

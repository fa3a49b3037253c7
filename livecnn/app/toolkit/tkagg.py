"""A canvas in a Tk window."""

from matplotlib.backends.backend_tkagg import FigureCanvasTkAgg

from livecnn.app.toolkit.backend import NoRestoreMixin


class FigureCanvas(NoRestoreMixin, FigureCanvasTkAgg):
    """As matplotlib's own."""

"""matplotlib's canvases, one file for each toolkit, without copies of the whole picture that a tick can do without."""

from matplotlib.transforms import BboxBase


class NoRestoreMixin:
    """FuncAnimation keeps a background and restores it before every tick; the stage does that itself, and only where it must."""

    def copy_from_bbox(self, _bbox: BboxBase) -> None:
        """There is no background to keep."""

    def restore_region(self, *_: object) -> None:
        """There is no background to restore."""

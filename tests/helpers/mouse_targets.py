"""Where targets of the mouse lie on a screen."""

from dataclasses import replace

from livecnn.app.screen.figure import FigureView
from livecnn.panels.base.drawer import Drawer
from livecnn.panels.base.targets import Target
from livecnn.selection import Unit

STEP = 4  # pixels between two looks


def place(screen: FigureView, target: Target) -> tuple[int, int]:
    """A pixel where it is found; a unit at any position of its map."""
    found = next(filter(None, (_inside(drawer, target) for drawer in screen.drawers.values())), None)
    assert found is not None, f"{target} is nowhere"
    return found


def _inside(drawer: Drawer, target: Target) -> tuple[int, int] | None:
    left, top, width, height = drawer.card
    for y in range(top, top + height, STEP):
        for x in range(left, left + width, STEP):
            there = drawer.target_at(x, y)
            if there == target or (isinstance(there, Unit) and replace(there, position=None) == target):
                return x, y
    return None

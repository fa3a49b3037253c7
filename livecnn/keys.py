"""The keys of the window: one table, from which the help overlay and the manual are made."""

from __future__ import annotations

from typing import NamedTuple


class Key(NamedTuple):
    """What to press (matplotlib's key names), the method of Controls that it calls, and what the help says."""

    names: tuple[str, ...]
    action: str
    shown: str
    meaning: str


KEYS = (
    Key((" ",), "freeze", "space", "freeze the picture, and go on"),
    Key(tuple("0123456789"), "sort", "0-9", "sort neurons by their weight to that class; again: unsorted"),
    Key(("v",), "next_view", "v", "next view"),
    Key(("k",), "next_colormap", "k", "next colour map"),
    Key(("+", "="), "grow_box", "+", "larger box"),
    Key(("-", "_"), "shrink_box", "−", "smaller box"),
    Key(("d",), "next_camera", "d", "next camera"),
    Key(("p",), "pad", "p", "draw with the mouse instead (right button erases, wheel: thickness), and back"),
    Key(("c",), "clear_pad", "c", "a clean sheet to draw on"),
    Key(("m",), "mirror", "m", "mirror the camera picture"),
    Key(("s",), "snapshot", "s", "save the picture as PNG"),
    Key(("r",), "record", "r", "record into recordings/, and stop"),
    Key(("f",), "fullscreen", "f", "full screen, and back"),
    Key(("h", "?"), "help", "h", "show or hide this help"),
    Key(("q", "escape"), "quit", "q, Esc", "quit"),
)
ACTIONS = {name: key.action for key in KEYS for name in key.names}

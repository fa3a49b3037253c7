"""The keys of the window and what the mouse does: two tables, from which the help overlay and the manual are made."""

from __future__ import annotations

from typing import NamedTuple


class Key(NamedTuple):
    """What to press (matplotlib's key names), the method of Controls or Explorer that it calls, and what the help says."""

    names: tuple[str, ...]
    action: str
    shown: str
    meaning: str


class Gesture(NamedTuple):
    """What to do with the mouse, and what the help says of it."""

    shown: str
    meaning: str


WINDOW_KEYS = (
    Key((" ",), "freeze", "space", "freeze the picture, and go on"),
    Key(tuple("0123456789"), "sort", "0-9", "choose a class, sort neurons by their weight to it; again: none"),
    Key(("v",), "next_view", "v", "next view"),
    Key(("k",), "next_colormap", "k", "next colour map"),
    Key(("+", "="), "grow_box", "+", "larger box"),
    Key(("-", "_"), "shrink_box", "−", "smaller box"),
    Key(("d",), "next_camera", "d", "next camera"),
    Key(("p",), "pad", "p", "draw with the mouse instead, and back"),
    Key(("c",), "clear_pad", "c", "a clean sheet to draw on"),
    Key(("m",), "mirror", "m", "mirror the camera picture"),
    Key(("s",), "snapshot", "s", "save the picture as PNG"),
    Key(("r",), "record", "r", "record into recordings/, and stop"),
    Key(("f",), "fullscreen", "f", "full screen, and back"),
    Key(("h", "?"), "help", "h", "show or hide this help"),
    Key(("q", "escape"), "quit", "q, Esc", "quit"),
)
EXPLORER_KEYS = (
    Key(("]", "ctrl+right"), "next_layer", "]", "next layer"),
    Key(("[", "ctrl+left"), "previous_layer", "[", "layer before"),
    Key(("right",), "right", "→", "unit to the right"),
    Key(("left",), "left", "←", "unit to the left"),
    Key(("down",), "down", "↓", "unit below"),
    Key(("up",), "up", "↑", "unit above"),
    Key(("pagedown",), "next_page", "page ↓", "more maps of the layer"),
    Key(("pageup",), "previous_page", "page ↑", "maps before"),
    Key(("o",), "next_order", "o", "order units: number, mean, max, contribution, weight"),
    Key(("g",), "grid_method", "g", "the grid by another method"),
    Key(("e",), "next_method", "e", "explain the unit by another method"),
    Key(("w",), "more_methods", "w", "one, two, three methods side by side"),
    Key(("t",), "pin_class", "t", "keep the predicted class chosen, and let go"),
    Key(("x",), "mute", "x", "mute the unit, and back"),
    Key(("z",), "restore", "z", "all units work again"),
    Key(("l",), "fold", "l", "fold or unfold the group of the layer"),
    Key(("a",), "mark_mode", "a", "annotate with the mouse, and back"),
    Key(("y",), "mark_good", "y", "unit: good"),
    Key(("b",), "mark_bad", "b", "unit: bad"),
    Key(("u",), "unmark", "u", "unit: neither"),
    Key(("n",), "write_note", "n", "write a note to the unit"),
    Key((",",), "earlier", ",", "frozen: a moment earlier"),
    Key((".",), "later", ".", "frozen: a moment later"),
)
KEYS = (*WINDOW_KEYS, *EXPLORER_KEYS)
ACTIONS = {name: key.action for key in KEYS for name in key.names}

GESTURES = (
    Gesture("click", "a view, layer, unit, class, method, or, frozen, a moment"),
    Gesture("Ctrl + click", "mute a unit, and back"),
    Gesture("hover", "what it is, and the unit enlarged"),
    Gesture("wheel", "scroll the layers; pages of maps; the pen's width"),
    Gesture("annotating", "click: good, double: bad, Shift: neither"),
    Gesture("drawing", "left button draws, right one erases"),
)

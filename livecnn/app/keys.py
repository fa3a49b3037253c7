"""The keys of the window and what the mouse does: two tables, from which the help overlay and the manual are made."""

from typing import NamedTuple

from livecnn.selection import Action


class Key(NamedTuple):
    """A key (in matplotlib's names), its action, and the line of the help."""

    names: tuple[str, ...]
    action: Action
    shown: str
    meaning: str


class Gesture(NamedTuple):
    """A gesture of the mouse, and the line of the help."""

    shown: str
    meaning: str


WINDOW_KEYS = (
    Key((" ",), Action.FREEZE, "space", "freeze the picture, and go on"),
    Key(tuple("0123456789"), Action.SORT, "0-9", "choose a class, sort neurons by their weight to it; again: none"),
    Key(("v",), Action.NEXT_VIEW, "v", "next view"),
    Key(("k",), Action.NEXT_COLORMAP, "k", "next colour map"),
    Key(("+", "="), Action.GROW_BOX, "+", "larger box"),
    Key(("-", "_"), Action.SHRINK_BOX, "−", "smaller box"),
    Key(("d",), Action.NEXT_CAMERA, "d", "next camera"),
    Key(("p",), Action.PAD, "p", "draw with the mouse instead, and back"),
    Key(("c",), Action.CLEAR_PAD, "c", "a clean sheet to draw on"),
    Key(("m",), Action.MIRROR, "m", "mirror the camera picture"),
    Key(("s",), Action.SNAPSHOT, "s", "save the picture as PNG"),
    Key(("r",), Action.RECORD, "r", "record into recordings/, and stop"),
    Key(("f",), Action.FULLSCREEN, "f", "full screen, and back"),
    Key(("h", "?"), Action.HELP, "h", "show or hide this help"),
    Key(("q", "escape"), Action.QUIT, "q, Esc", "quit"),
)
EXPLORER_KEYS = (
    Key(("]", "ctrl+right"), Action.NEXT_LAYER, "]", "next layer"),
    Key(("[", "ctrl+left"), Action.PREVIOUS_LAYER, "[", "layer before"),
    Key(("right",), Action.RIGHT, "→", "unit to the right"),
    Key(("left",), Action.LEFT, "←", "unit to the left"),
    Key(("down",), Action.DOWN, "↓", "unit below"),
    Key(("up",), Action.UP, "↑", "unit above"),
    Key(("pagedown",), Action.NEXT_PAGE, "page ↓", "more maps of the layer"),
    Key(("pageup",), Action.PREVIOUS_PAGE, "page ↑", "maps before"),
    Key(("o",), Action.NEXT_ORDER, "o", "order units: number, mean, max, contribution, weight"),
    Key(("g",), Action.GRID_METHOD, "g", "the grid by another method"),
    Key(("e",), Action.NEXT_METHOD, "e", "explain the unit by another method"),
    Key(("w",), Action.MORE_METHODS, "w", "one, two, three methods side by side"),
    Key(("t",), Action.PIN_CLASS, "t", "keep the predicted class chosen, and let go"),
    Key(("x",), Action.MUTE, "x", "mute the unit, and back"),
    Key(("z",), Action.RESTORE, "z", "all units work again"),
    Key(("l",), Action.FOLD, "l", "fold or unfold the group of the layer"),
    Key(("a",), Action.MARK_MODE, "a", "annotate with the mouse, and back"),
    Key(("y",), Action.MARK_GOOD, "y", "unit: good"),
    Key(("b",), Action.MARK_BAD, "b", "unit: bad"),
    Key(("u",), Action.UNMARK, "u", "unit: neither"),
    Key(("n",), Action.WRITE_NOTE, "n", "write a note to the unit"),
    Key((",",), Action.EARLIER, ",", "frozen: a moment earlier"),
    Key((".",), Action.LATER, ".", "frozen: a moment later"),
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

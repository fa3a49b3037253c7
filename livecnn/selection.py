"""Define what the user selects in the explorer."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Literal, get_args

INPUT, OUTPUT = "", "(output)"  # the two ends of a network, as if they were layers

Order = Literal["number", "mean", "max", "contribution", "weight"]
ORDERS: tuple[Order, ...] = get_args(Order)


class Action(Enum):
    """The actions of keys and of words on panels. `Controls.act` carries each one out.

    Four of them need an argument: the number of a class (SORT), a method's kind (CHOOSE_METHOD, TOGGLE_METHOD), "session" or
    "collection" (CHOOSE_SHOTS).
    """

    FREEZE = auto()
    SORT = auto()
    NEXT_VIEW = auto()
    NEXT_COLORMAP = auto()
    GROW_BOX = auto()
    SHRINK_BOX = auto()
    NEXT_CAMERA = auto()
    PAD = auto()
    CLEAR_PAD = auto()
    MIRROR = auto()
    SNAPSHOT = auto()
    RECORD = auto()
    FULLSCREEN = auto()
    HELP = auto()
    QUIT = auto()
    NEXT_LAYER = auto()
    PREVIOUS_LAYER = auto()
    RIGHT = auto()
    LEFT = auto()
    DOWN = auto()
    UP = auto()
    NEXT_PAGE = auto()
    PREVIOUS_PAGE = auto()
    NEXT_ORDER = auto()
    GRID_METHOD = auto()
    NEXT_METHOD = auto()
    MORE_METHODS = auto()
    PIN_CLASS = auto()
    MUTE = auto()
    RESTORE = auto()
    FOLD = auto()
    MARK_MODE = auto()
    MARK_GOOD = auto()
    MARK_BAD = auto()
    UNMARK = auto()
    WRITE_NOTE = auto()
    EARLIER = auto()
    LATER = auto()
    CHOOSE_METHOD = auto()
    TOGGLE_METHOD = auto()
    CHOOSE_SHOTS = auto()


@dataclass(frozen=True, slots=True)
class Unit:
    """A map or a neuron of a layer, and, where the mouse is on its map, the position (row, column) there."""

    layer: str
    index: int
    position: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Selection:
    """The layer, unit, class and methods that the user looks at."""

    layer: str = OUTPUT  # a node's name, INPUT or OUTPUT
    unit: int = 0  # the selected one of that layer
    hover: Unit | None = None  # the unit under the mouse, of that layer
    target: int | None = None  # the chosen class; None: the one that the network predicts
    # modules of `livecnn.explain.methods`, whose pictures of the unit are side by side
    methods: tuple[str, ...] = ("activation", "guided_backprop", "occlusion")
    grid: str = "activation"  # the method that the layer's grid shows, "activation" or one that explains units
    order: Order = "number"  # of the grid, the important units first
    page: int = 0  # of the grid
    marking: bool = False  # clicks annotate
    # the unit's strongest images are those of a collection, not of this session; None: where there is one
    collection: bool | None = None

    @property
    def unit_shown(self) -> Unit:
        """The unit under the mouse, else the selected one."""
        return self.hover or Unit(self.layer, self.unit)

    def at_layer(self, layer: str) -> Selection:
        """Return the same for another layer, its first unit and page."""
        return self if layer == self.layer else replace(self, layer=layer, unit=0, page=0, hover=None)


class MutedUnits:
    """The muted units of a network, kept here alone: the controls change them, the loops, explainers and panels read them.

    Any thread may call everything. A reader that remembers `version` need only compare numbers to notice a change.
    """

    def __init__(self) -> None:
        self._state: tuple[int, frozenset[tuple[str, int]]] = 0, frozenset()

    @property
    def version(self) -> int:
        """Grow with every change."""
        return self._state[0]

    @property
    def units(self) -> frozenset[tuple[str, int]]:
        """Layers and indices."""
        return self._state[1]

    def read(self) -> tuple[int, frozenset[tuple[str, int]]]:
        """Return the version and the units that belong to it."""
        return self._state

    def set(self, units: Collection[tuple[str, int]]) -> None:
        """Mute these units, and no others."""
        if self.units != (wanted := frozenset(units)):
            self._state = self.version + 1, wanted


Ask = Literal["unit", "grid", "contributions", "preferred"]  # see ExplanationUpdate

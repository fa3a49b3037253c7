"""What can lie under the mouse on a panel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from livecnn.geometry import Rect
from livecnn.selection import Action, Unit


@dataclass(frozen=True, slots=True)
class LayerTarget:
    """A node of the architecture."""

    name: str


@dataclass(frozen=True, slots=True)
class GroupTarget:
    """Layers that are folded into one node, or can be."""

    name: str


@dataclass(frozen=True, slots=True)
class ClassTarget:
    """One of the network's classes."""

    index: int


@dataclass(frozen=True, slots=True)
class TimePoint:
    """A time in the past, on the clock of the frames' times."""

    time: float


@dataclass(frozen=True, slots=True)
class ButtonTarget:
    """A word that does what a key does. argument: of actions that need one, e.g. the kind of a method."""

    action: Action
    argument: str = ""


@dataclass(frozen=True, slots=True)
class ImageRank:
    """One of the images that a unit answers to most, by its place among them."""

    rank: int


Target: TypeAlias = Unit | LayerTarget | GroupTarget | ClassTarget | TimePoint | ButtonTarget | ImageRank


@dataclass(frozen=True, slots=True)
class Tooltip:
    """What there is to say of a target, and where it lies: the words must not cover it."""

    lines: tuple[str, ...]
    about: Rect

"""Define the targets under the mouse on a panel, and words that act like keys."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from livecnn.drawing.artists import Group, Label, text_width
from livecnn.drawing.theme import Color
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
    """One of the images with the strongest response of a unit, by rank."""

    rank: int


Target: TypeAlias = Unit | LayerTarget | GroupTarget | ClassTarget | TimePoint | ButtonTarget | ImageRank


@dataclass(frozen=True, slots=True)
class Tooltip:
    """Lines about a target, and its place, which the words must not cover."""

    lines: tuple[str, ...]
    about: Rect


class TextButton(NamedTuple):
    """A word, its color, and what a click on it does."""

    text: str
    color: Color
    button: ButtonTarget


class TextButtons(Group):
    """Words in a row that can be clicked, at most `most` of them."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._labels = [Label((0, 0, 0)) for _ in range(most)]
        self.members = [*self._labels]
        self._words: Sequence[TextButton] = ()
        self._places: list[Rect] = []

    def put(self, words: Sequence[TextButton], x: int, baseline: int, size: int, gap: int, width: int) -> int:
        """One row from x on, at most `gap` pixels between two words; those without room are left out. Returns their width."""
        self._words, self._places = words, []
        gap = max(gap // 2, min(gap, (width - row_width([word.text for word in words], size, 0)) // max(1, len(words) - 1)))
        left = x
        for label in self._labels:
            label.text = ""
        for label, word in zip(self._labels, words, strict=False):
            advance = text_width(word.text, size)
            if left + advance > x + width:
                break
            label.text, label.color = word.text, word.color
            label.place(left, baseline, size)
            self._places.append(Rect(left - gap // 2, baseline - size - size // 4, advance + gap, round(1.6 * size)))
            left += advance + gap
        return max(0, left - gap - x)

    def at(self, x: float, y: float) -> ButtonTarget | None:
        """Return the button at a device pixel."""
        found = (word.button for word, place in zip(self._words, self._places, strict=False) if place.contains(x, y))
        return next(found, None)

    def place_of(self, button: ButtonTarget) -> Rect | None:
        """Return the rectangle of a button, if it is shown."""
        found = (place for word, place in zip(self._words, self._places, strict=False) if word.button == button)
        return next(found, None)


def row_width(words: Sequence[str], size: int, gap: int) -> int:
    """Pixels that a row of words takes."""
    return sum(text_width(word, size) + gap for word in words) - gap

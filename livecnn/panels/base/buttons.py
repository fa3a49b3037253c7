"""Words that act like keys, one after the other in rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from livecnn.drawing.artists import Group, Label, text_width
from livecnn.drawing.theme import Color
from livecnn.geometry import Rect
from livecnn.panels.base.targets import ButtonTarget


class TextButton(NamedTuple):
    """What stands there, in which colour, and what it does."""

    text: str
    color: Color
    button: ButtonTarget


class TextButtons(Group):
    """most: words at most."""

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
        """The button at a device pixel."""
        found = (word.button for word, place in zip(self._words, self._places, strict=False) if place.contains(x, y))
        return next(found, None)

    def place_of(self, button: ButtonTarget) -> Rect | None:
        found = (place for word, place in zip(self._words, self._places, strict=False) if word.button == button)
        return next(found, None)


def row_width(words: Sequence[str], size: int, gap: int) -> int:
    """Pixels that a row of words takes."""
    return sum(text_width(word, size) + gap for word in words) - gap

"""Words that have to fit: the longest wording for a place, and texts of several lines."""

from __future__ import annotations

from collections.abc import Sequence

from livecnn.geometry import Rect
from livecnn.pixels import Group, Label, Weight, text_width
from livecnn.theme import Color

LINES = 8  # of a paragraph at most


def fitting(wordings: Sequence[str], width: int, size: int, weight: Weight = "normal") -> str:
    """The first that is no wider than `width` pixels, else the last."""
    return next((words for words in wordings if text_width(words, size, weight) <= width), wordings[-1])


def wrapped(text: str, width: int, size: int) -> list[str]:
    """Lines of whole words; only one that is wider than `width` pixels itself stands alone on a line too long."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and text_width(longer, size) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


class Paragraph(Group):
    """A text of some lines in the middle of a box."""

    def __init__(self, color: Color) -> None:
        super().__init__()
        self._labels = [Label(color, align="center") for _ in range(LINES)]
        self.members = [*self._labels]
        self._placed: tuple[str, Rect, int] = "", Rect(0, 0, 1, 1), 0

    @property
    def text(self) -> str:
        return self._placed[0]

    def put(self, text: str, box: Rect, size: int) -> None:
        """size: of the letters, in pixels. What has no room in the box is left out, which an ellipsis tells."""
        if self._placed == (text, box, size):
            return
        self._placed = text, box, size
        line = round(1.35 * size)
        most = min(LINES, box.h // line)
        lines = wrapped(text, box.w, size)
        if len(lines) > most > 0:
            lines[most - 1] += "…" if text_width(lines[most - 1] + "…", size) <= box.w else " …"
        top = box.y + (box.h - line * min(most, len(lines))) // 2
        for i, label in enumerate(self._labels):
            label.text = lines[i] if i < min(most, len(lines)) else ""
            label.place(box.x + box.w // 2, top + i * line + size, size, box.w)

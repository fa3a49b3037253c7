"""The keys, what the mouse does, and what both are for, over the panels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from livecnn.app.keys import EXPLORER_KEYS, GESTURES, WINDOW_KEYS, Gesture, Key
from livecnn.app.screen.overlay import Overlay, bordered_box
from livecnn.drawing.artists import Label, Weight, text_width
from livecnn.geometry import Rect

if TYPE_CHECKING:
    from matplotlib.backends.backend_agg import RendererAgg

COLUMNS: tuple[tuple[tuple[str, Sequence[Key | Gesture]], ...], ...] = (
    (("Keys", WINDOW_KEYS), ("Mouse", GESTURES)),
    (("Explorer", EXPLORER_KEYS),),
)


class _Block:
    """A heading and its rows."""

    def __init__(self, title: str, rows: Sequence[Key | Gesture]) -> None:
        self.title = Label((0, 0, 0), "bold")
        self.title.text = title
        self.rows = [(Label((0, 0, 0), "bold"), Label((0, 0, 0))) for _ in rows]
        for (name, meaning), row in zip(self.rows, rows, strict=True):
            name.text, meaning.text = row.shown, row.meaning

    @property
    def labels(self) -> list[Label]:
        return [self.title, *(label for row in self.rows for label in row)]


class Help(Overlay):
    """In the middle of the figure, in columns; in a small one with smaller letters."""

    def __init__(self) -> None:
        super().__init__()
        self.set_visible(False)
        self._columns = [[_Block(*block) for block in column] for column in COLUMNS]

    @property
    def rows(self) -> list[tuple[str, str]]:
        """What to press or do, and what it means, as they stand."""
        return [(name.text, meaning.text) for column in self._columns for block in column for name, meaning in block.rows]

    def arrange(self) -> None:
        area, metrics = self._area, self._metrics
        pad = min(metrics.px(26), area.w // 24)
        lines = max(sum(len(block.rows) + 1 for block in column) for column in self._columns)
        line = max(1, min(metrics.px(26), (area.h - 2 * pad) // lines))
        size = max(1, min(metrics.px(15), line - 2))
        names = [_widest((name for block in column for name, _ in block.rows), size, "bold") for column in self._columns]
        meanings = [_widest((meaning for block in column for _, meaning in block.rows), size) for column in self._columns]
        gap = metrics.px(16)
        wanted = sum(names) + sum(meanings) + gap * len(names) + 2 * pad * (len(names) - 1)
        width, height = min(area.w, wanted + 2 * pad), min(area.h, line * lines + 2 * pad)
        box = Rect(area.x + (area.w - width) // 2, area.y + (area.h - height) // 2, width, height)
        self._ground.rectangles = bordered_box(box, self._theme, metrics.px(1.5))
        free = width - 2 * pad * len(names) - sum(names) - gap * len(names)
        x = box.x + pad
        for column, name_width, meaning_width in zip(self._columns, names, meanings, strict=True):
            room = max(0, free * meaning_width // sum(meanings))
            self._place(column, x, box.y + pad + size, line, size, name_width + gap, room)
            x += name_width + gap + room + 2 * pad

    def _place(self, column: Sequence[_Block], x: int, y: int, line: int, size: int, indent: int, room: int) -> None:
        for block in column:
            block.title.color = self._theme.text
            block.title.place(x, y, min(size + 2, line), indent + room)
            for name, meaning in block.rows:
                y += line
                name.color, meaning.color = self._theme.accent, self._theme.text
                name.place(x, y, size, indent)
                meaning.place(x + indent, y, size, room)
            y += line

    def draw(self, renderer: RendererAgg) -> None:  # type: ignore[override]
        if self.get_visible():
            self._ground.draw(renderer)
            for label in (label for column in self._columns for block in column for label in block.labels):
                label.draw(renderer)


def _widest(labels: Iterable[Label], size: int, weight: Weight = "normal") -> int:
    return max(text_width(label.text, size, weight) for label in labels)

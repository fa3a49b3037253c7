"""The line on top of every view: the model, the views, the state of source and loops."""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

from matplotlib.artist import Artist

from livecnn.drawing.artists import Label, Rectangles, text_width
from livecnn.drawing.theme import Color, Metrics, Theme
from livecnn.geometry import Rect
from livecnn.types import LoopStatus, Scene

REFRESH_TICKS = 8  # as in the status panel
BEHIND = 50.0  # milliseconds that the network may be behind the picture without its being told


class Header:
    """Word mark, model and view names stand still; the right half changes, but slowly enough to be read.

    Without views, as in a film, no key is named either.

    Attributes:
        tabs: Places and names of the views.
    """

    def __init__(self, theme: Theme, model: str, views: Sequence[str], current: str) -> None:
        self.theme = theme
        self.tabs: list[tuple[Rect, str]] = []
        self._names = (("livecnn", theme.text, True), (model, theme.muted, False))
        self._views, self._current = tuple(views), current
        self._underline = Rectangles()
        self._words: list[Label] = []
        self._facts = [Label(theme.muted) for _ in range(6)]
        self._ticks, self._state = 0, ("", False)
        self._limit = self._right = self._baseline = 0
        self._metrics = Metrics(1.0)

    @property
    def still(self) -> list[Artist]:
        """Return the artists that seldom change."""
        return [*self._words, self._underline]

    @property
    def live(self) -> list[Artist]:
        """Return the artists that change with every picture."""
        return list(self._facts)

    def lay_out(self, strip: Rect, metrics: Metrics) -> None:
        """Place everything in a strip of the screen."""
        self._metrics, self._ticks = metrics, 0
        self._baseline = strip.y + strip.h // 2 + metrics.px(6)
        self._right = strip.x + strip.w - metrics.px(6)
        self._words, self.tabs, self._underline.rectangles = [], [], []
        x = strip.x + metrics.px(6)
        for text, color, strong in self._names:
            size = metrics.px(20) if strong else metrics.body
            x += self._add(text, color, x, size, strong, strip.w // 4) + metrics.px(12)
        x += metrics.px(14)
        for view in self._views if len(self._views) > 1 else ():
            chosen = view == self._current
            if x + text_width(view, metrics.body, "bold") > self._right:
                break  # the key v still leads there
            width = self._add(view, self.theme.text if chosen else self.theme.muted, x, metrics.body, chosen)
            self.tabs.append((Rect(x, strip.y, width, strip.h), view))
            if chosen:
                line = Rect(x, self._baseline + metrics.px(7), width, metrics.px(2))
                self._underline.rectangles = [(line, self.theme.accent)]
            x += width + metrics.px(20)
        self._limit = x

    def _add(self, text: str, color: Color, x: int, size: int, strong: bool, most: int | None = None) -> int:
        """Put a word at x; return its width, `most` at most."""
        label = Label(color, "bold" if strong else "normal")
        label.text = text
        label.place(x, self._baseline, size, most)
        self._words.append(label)
        return label.advance() if most is None else min(most, label.advance())

    def show(self, scene: Scene) -> None:
        """Write what is new."""
        state = scene.status.source.state, scene.status.frozen
        if self._ticks % REFRESH_TICKS == 0 or state != self._state:
            self._state = state
            self._write(scene.status)
        self._ticks += 1

    def _write(self, status: LoopStatus) -> None:
        """Right-aligned; in a narrow strip the least important facts are left out."""
        metrics, gap = self._metrics, self._metrics.px(18)
        room = self._right - self._limit
        facts = header_facts(status, self.theme)
        if self._views:
            facts.append(HeaderItem("h  help", self.theme.muted, 4))
        while len(facts) > 1 and sum(text_width(fact.text, metrics.small) + gap for fact in facts) > room:
            facts.remove(min(facts, key=lambda fact: fact.weight))
        x = self._right
        for label, fact in itertools.zip_longest(self._facts, reversed(facts)):
            label.text, label.color = ("", self.theme.muted) if fact is None else (fact.text, fact.color)
            label.place(x - min(room, text_width(label.text, metrics.small)), self._baseline, metrics.small, room)
            x -= label.advance() + gap


class HeaderItem(NamedTuple):
    """A fact of the header; where there is no room the one of the least weight is left out first."""

    text: str
    color: Color
    weight: int


def _ages(picture: float, network: float | None) -> str:
    """Return the age of the picture, and of the network's panels if they show an older moment."""
    behind = network is not None and network - picture > BEHIND
    return f"picture {picture:.0f}, network {network:.0f}" if behind else f"picture {picture:.0f}"


def header_facts(status: LoopStatus, theme: Theme) -> list[HeaderItem]:
    """Return what the right half of the header says, from left to right."""
    source = status.source
    state = "frozen" if status.frozen else source.name if source.state == "live" else f"{source.name}: {source.state}"
    colors = {"live": theme.good, "stale": theme.accent, "frozen": theme.accent, "ended": theme.muted}
    color = theme.accent if status.frozen else colors.get(source.state, theme.bad)
    facts = [HeaderItem(f"● {state}", color, 9)]
    if status.display_fps is not None:
        facts.append(HeaderItem(f"{status.display_fps:.0f} fps", theme.muted, 3))
    if status.model_ms is not None:
        facts.append(HeaderItem(f"model {status.model_ms:.1f} ms", theme.muted, 2))
    if status.picture_age is not None:
        facts.append(HeaderItem(f"{_ages(status.picture_age, status.model_age)} ms old", theme.muted, 1))
    return facts

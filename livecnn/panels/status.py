"""Show the rates and delays of the loop, and the state of the source."""

import itertools
from typing import Literal

from pydantic import Field

from livecnn.drawing.artists import Label, wrap_words
from livecnn.drawing.theme import Metrics
from livecnn.geometry import Rect
from livecnn.panels.base.drawer import Context, Drawer
from livecnn.panels.base.spec import PanelSpec
from livecnn.types import LoopStatus, Scene, SourceStatus

USUAL = 7  # lines while all is well; what is to be told of a trouble pushes the last ones out of a small panel
WRAPPED = 3  # lines for the reason of a trouble, at most
LINES = USUAL + WRAPPED + 1
REFRESH_TICKS = 8  # numbers that change thirty times a second cannot be read


class StatusPanel(PanelSpec):
    """Display and model rate, the age of what is on screen, the state of the source."""

    kind: Literal["status"] = Field("status", description="Rates, ages, state of the source.")


def facts(status: LoopStatus) -> list[tuple[str, str]]:
    """Return pairs (what, value with unit) of what has been measured."""
    measured = [
        ("display", status.display_fps, "{:.0f} fps"),
        ("model rate", status.model_fps, "{:.0f} fps"),
        ("model time", status.model_ms, "{:.1f} ms"),
        ("picture age", status.picture_age, "{:.0f} ms"),
        ("network's age", status.model_age, "{:.0f} ms"),
    ]
    return [(what, text.format(value)) for what, value, text in measured if value is not None]


class StatusDrawer(Drawer):
    """Rows of names and values."""

    def __init__(self, spec: StatusPanel, name: str, context: Context) -> None:
        super().__init__(name, context)
        self.titles = (spec.title or "Status",)
        self._rows = [(Label(self.theme.muted), Label(self.theme.text, align="right")) for _ in range(LINES)]
        self._ticks, self._told = 0, ("", "")
        self._size = 1
        self.live = [label for row in self._rows for label in row]

    def arrange(self, body: Rect, metrics: Metrics) -> None:
        line = max(metrics.px(13), min(metrics.px(26), body.h // USUAL))
        self._size = size = min(metrics.body, line - 1)
        fitting = body.h // line
        for i, (what, value) in enumerate(self._rows):
            baseline = body.y + i * line + size
            what.place(body.x, baseline, size)
            value.place(body.x + body.w, baseline, size)
            what.set_visible(i < fitting)
            value.set_visible(i < fitting)
        self._ticks = 0

    def show(self, scene: Scene) -> None:
        source = scene.status.source
        state = "frozen (space)" if scene.status.frozen else source.state
        told = state, source.note
        if self._ticks % REFRESH_TICKS == 0 or told != self._told:
            self._told = told
            self._write([("source", source.name), ("state", state), *self._trouble(source), *facts(scene.status)])
        self._ticks += 1

    def _trouble(self, source: SourceStatus) -> list[tuple[str, str]]:
        reason = "" if source.state == "live" else source.note
        lines = [(line, "") for line in wrap_words(reason, self.body.w, self._size, WRAPPED)]
        times = "once" if source.reconnects == 1 else f"{source.reconnects} times"
        return [*lines, ("reconnected", times)] if source.reconnects else lines

    def _write(self, lines: list[tuple[str, str]]) -> None:
        gap, width = self._size // 2, self.body.w
        for (what, value), line in itertools.zip_longest(self._rows, lines[:LINES]):
            what.text, value.text = line or ("", "")
            # A long value leaves half of the width to its name; else it is the name that is shortened.
            value.width = max(width // 2, width - what.advance() - gap)
            what.width = width - min(value.advance() + gap, value.width) if value.text else width

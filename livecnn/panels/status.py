"""How the loop fares: rates, ages, the state of the source."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from livecnn.drawer import Context, Drawer
from livecnn.geometry import Rect
from livecnn.panels import PanelSpec
from livecnn.pixels import Label
from livecnn.types import LoopStatus, Scene

if TYPE_CHECKING:
    from livecnn.theme import Metrics

LINES = 7
REFRESH_TICKS = 8  # numbers that change thirty times a second cannot be read


class Status(PanelSpec):
    """Display and model rate, the age of what is on screen, the state of the source."""

    kind: Literal["status"] = Field("status", description="Rates, ages, state of the source.")

    def drawer(self, name: str, context: Context) -> Drawer:
        return StatusDrawer(self, name, context)


def facts(status: LoopStatus) -> list[tuple[str, str]]:
    """(what, value with unit) pairs of what has been measured."""
    measured = [
        ("display", status.display_fps, "{:.0f} fps"),
        ("model rate", status.model_fps, "{:.0f} fps"),
        ("model time", status.model_ms, "{:.1f} ms"),
        ("picture age", status.picture_age, "{:.0f} ms"),
        ("network's age", status.model_age, "{:.0f} ms"),
    ]
    return [(what, text.format(value)) for what, value, text in measured if value is not None]


class StatusDrawer(Drawer):
    def __init__(self, spec: Status, name: str, context: Context) -> None:
        super().__init__(name, context)
        self.titles = (spec.title or "Status",)
        self._rows = [(Label(self.theme.muted), Label(self.theme.text, align="right")) for _ in range(LINES)]
        self._ticks, self._state = 0, ""
        self.live = [label for row in self._rows for label in row]

    def arrange(self, body: Rect, metrics: Metrics) -> None:
        line = max(metrics.px(13), min(metrics.px(26), body.h // LINES))
        size = min(metrics.body, line - 1)
        fitting = body.h // line
        for i, (what, value) in enumerate(self._rows):
            baseline = body.y + i * line + size
            what.place(body.x, baseline, size, body.w // 2)
            value.place(body.x + body.w, baseline, size, body.w // 2)
            what.set_visible(i < fitting)
            value.set_visible(i < fitting)
        self._ticks = 0

    def show(self, scene: Scene) -> None:
        source = scene.status.source
        state = "frozen (space)" if scene.status.frozen else source.state
        if self._ticks % REFRESH_TICKS == 0 or state != self._state:
            self._state = state
            lines = [("source", source.name), ("state", state), *facts(scene.status)]
            for i, (what, value) in enumerate(self._rows):
                what.text, value.text = lines[i] if i < len(lines) else ("", "")
        self._ticks += 1

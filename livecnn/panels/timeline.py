"""What was predicted in the last seconds, and how the selected unit answered."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from pydantic import Field

from livecnn.drawing.artists import Label, Pixels, text_width
from livecnn.drawing.ticks import format_tick, round_limits, three_digits
from livecnn.engine.unit_reducers import MaxActivation, MaxReducer
from livecnn.geometry import Rect
from livecnn.panels.base.drawer import Context, Drawer
from livecnn.panels.base.spec import PanelSpec
from livecnn.panels.base.targets import Target, TimePoint, Tooltip
from livecnn.panels.time.history import History
from livecnn.panels.time.score_history import ScoreHistory
from livecnn.panels.time.stacked_scores import StackedScores
from livecnn.panels.time.time_axis import TimeAxis, draw_line
from livecnn.selection import INPUT, OUTPUT, Selection
from livecnn.types import Image, Scene, Tick

if TYPE_CHECKING:
    from livecnn.drawing.theme import Metrics

STRIP = 0.52  # of the height, where there is a line below


class TimelinePanel(PanelSpec):
    """The scores of the last seconds, stacked, and below them how strongly the selected unit answered.

    While the picture is frozen a line marks the moment on show; a click shows the one that is clicked on.
    """

    explores: ClassVar[bool] = True

    kind: Literal["timeline"] = Field("timeline", description="Scores and the selected unit over time.")
    seconds: float = Field(30, ge=1, le=3600, description="How far back it reaches.")

    def drawer(self, name: str, context: Context) -> Drawer:
        return TimelineDrawer(self, name, context)


class TimelineDrawer(Drawer):
    def __init__(self, spec: TimelinePanel, name: str, context: Context) -> None:
        super().__init__(name, context)
        self.titles = (spec.title or "Timeline",)
        self._scale, self._shares = TimeAxis(spec.seconds, self.theme), ScoreHistory(len(context.classes), spec.seconds)
        self._followed: tuple[str, int | None] = INPUT, None
        self._history, self._value = History(spec.seconds), math.nan
        self._picture, self._strip = Pixels(), StackedScores(context.classes, self.theme)
        self._when = Label(self.theme.muted, align="right")
        self._name, self._number = Label(self.theme.text), Label(self.theme.accent, "bold")
        self._range = Label(self.theme.muted, align="right")
        self._plot, self._small, self._words, self._tall, self._pen = self.body, 12, 0, False, 2
        self._ground: Image = np.zeros((1, 1, 4), np.uint8)
        self._marked: float | None = None  # the moment on show while the picture is frozen
        self.still += self._scale.labels
        self.live = [self._picture, *self._strip.labels, self._when, self._name, self._number, self._range]

    def set_selection(self, focus: Selection) -> None:
        target = focus.target if focus.target in range(len(self.context.classes)) else None  # it may be another network's
        wanted = focus.layer, target if focus.layer == OUTPUT else focus.unit
        if wanted != self._followed:
            self._follow(*wanted)

    def _follow(self, layer: str, index: int | None) -> None:
        """Begin a new line, of a unit of a layer or, of OUTPUT, of the score of a class; None: of the predicted one."""
        self._followed = layer, index
        self._history, self._value = History(self._shares.seconds), math.nan
        if layer == OUTPUT:
            self.reducer, self._name.text = None, "confidence" if index is None else f"score of “{self.context.classes[index]}”"
        else:
            self.reducer, self._name.text = self._peak(layer, index or 0), f"{layer} {index}"

    def _peak(self, layer: str, index: int) -> MaxReducer | None:
        output = next((node.output for node in self.context.architecture().nodes if node.name == layer), ())
        if not output or index >= output[0]:
            return None
        if isinstance(self.reducer, MaxReducer) and self.reducer.layer == layer:
            self.reducer.index = index
            return self.reducer
        return MaxReducer(layer, index)

    def arrange(self, body: Rect, metrics: Metrics) -> None:
        self._small, self._pen = metrics.small, max(1, metrics.px(2))
        lettered = body.h >= metrics.px(60)
        self._plot = body.inset(0, 0, 0, metrics.px(20) if lettered else 0)
        self._tall = self._plot.h >= metrics.px(44)
        self._words = metrics.px(24) if self._plot.h >= metrics.px(96) else 0
        self._scale.place(self._plot, body.y + body.h - metrics.px(4), self._small, lettered=lettered)
        self._ground = np.full((self._plot.h, self._plot.w, 4), (*self.theme.card, 255), np.uint8)
        self._when.place(body.x + body.w, self.heading.y, self._small)

    def _parts(self) -> tuple[Rect, Rect | None]:
        """Where the strip lies and, if there is one and room for it, the line."""
        plot = self._plot
        if not self._tall or (self.reducer is None and self._followed[0] != OUTPUT):
            return plot, None
        strip = plot.inset(0, 0, 0, plot.h - round(STRIP * plot.h))
        top = strip.h + max(self._words, self._small // 2)
        return strip, plot.inset(0, top, 0, 0)

    def show(self, scene: Scene) -> None:
        self._take(scene.tick, frozen=scene.status.frozen)
        strip, line = self._parts()
        picture = self._ground.copy()  # RGBA: to convert it would take OpenCV's threads, and longer than all the rest
        self._rule(picture[: strip.h])
        self._strip.draw(picture[: strip.h], strip, self._shares, self._scale, self._small)
        self._write(line)
        if line is not None:
            self._draw_line(picture[line.y - self._plot.y :])
        self._mark(picture)
        self._picture.put(self._plot.x, self._plot.y, picture)

    def _take(self, tick: Tick, *, frozen: bool) -> None:
        """A frozen picture may be one of long ago: nothing is added then."""
        nothing = tick.patch.prepared.empty or tick.patch.lost or not np.isfinite(tick.scores).all()
        self._value = math.nan if nothing else self._sample(tick)
        self._marked = tick.frame.time if frozen else None
        if not frozen:
            self._shares.add(tick.frame.time, None if nothing else tick.scores)
            self._history.add(tick.frame.time, self._value)

    def _sample(self, tick: Tick) -> float:
        """NaN where there is none, or still one of another unit."""
        layer, index = self._followed
        if layer == OUTPUT:
            return 100 * float(tick.scores.max() if index is None else tick.scores[index])
        view = tick.views.get(self.name)
        return view.value if isinstance(view, MaxActivation) and view[:2] == (layer, index) else math.nan

    def _ends(self) -> tuple[float, float]:
        return (0.0, 100.0) if self._followed[0] == OUTPUT else round_limits(*(self._history.ends() or (0.0, 1.0)))

    def _write(self, line: Rect | None) -> None:
        """The words between strip and line, and on the right of the heading."""
        for label in (self._name, self._number, self._range):
            label.set_visible(line is not None and self._words > 0)
        if line is not None:
            low, high = self._ends()
            unit = " %" if self._followed[0] == OUTPUT else ""
            self._number.text = f"{three_digits(self._value)}{unit}" if math.isfinite(self._value) else ""
            self._range.text = f"{format_tick(low)} to {format_tick(high)}{unit}"
            baseline, gap = line.y - (self._words - self._small) // 2, self._small
            room = line.w - self._number.advance() - gap
            self._name.place(line.x, baseline, self._small, min(room, line.w // 2))
            left = line.x + min(self._name.advance(), self._name.width or 0) + gap
            self._number.place(left, baseline, self._small)
            self._range.place(line.x + line.w, baseline, self._small)
            if left + self._number.advance() + gap + self._range.advance() > line.x + line.w:
                self._range.text = ""
        words = f"last {format_tick(self._scale.seconds)} s" if self._marked is None else self._ago(self._marked)
        room = self.body.w - self.heading.advance() - self._small
        self._when.color = self.theme.muted if self._marked is None else self.theme.accent
        self._when.text = words if text_width(words, self._small) <= room else ""

    def _ago(self, time: float) -> str:
        ago = max(0.0, self._shares.now - time)
        return f"{ago:.1f} s ago" if ago >= 0.05 else "now"

    def _rule(self, part: Image) -> None:
        """Its upper and lower edge, and the seconds."""
        part[[0, -1], :, :3] = self.theme.edge
        part[:, self._scale.lines, :3] = self.theme.edge

    def _draw_line(self, picture: Image) -> None:
        low, high = self._ends()
        height = len(picture) - 1
        self._rule(picture)
        draw_line(
            picture, self._history, self._scale, lambda values: (high - values) / (high - low) * height, self.theme, self._pen
        )

    def _mark(self, picture: Image) -> None:
        """The moment on show, in a colour and with a rim that stand out from all classes' colours."""
        if self._marked is None or not 0 <= self._shares.now - self._marked <= self._scale.seconds:
            return
        column = round(self._scale.column(self._shares.now - self._marked))
        half = self._pen
        left = min(max(0, column - half), picture.shape[1] - 2 * half - 1)
        picture[:, max(0, left - 1) : left + 2 * half + 1, :3] = self.theme.background
        picture[:, max(0, left) + half // 2 : left + 2 * half - half // 2, :3] = self.theme.accent

    def target_at(self, x: float, y: float) -> Target | None:
        plot = self._plot
        if not math.isfinite(self._shares.now) or not plot.contains(x, y):
            return None
        return TimePoint(self._shares.now - self._scale.ago(x - plot.x))

    def tip(self, target: Target) -> Tooltip | None:
        if not isinstance(target, TimePoint) or not 0 <= self._shares.now - target.time <= self._scale.seconds:
            return None
        words, scores = self._ago(target.time), self._shares.at(target.time)
        if scores is not None:
            top = int(scores.argmax())
            words += f" · {self.context.classes[top]}, {100 * scores[top]:.0f} %"
        column = self._plot.x + round(self._scale.column(self._shares.now - target.time))
        return Tooltip((words,), Rect(column, self._plot.y, 1, self._plot.h))

"""The prediction: the top class named large, and a bar per class."""

from typing import Literal

import numpy as np
from pydantic import Field

from livecnn.drawing.artists import Label, Rectangles, baseline_offset, text_width
from livecnn.drawing.theme import Metrics
from livecnn.drawing.ticks import format_score, round_limits
from livecnn.geometry import Rect
from livecnn.panels.base.drawer import NOTHING, Context, Drawer
from livecnn.panels.base.spec import PanelSpec
from livecnn.panels.base.targets import ClassTarget, Target, Tooltip
from livecnn.types import Floats, Scene

LABELED = 0.5  # a label below this does not hold


class ScoresPanel(PanelSpec):
    """Bars in percent and the top class named large. Few short names stand under columns; otherwise the top k lie in rows.

    Labels that hold side by side have a bar of 0 to 100 % each; numbers that are no probabilities lie on a scale of their own.
    """

    kind: Literal["scores"] = Field("scores", description="Prediction bars.")
    top: int = Field(10, ge=1, le=50, description="How many classes to show where not all of them fit.")


class ScoresDrawer(Drawer):
    """The top class, and bars in columns or rows."""

    def __init__(self, spec: ScoresPanel, name: str, context: Context) -> None:
        super().__init__(name, context)
        self.titles = (spec.title or "Prediction",)
        self.classes = context.classes
        self._reading = context.reading
        self._ends = (0.0, 1.0)  # of the bars' scale; of numbers it grows with them
        self._short = self._reading != "numbers" and len(self.classes) <= 20 and max(map(len, self.classes)) <= 4
        most = len(self.classes) if self._short else min(spec.top, len(self.classes))
        self._top = spec.top
        self._winner = Label(self.theme.accent, "bold", "center")
        self._percent = Label(self.theme.text, align="center")
        self._lines, self._bars = Rectangles(), Rectangles()
        self._places: dict[int, Rect] = {}  # by class, its column or row
        self._scores: Floats | None = None
        self._names = [Label(self.theme.text) for _ in range(most)]
        self._values = [Label(self.theme.muted) for _ in range(most)]
        self.still.append(self._lines)
        self.live = [self._bars, *self._names, *self._values, self._winner, self._percent]

    def captions(self) -> tuple[str, ...]:
        if self.context.of_maps:
            return ("means of maps", "means") if self._reading == "numbers" else ("share of the picture, %", "%")
        return {
            "distribution": ("share of confidence, %", "%"),
            "labels": ("each label by itself, 0 to 100 %", "each by itself, %", "%"),
            "numbers": ("numbers, no percentages", "numbers"),
        }[self._reading]

    def arrange(self, body: Rect, metrics: Metrics) -> None:
        self._metrics = metrics
        if self._reading == "numbers" and len(self.classes) > 1:  # none of them is the answer
            self._block, plot = body._replace(h=0), body
        elif body.w > (1.2 if self._short else 2.5) * body.h:  # a long name wants the whole width
            left = round(body.w * (0.3 if body.w < 3 * body.h else 0.2))
            self._block = Rect(body.x, body.y, left, body.h)
            plot = Rect(body.x + left + metrics.gap, body.y, body.w - left - metrics.gap, body.h)
        else:
            top = round(body.h * 0.3)
            self._block = Rect(body.x, body.y, body.w, top)
            plot = Rect(body.x, body.y + top + metrics.gap, body.w, body.h - top - metrics.gap)
        widest = max(text_width(name, metrics.body) for name in self.classes) if self._short else 0
        self._columns = self._short and plot.w >= widest * len(self.classes) and plot.h >= metrics.px(64)
        for label in (*self._names, *self._values):
            label.text = ""
        for name, value in zip(self._names, self._values, strict=True):
            name.align, value.align = ("center", "center") if self._columns else ("left", "right")
        self._lines.rectangles = []
        (self._arrange_columns if self._columns else self._arrange_rows)(plot, metrics)

    def _arrange_columns(self, plot: Rect, metrics: Metrics) -> None:
        self._plot = plot.inset(0, metrics.px(18), 0, metrics.px(20))
        room = plot if plot.w >= text_width(NOTHING, metrics.px(24), "bold") else self.body
        self._message = Rect(room.x, self._plot.y, room.w, round(self._plot.h * 0.75))
        step = self._plot.w / len(self.classes)
        bottom = self._plot.y + self._plot.h
        self._places = {i: Rect(round(self._plot.x + i * step), plot.y, round(step), plot.h) for i in range(len(self.classes))}
        for i, name in enumerate(self._names):
            name.place(round(self._plot.x + (i + 0.5) * step), bottom + metrics.px(16), metrics.body, round(step))
        levels = (0.25, 0.5, 0.75, 1.0) if self._plot.h > metrics.px(120) else (1.0,)
        lines = [Rect(self._plot.x, bottom - round(level * self._plot.h), self._plot.w, 1) for level in levels]
        ground = Rect(self._plot.x, bottom, self._plot.w, 1)
        self._lines.rectangles = [*((line, self.theme.edge) for line in lines), (ground, self.theme.muted)]

    def _arrange_rows(self, plot: Rect, metrics: Metrics) -> None:
        self._places = {}
        self._message = self.body
        self.shown = max(1, min(self._top, len(self.classes), plot.h // metrics.px(15)))
        line = min(metrics.px(30), plot.h // self.shown)
        self._plot = Rect(plot.x, plot.y + (plot.h - line * self.shown) // 2, plot.w, line * self.shown)
        width = round(plot.w * 0.42)
        size = min(metrics.body, round(line * 0.7))
        for i, (name, value) in enumerate(zip(self._names[: self.shown], self._values, strict=False)):
            baseline = self._plot.y + i * line + (line + size) // 2 - max(1, size // 8)
            name.place(plot.x, baseline, size, width - metrics.px(6))
            value.place(plot.x + plot.w, baseline, size)

    def target_at(self, x: float, y: float) -> Target | None:
        return next((ClassTarget(index) for index, place in self._places.items() if place.contains(x, y)), None)

    def tip(self, target: Target) -> Tooltip | None:
        if not isinstance(target, ClassTarget) or target.index not in self._places or self._scores is None:
            return None
        score = format_score(float(self._scores[target.index]), self._reading)
        return Tooltip((f"{self.classes[target.index]}: {score}",), self._places[target.index])

    def show(self, scene: Scene) -> None:
        scores = scene.tick.scores
        self._scores = None if scene.tick.patch.prepared.empty else scores
        if scene.tick.patch.prepared.empty:
            self._show_message(NOTHING)
        elif not np.isfinite(scores).all():
            self._show_message("not a number")
        else:
            top = int(scores.argmax())
            self._show_winner(top, float(scores[top]))
            (self._show_columns if self._columns else self._show_rows)(scores, top)

    def _show_message(self, words: str) -> None:
        """In place of a prediction: across the panel, where the bars would be."""
        place, metrics = self._message, self._metrics
        self._bars.rectangles = []
        for label in (*self._names, *self._values, self._percent):
            label.text = ""
        if self._columns:
            self._name_columns(None)
        tallest = min(metrics.px(24), place.h)
        size = max(metrics.small, min(tallest, tallest * place.w // text_width(words, tallest, "bold")))
        self._winner.text, self._winner.color = words, self.theme.muted
        self._winner.place(place.x + place.w // 2, place.y + place.h // 2 + baseline_offset(size), size, place.w)

    def _show_winner(self, top: int, score: float) -> None:
        """Write the top class as large as its block allows, its share below or, in a flat block, beside it if there is room.

        Of a single number there is nothing else to write; of several none stands out.
        """
        block, metrics = self._block, self._metrics
        words, share, color = self.classes[top], format_score(score, self._reading), self.theme.accent
        if self._reading == "numbers":
            words, share = (share, "") if len(self.classes) == 1 else ("", "")
        elif self._reading == "labels" and score < LABELED:
            color = self.theme.muted
        small, gap = metrics.small, metrics.px(8)
        percent = min(metrics.px(20), metrics.px(20) * block.w // text_width("100.0 %", metrics.px(20)))
        beside = block.w - text_width("100.0 %", percent) - metrics.gap
        flat = block.w > 1.6 * block.h and beside >= text_width(words, small, "bold")
        below = not flat and percent >= small and block.h >= small + gap + percent
        room = beside if flat else block.w
        tallest = max(1, min(metrics.px(120), round(block.h * (0.55 if below else 0.95))))
        size = max(small, min(tallest, tallest * room // max(1, text_width(words, tallest, "bold"))))
        line = percent + max(gap, size // 4) if below else 0  # room for the tail of a “y”
        baseline = block.y + (block.h - line) // 2 + baseline_offset(size)
        self._winner.text, self._winner.color = words, color
        self._winner.place(block.x + room // 2, baseline, size, room)
        self._percent.text = share if flat or below else ""
        if flat:
            middle = block.x + block.w - (block.w - room) // 2
            self._percent.place(middle, block.y + block.h // 2 + baseline_offset(percent), percent)
        else:
            self._percent.place(block.x + block.w // 2, baseline + line, percent, block.w)

    def _name_columns(self, top: int | None) -> None:
        for i, name in enumerate(self._names):
            name.text = self.classes[i]
            name.color = self.theme.accent if i == top else self.theme.text

    def _show_columns(self, scores: Floats, top: int) -> None:
        plot, metrics = self._plot, self._metrics
        step = plot.w / len(self.classes)
        width = max(2, round(step * 0.62))
        bottom = plot.y + plot.h
        self._name_columns(top)
        self._bars.rectangles = []
        for i, score in enumerate(scores):
            middle, height = round(plot.x + (i + 0.5) * step), round(float(score) * plot.h)
            color = self.theme.accent if i == top else self.theme.quiet
            self._bars.rectangles.append((Rect(middle - width // 2, bottom - height, width, height), color))
            value = f"{100 * score:.0f}" if score >= 0.005 else ""
            fits = i == top or text_width(value, metrics.small) < step
            self._values[i].text = value if fits else ""
            self._values[i].place(middle, bottom - height - metrics.px(4), metrics.small)

    def _show_rows(self, scores: Floats, top: int) -> None:
        plot = self._plot
        line = plot.h // self.shown
        left = plot.x + round(plot.w * 0.42)
        numbers = self._reading == "numbers"
        room = round(plot.w * 0.58) - text_width("−8.8e+08" if numbers else "100.0", self._values[0].size) - self._metrics.px(8)
        if numbers and not self._ends[0] <= scores.min() <= scores.max() <= self._ends[1]:
            self._ends = round_limits(min(self._ends[0], float(scores.min())), max(self._ends[1], float(scores.max())))
        low, high = self._ends
        in_order = numbers and len(scores) <= self.shown
        order = np.arange(len(scores)) if in_order else np.argsort(-scores, kind="stable")[: self.shown]
        self._places = {int(index): Rect(plot.x, plot.y + i * line, plot.w, line) for i, index in enumerate(order)}
        self._bars.rectangles = []
        for i, index in enumerate(order):
            color = self.theme.accent if index == top and not numbers else self.theme.quiet
            start, end = sorted(round((value - low) / (high - low) * room) for value in (0.0, float(scores[index])))
            bar = Rect(left + start, plot.y + i * line + line // 6, max(1, end - start), max(1, line - 2 * (line // 6)))
            self._bars.rectangles.append((bar, color))
            self._names[i].text = self.classes[index]
            self._names[i].color = color if index == top and not numbers else self.theme.text
            self._values[i].text = format_score(float(scores[index]), self._reading).removesuffix(" %")

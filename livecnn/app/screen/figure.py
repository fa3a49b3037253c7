"""A layout on one matplotlib figure: header, panels, and what is drawn over them. It needs neither pyplot nor a window."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple, cast

import numpy as np
from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import LayoutEngine

from livecnn._cv2 import cv2
from livecnn.app.screen.overlays import Banner, Help, Prompt, RecMark, Toast, TooltipOverlay
from livecnn.drawing.artists import Group, Label, Rectangles, renderer_buffer, text_width
from livecnn.drawing.theme import THEMES, Color, Metrics, Theme
from livecnn.engine.reducers import Reducer
from livecnn.geometry import Rect
from livecnn.layout.layout import Layout
from livecnn.panels.base.drawer import Context, Drawer, card_patch, to_hex
from livecnn.panels.base.targets import Target
from livecnn.selection import Ask, Selection
from livecnn.types import Image, LoopStatus, Scene

if TYPE_CHECKING:
    from livecnn.explain.live import ExplainWorker

DPI = 128  # a power of two: pixels / DPI * DPI is exact, and no figure is a pixel short
REFRESH_TICKS = 8  # as in the status panel
BEHIND = 50.0  # milliseconds that the network may be behind the picture before the header says so


class HeaderItem(NamedTuple):
    """A fact of the header; where there is no room the one of the least weight is left out first."""

    text: str
    color: Color
    weight: int


class Header:
    """Word mark, model and view names (`tabs`) stand still; the right half changes, but slowly enough to be read.

    Without views, as in a film, no key is named either.
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


class _DrawHook(LayoutEngine):
    """Lay the screen out at the start of every full draw, so that it always fits the canvas it is drawn on."""

    _adjust_compatible = True
    _colorbar_gridspec = True

    def __init__(self, screen: FigureView) -> None:
        super().__init__()
        self._screen = screen

    def execute(self, fig: Figure) -> None:  # noqa: ARG002
        with self._screen.guarded():
            self._screen.lay_out()


class _Background(Artist):
    """Put the still picture back where `above` was drawn at the last tick."""

    def __init__(self) -> None:
        super().__init__()
        self.picture: Image | None = None
        self.above = Group()

    def fits(self, renderer: RendererAgg) -> bool:
        return self.picture is not None and self.picture.shape == renderer_buffer(renderer).shape

    def draw(self, renderer: RendererAgg) -> None:  # type: ignore[override]
        if self.picture is not None and self.fits(renderer):
            self.above.wipe(renderer_buffer(renderer), self.picture)


class FigureView:
    """The figure and the drawers of its panels.

    What stands still is drawn by `figure.canvas.draw()`, whoever calls it, and kept. `stage` is one animated artist over the
    whole figure that puts the still picture back and draws everything that moves: one copy and one blit a tick, however many
    panels there are. A full draw ends with the stage, so no picture without panels ever reaches the screen.

    Attributes:
        scene: What was shown last; None before the first one.
        toast, help, tooltip, banner, prompt, mark: What is drawn over the panels; another layout leaves it as it is.
        views: Names of the layouts that the header lists; none where no key leads to another, as in a film.
        failed: Called with what goes wrong in a full draw that the toolkit asked for; None: it is raised.
    """

    def __init__(self, layout: Layout, context: Context, views: Sequence[str] = (), focus: Selection | None = None) -> None:
        self.context = context
        self.views = tuple(views)
        self.scene: Scene | None = None
        self.toast, self.help, self.tooltip = Toast(), Help(), TooltipOverlay()
        self.banner, self.prompt, self.mark = Banner(), Prompt(), RecMark()
        self._colormap: str | None = None
        self.failed: Callable[[BaseException], None] | None = None
        width, height = layout.figure.size
        self.figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI)
        FigureCanvasAgg(self.figure)
        axes = self.figure.add_axes((0, 0, 1, 1))
        axes.set_axis_off()
        self._still, self._ground, self.stage = Group(), _Background(), Group()
        self.stage.set_animated(True)
        axes.add_artist(self._still)
        axes.add_artist(self.stage)
        self.focus, self._attended = focus or Selection(), 0
        self.open(layout)
        self.figure.set_layout_engine(_DrawHook(self))
        self.figure.canvas.mpl_connect("draw_event", self._complete)

    def open(self, layout: Layout) -> None:
        """Show another layout on the same figure, which then needs a full draw; its size and the overlays stay."""
        self.layout = layout
        theme = THEMES[layout.figure.theme]
        self.context = replace(self.context, theme=theme)
        self.drawers: dict[str, Drawer] = {
            name: spec.drawer(name, self.context.of(spec.model)) for name, spec in layout.panels.items()
        }
        self._pointed: tuple[Drawer, Target] | None = None
        self.attend(self.focus)
        self.header = Header(theme, self.context.model, self.views, layout.name)
        self.figure.set_facecolor(to_hex(theme.background))
        self.colormap = self._colormap
        self.lay_out()

    @property
    def canvas(self) -> FigureCanvasAgg:
        """The figure's canvas; Agg draws on every canvas that we use, in a window or not."""
        return cast(FigureCanvasAgg, self.figure.canvas)

    @property
    def reducers(self) -> Mapping[str, Reducer]:
        """The reducers of all panels, by the names under which a tick holds what they return."""
        return {key: reducer for drawer in self.drawers.values() for key, reducer in drawer.reducers.items()}

    @property
    def explores(self) -> bool:
        """True if any panel follows what the user looks at."""
        return self.layout.explores

    @property
    def asks(self) -> frozenset[Ask]:
        """The explanations that the panels want."""
        return frozenset(ask for drawer in self.drawers.values() for ask in drawer.asks)

    def ask(self, worker: ExplainWorker | None) -> None:
        """Ask for the explanations that the panels want now; None: there is nobody to ask."""
        if worker is not None:
            units = next((tuple(drawer.units_asked) for drawer in self.drawers.values() if drawer.units_asked), ())
            worker.want(self.focus, self.asks, units)

    def attend(self, focus: Selection) -> None:
        """Follow the user to something else; the reducers may differ afterwards. It takes no full draw."""
        self.focus = focus
        self._attended += 1
        for name, drawer in self.drawers.items():
            drawer.set_selection(focus)
            for reducer in drawer.reducers.values():
                reducer.model = self.layout.panels[name].model

    def point(self, x: float, y: float) -> Target | None:
        """Return what is at a device pixel, from the top left; a tooltip describes it until the mouse points elsewhere."""
        drawer = self._at(x, y)
        target = None if drawer is None else drawer.target_at(x, y)
        before, self._pointed = self._pointed, None if drawer is None or target is None else (drawer, target)
        if self._pointed != before:
            if before is not None:
                before[0].hover(None)
            if drawer is not None:
                drawer.hover(target)
        self._update_tooltip()
        return target

    def _at(self, x: float, y: float) -> Drawer | None:
        return next((drawer for drawer in self.drawers.values() if drawer.card.contains(x, y)), None)

    def scroll(self, x: float, y: float, steps: float) -> bool:
        """Turn the wheel over a panel; False if that means nothing to it."""
        drawer = self._at(x, y)
        return drawer is not None and drawer.scroll(x, y, steps)

    def pages_at(self, x: float, y: float) -> bool:
        """Return whether the panel at a device pixel has pages to turn."""
        drawer = self._at(x, y)
        return drawer is not None and drawer.turn_page(0) is not None

    def _update_tooltip(self) -> None:
        self.tooltip.tip = None if self._pointed is None else self._pointed[0].tip(self._pointed[1])

    def lay_out(self) -> None:
        """Place everything for the figure's present size in device pixels."""
        width, height = (round(size) for size in self.figure.bbox.size)
        metrics = Metrics.of(width, height)
        gap = metrics.gap
        self.header.lay_out(Rect(gap, 0, width - 2 * gap, metrics.header), metrics)
        self._still.members = list(self.header.still)
        self.stage.members = [self._ground, *self.header.live]
        area = Rect(gap, metrics.header, width - 2 * gap, height - metrics.header - gap)
        for name, card in grid(self.layout, area, gap).items():
            drawer = self.drawers[name]
            drawer.lay_out(card, metrics)
            self._still.members += [card_patch(card, height, self.context.theme, metrics, self.figure.dpi), *drawer.still]
            self.stage.members += drawer.live
        whole = Rect(0, 0, width, height)
        for overlay in (self.tooltip, self.banner, self.prompt, self.toast, self.help, self.mark):
            overlay.lay_out(area if overlay in (self.banner, self.mark) else whole, metrics, self.context.theme)
            self.stage.members.append(overlay)
        self._ground.above.members = self.stage.members[1:]
        if self.scene is not None:
            self.show(self.scene)

    def show(self, scene: Scene) -> None:
        """Hand the newest data to every panel; nothing is drawn yet."""
        self.scene = scene
        if self.explores:
            self.context.session.on_scene(scene)  # the pictures of half a minute take memory
        self.header.show(scene)
        for name, drawer in self.drawers.items():
            drawer.show(scene.of(self.layout.panels[name].model))
        self._update_tooltip()

    def draw(self) -> None:
        """Draw the scene where there is no window, whose animation would do this."""
        renderer = self.canvas.get_renderer()
        if self._ground.fits(renderer):
            self.stage.draw(renderer)
        else:
            self.canvas.draw()

    def sort_by(self, index: int | None) -> bool:
        """Sort every neurons panel by the weight to a class; True if any could be, and the figure needs a full draw."""
        done = [drawer.sort_by(index) for drawer in self.drawers.values()]
        if any(done):
            self._ground.picture = None
        return any(done)

    @property
    def sorted_by(self) -> int | None:
        """The class that neurons panels are sorted by; None if none is."""
        return next((drawer.sorted_by for drawer in self.drawers.values() if drawer.sorted_by is not None), None)

    @property
    def colormap(self) -> str | None:
        """The colour map that the user chose for all layouts; None if nobody chose. Setting it takes a full draw."""
        return self._colormap

    @colormap.setter
    def colormap(self, name: str | None) -> None:
        self._colormap = name
        self._ground.picture = None
        for drawer in self.drawers.values():
            if name is not None and drawer.has_maps:
                drawer.colormap = name

    def frame_at(self, x: float, y: float) -> tuple[float, float] | None:
        """Return the pixel of the frame that is on show at a device pixel (from the top left); None if there is no picture."""
        asked = (drawer.frame_at(x, y) for drawer in self.drawers.values())
        return next((found for found in asked if found is not None), None)

    def say(self, words: str, seconds: float = 4.0) -> None:
        """Show a message over the picture for some seconds."""
        self.toast.say(words, time.monotonic() + seconds)

    @property
    def overlay_text(self) -> str:
        """All texts over the panels."""
        return "\n".join(overlay.text for overlay in (self.toast, self.banner, self.prompt, self.mark, self.tooltip))

    @property
    def state(self) -> Hashable:
        """A value whose change means that the picture has to be drawn again, even if there is nothing new to show."""
        return self._attended, self.overlay_text

    def pixels(self) -> Image:
        """Return a copy of the canvas, uint8 (H, W, 3) RGB, without the mark of a recording."""
        # OpenCV drops the fourth channel thirty times as fast as a copy of three of them.
        opaque = cv2.cvtColor(renderer_buffer(self.canvas.get_renderer()), cv2.COLOR_RGBA2RGB)
        return self.mark.taken_off(np.asarray(opaque, np.uint8))

    @contextlib.contextmanager
    def guarded(self) -> Iterator[None]:
        """Call `failed` with what goes wrong inside: the toolkit, which may ask for a full draw, would print it and go on."""
        try:
            yield
        except Exception as error:
            if self.failed is None:
                raise
            self.failed(error)

    def _complete(self, _event: object) -> None:
        with self.guarded():
            renderer = self.canvas.get_renderer()
            self._ground.picture = renderer_buffer(renderer).copy()
            self.stage.draw(renderer)


def grid(layout: Layout, area: Rect, gap: int) -> dict[str, Rect]:
    """Return the card of every panel: the layout's cells on the area, `gap` pixels apart."""
    rows = layout.layout
    xs = _edges(layout.figure.widths or [1.0] * len(rows[0]), area.x, area.w, gap)
    ys = _edges(layout.figure.heights or [1.0] * len(rows), area.y, area.h, gap)
    cards = {}
    for name in layout.panels:
        inside = [(r, c) for r, row in enumerate(rows) for c, cell in enumerate(row) if cell == name]
        (top, left), (bottom, right) = inside[0], inside[-1]
        x, y = xs[left][0], ys[top][0]
        cards[name] = Rect(x, y, xs[right][1] - x, ys[bottom][1] - y)
    return cards


def _edges(ratios: Sequence[float], start: int, length: int, gap: int) -> list[tuple[int, int]]:
    """Return the first and last + 1 pixel of each band; whole pixels, so that all panels of a column share an edge."""
    room = length - gap * (len(ratios) - 1)
    total, passed, edges = sum(ratios), 0.0, []
    for i, ratio in enumerate(ratios):
        first = start + round(room * passed / total) + i * gap
        passed += ratio
        edges.append((first, start + round(room * passed / total) + i * gap))
    return edges

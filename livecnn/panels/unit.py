"""The unit under the mouse, else the selected one: its map and, by several methods side by side, what in the input it sees."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from livecnn.drawing.artists import Label, Paragraph, as_rgb, longest_fitting, resize_exactly
from livecnn.drawing.colormaps import table
from livecnn.drawing.theme import Color, Metrics
from livecnn.drawing.ticks import format_number
from livecnn.drawing.tile import Margins, Tile, outline_part, tile_grid
from livecnn.engine.reducers import UnitActivation, UnitReducer
from livecnn.explain.methods import kinds, method_class
from livecnn.explain.rendering import names, picture, squares
from livecnn.geometry import Rect
from livecnn.networks.inspection.architecture import Architecture, Node, ReceptiveField, size_text
from livecnn.panels.base.drawer import Context, Drawer
from livecnn.panels.base.spec import Colormap, PanelSpec
from livecnn.panels.base.targets import ButtonTarget, Target, TextButton, TextButtons, Tooltip, row_width
from livecnn.selection import Action, Ask, Selection
from livecnn.selection import Unit as FocusedUnit
from livecnn.types import ExplanationUpdate, Image, Scene

ACTIVATION = "activation"
SEEN = ("what the net sees", "the net sees", "seen")
MARKING = ("click: good · double click: bad · Shift: clear", "click good · double bad", "")
NO_UNIT = "a click on a map or a neuron selects it; while the mouse is over one, that one is shown here"
Position = tuple[int, int]  # row and column on a map
VERDICTS = {"good": "✓ good", "bad": "✗ bad"}


class UnitPanel(PanelSpec):
    """The unit under the mouse, or the selected one, beside what the network sees: its map and explanations side by side."""

    explores: ClassVar[bool] = True

    kind: Literal["unit"] = Field("unit", description="A unit's map, and what in the input it answers to.")
    colormap: Colormap = Field("gray", description="Colours of the unit's map, from low to high values.")


class UnitDrawer(Drawer):
    """Tiles side by side, and two rows of words that act like keys."""

    asks: tuple[Ask, ...] = ("unit",)
    reducer: UnitReducer | None = None
    colormap: str
    has_maps = True

    def __init__(self, spec: UnitPanel, name: str, context: Context) -> None:
        super().__init__(name, context)
        self.colormap, self._title = spec.colormap, spec.title
        self._focus, self._metrics = Selection(), Metrics(1.0)
        self._unit: FocusedUnit | None = None
        self._view: UnitActivation | None = None
        self._seen = Tile(self.theme)
        self._exhibits = {kind: Tile(self.theme) for kind in kinds()}
        self._methods, self._keys = TextButtons(len(self._exhibits)), TextButtons(4)
        self._hint, self._note = Paragraph(self.theme.muted), Label(self.theme.muted, align="right")
        self._rows = 0  # of words below the pictures
        self._room = self.body
        # All of it goes with the focus, which changes without a full draw.
        self.still = []
        self.live = [self.heading, self.caption, self._seen, *self._exhibits.values(), self._hint]
        self.live += [self._methods, self._keys, self._note]

    @cached_property
    def _architecture(self) -> Architecture:
        return self.context.architecture()

    @cached_property
    def _nodes(self) -> Mapping[str, Node]:
        return {node.name: node for node in self._architecture.nodes}

    @property
    def titles(self) -> Sequence[str]:  # type: ignore[override]
        if self._title is not None or self._unit is None:
            return (self._title or "Unit",)
        layer, index = self._unit.layer, self._unit.index
        return f"unit {index} of {layer}", f"{layer} {index}"

    def set_selection(self, focus: Selection) -> None:
        before = self._shown()
        shown = focus.unit_shown
        self._focus, self._unit = focus, shown if 0 <= shown.index < self.context.units(shown.layer) else None
        if self._unit is None:
            self.reducer = None
        elif self.reducer is None or self.reducer.layer != self._unit.layer:
            self.reducer = UnitReducer(self._unit.layer, self._unit.index)
        else:
            self.reducer.index = self._unit.index
        if self._shown() != before:
            self._hang()
        self._write()

    def _shown(self) -> tuple[str, ...]:
        """Return the methods that are shown side by side."""
        wanted = () if self._unit is None else self._focus.methods
        return tuple(kind for kind in dict.fromkeys(wanted) if kind in self._exhibits)

    @property
    def _muted(self) -> bool:
        return self._unit is not None and (self._unit.layer, self._unit.index) in self.context.session.muted.units

    def arrange(self, body: Rect, metrics: Metrics) -> None:
        self._metrics, line = metrics, metrics.px(20)
        self._rows = 0 if body.w < metrics.px(160) else min(2, max(0, (body.h - metrics.px(80)) // line))
        self._room = body.inset(0, 0, 0, self._rows * line)
        self._hang()
        self._write()

    def _hang(self) -> None:
        """Every exhibit gets its place, as many as there is room for."""
        room, metrics = self._room, self._metrics
        if self._unit is None:  # the picture, and beside it what to do
            room = Rect(room.x, room.y, min(room.w, room.h), room.h)
        line = metrics.px(20) if room.h >= metrics.px(76) else 0
        exhibits = [self._seen, *(self._exhibits[kind] for kind in self._shown())]
        for exhibit in (self._seen, *self._exhibits.values()):
            exhibit.place(None, metrics)
        for exhibit, place in zip(exhibits, tile_grid(room, len(exhibits), line, metrics.gap, metrics.px(36)), strict=False):
            exhibit.place(place, metrics, named=line > 0)
        left = room.x + room.w + metrics.gap
        beside = Rect(left, room.y, max(1, self._room.x + self._room.w - left), room.h)
        self._hint.put(NO_UNIT if self._unit is None and beside.w >= metrics.px(90) else "", beside, metrics.small)

    def _write(self) -> None:
        """Write the words that depend on the selection."""
        body, metrics = self.body, self._metrics
        size, gap, line = metrics.small, metrics.px(14), metrics.px(20)
        self.heading.text = longest_fitting(self.titles, self.card.w - 2 * metrics.pad, metrics.title, "bold")
        rows = self._rows if self._unit is not None else 0
        full, brief = ([names(kind)[place] for kind in self._exhibits] for place in (0, -1))
        named = full if row_width(full, size, gap) <= body.w else brief
        on, off = self.theme.accent, self.theme.muted
        words = [
            TextButton(text, on if kind in self._focus.methods else off, ButtonTarget(Action.TOGGLE_METHOD, kind))
            for kind, text in zip(self._exhibits, named, strict=True)
        ]
        baseline = body.y + body.h - metrics.px(4)
        self._methods.put(words if rows else (), body.x, baseline - (rows - 1) * line, size, gap, body.w)
        taken = self._keys.put(self._key_words() if rows > 1 else (), body.x, baseline, size, gap, body.w)
        self._note.place(body.x + body.w, baseline, size, max(0, body.w - taken - gap) if rows > 1 else 0)

    def _key_words(self) -> list[TextButton]:
        theme, muted, count = self.theme, self._muted, len(self.context.session.muted.units)
        words = [
            TextButton("x restore" if muted else "x mute", theme.bad if muted else theme.muted, ButtonTarget(Action.MUTE)),
            TextButton("a annotate", theme.accent if self._focus.marking else theme.muted, ButtonTarget(Action.MARK_MODE)),
            TextButton("n note", theme.muted, ButtonTarget(Action.WRITE_NOTE)),
        ]
        return [*words, TextButton(f"z restore all {count}", theme.bad, ButtonTarget(Action.RESTORE))] if count else words

    def show(self, scene: Scene) -> None:
        view, unit = scene.tick.views.get(self.name), self._unit
        fresh = isinstance(view, UnitActivation) and unit is not None and (view.layer, view.index) == (unit.layer, unit.index)
        self._view = view if fresh else None
        self._tell()
        prepared = scene.tick.patch.prepared
        seen = as_rgb(prepared.seen)
        self._show_seen(seen)
        for kind in self._shown():
            if self._exhibits[kind].box is None:
                break  # no room for this one and all after it
            if kind == ACTIVATION:
                self._show_map(self._exhibits[kind], empty=prepared.empty)
            else:
                self._show_method(kind, self._exhibits[kind], scene.findings, seen)

    def _tell(self) -> None:
        """Write the numbers of the unit, and its annotation or, while units are marked, how that is done."""
        view, mark, small = self._view, self._mark(), self._metrics.small
        told = () if view is None else captions(view, self._nodes[view.layer].field)
        self.write_caption(told, self._metrics)
        if self._focus.marking:
            self._note.text, self._note.color = longest_fitting(MARKING, self._note.width or 0, small), self.theme.accent
        else:
            self._note.text, colors = annotation_text(mark), {"good": self.theme.good, "bad": self.theme.bad}
            self._note.color = self.theme.muted if mark is None else colors.get(mark.verdict, self.theme.text)
        self._note.set_visible(self._unit is not None and self._rows > 1)

    def _mark(self) -> Any:
        annotations, unit = self.context.session.annotations, self._unit
        return None if annotations is None or unit is None else annotations.of(unit.layer, unit.index)

    def _position(self) -> Position | None:
        """On the unit's map: where the mouse is, else its strongest place; None of a map without finite values."""
        view, unit = self._view, self._unit
        if view is None or unit is None or not np.isfinite(view.max):
            return None
        row, column = unit.position or view.peak
        return (row, column) if row < view.map.shape[0] and column < view.map.shape[1] else view.peak

    def _show_seen(self, seen: Image) -> None:
        assert self._seen.box is not None
        place, position = self._seen.box.fit(seen.shape[1] / seen.shape[0]), self._position()
        field = None if self._view is None else self._nodes[self._view.layer].field
        height, width = self._architecture.input[-2:] or seen.shape[:2]
        edges = None if position is None or field is None else receptive_edges(field, position, (height, width))
        picture = resize_exactly(seen, place.w, place.h, sharp=True)
        if edges is not None:
            outline_part(picture, edges, self.theme.accent, self._metrics.px(2))
        self._seen.call(SEEN)
        self._seen.show(picture)

    def _show_map(self, exhibit: Tile, *, empty: bool) -> None:
        view, theme = self._view, self.theme
        assert exhibit.box is not None
        exhibit.call(names(ACTIVATION))
        if view is None:
            exhibit.wait()
        elif view.map.size == 1:
            exhibit.say("muted" if self._muted else format_number(view.max), theme.bad if self._muted else theme.text)
        else:
            place = exhibit.box.fit(view.map.shape[1] / view.map.shape[0])
            colors, pen = table(self.colormap, theme, faint=empty), self._metrics.px(2)
            at, color = (None, theme.bad) if self._muted else (self._position(), theme.accent)
            exhibit.show(map_picture(view, (place.w, place.h), colors, at, color, pen), "muted" if self._muted else "", theme.bad)

    def _show_method(self, kind: str, exhibit: Tile, findings: ExplanationUpdate | None, seen: Image) -> None:
        assert exhibit.box is not None
        if findings is not None and not self._is_of(findings):
            findings = None
        exhibit.call(method_caption(kind, findings, self.context.classes))
        exhibit.progress(1.0 if findings is None else findings.progress.get(kind, 1.0))
        if findings is not None and kind in findings.refused:
            exhibit.explain(findings.refused[kind])
        elif findings is None or kind not in findings.maps:
            exhibit.wait()
        elif not exhibit.shows(values := findings.maps[kind], seen if method_class(kind).shown_as == "overlay" else None):
            place = exhibit.box.fit(values.shape[2] / values.shape[1])
            exhibit.show(picture(kind, values, seen, (place.w, place.h), self.theme, self.context.channels))

    def _is_of(self, findings: ExplanationUpdate) -> bool:
        """Return whether these explanations are of the unit that is on show."""
        of, unit = findings.focus.unit_shown, self._unit
        return unit is not None and (of.layer, of.index) == (unit.layer, unit.index)

    def target_at(self, x: float, y: float) -> Target | None:
        labels = (kind for kind in self._shown() if self._exhibits[kind].label.contains(x, y))
        chosen = next((ButtonTarget(Action.CHOOSE_METHOD, kind) for kind in labels), None)
        return chosen or self._unit_at(x, y) or self._methods.at(x, y) or self._keys.at(x, y)

    def _unit_at(self, x: float, y: float) -> FocusedUnit | None:
        """Return a position on the unit's map."""
        share, view = self._exhibits[ACTIVATION].place_in(x, y), self._view
        if share is None or view is None:
            return None
        h, w = view.map.shape
        return FocusedUnit(view.layer, view.index, (int(share[0] * h), int(share[1] * w)))

    def tip(self, target: Target) -> Tooltip | None:
        if isinstance(target, FocusedUnit):
            return self._tip_of(target)
        if not isinstance(target, ButtonTarget) or target.argument not in self._exhibits:
            return None
        if target.action is Action.CHOOSE_METHOD:
            return Tooltip((*method_text(target.argument), "click: another method here"), self._exhibits[target.argument].label)
        place = self._methods.place_of(target)
        return None if place is None else Tooltip(method_text(target.argument), place)

    def _tip_of(self, unit: FocusedUnit) -> Tooltip | None:
        view, at, about = self._view, unit.position, self._exhibits[ACTIVATION].box
        if view is None or at is None or about is None or (view.layer, view.index) != (unit.layer, unit.index):
            return None
        lines = f"row {at[0]}, column {at[1]}: {format_number(float(view.map[at]))}", annotation_text(self._mark())
        return Tooltip(tuple(filter(None, lines)), about)


def map_picture(
    view: UnitActivation, size: tuple[int, int], colors: npt.NDArray[np.uint32], position: Position | None, color: Color, pen: int
) -> Image:
    """Draw a map in squares, uint8 (height, width, 4); one position is outlined, or without one the whole."""
    low, high = (view.min, view.max) if np.isfinite(view.max) else (0.0, 1.0)
    image = squares(view.map, low, high, size, colors)
    rows, columns = view.map.shape
    (row, column), (down, across) = (position, (1, 1)) if position else ((0, 0), (rows, columns))
    edges = row / rows, column / columns, (row + down) / rows, (column + across) / columns
    outline_part(image, edges, color, pen)
    return image


def receptive_edges(field: ReceptiveField, position: Position, picture: tuple[int, int]) -> Margins:
    """Return the receptive field of a position of a map, as shares of a picture (height, width), kept inside it."""
    if field.stride is None or field.centre is None:
        return 0.0, 0.0, 1.0, 1.0
    middles = [centre + 0.5 + place * step for centre, place, step in zip(field.centre, position, field.stride, strict=True)]
    (y, x), (h, w), (height, width) = middles, field.size, picture
    ends = (y - h / 2) / height, (x - w / 2) / width, (y + h / 2) / height, (x + w / 2) / width
    top, left, bottom, right = (min(1.0, max(0.0, end)) for end in ends)
    return top, left, bottom, right


def captions(view: UnitActivation, field: ReceptiveField | None) -> Sequence[str]:
    """Return the numbers of a unit, from the longest wording to the shortest."""
    if view.map.size == 1:
        numbers: tuple[str, ...] = (f"value {format_number(view.max)}", format_number(view.max))
    else:
        low, high, mean = (format_number(value) for value in (view.min, view.max, view.mean))
        numbers = (f"min {low}  max {high}  mean {mean}", f"{low} … {high}")
    if field is None:
        return numbers
    reach = size_text(field.size)
    return (f"{numbers[0]} · receptive field {reach}", f"{numbers[0]} · field {reach}", *numbers)


def method_caption(kind: str, findings: ExplanationUpdate | None, classes: Sequence[str]) -> Sequence[str]:
    """Return captions of a method's picture, with its progress or its class, from the longest to the shortest."""
    wordings = names(kind)
    if findings is None:
        return wordings
    if not method_class(kind).of_units:  # the class, whichever unit is on show
        name, family = classes[findings.target], wordings[0].rpartition("-")[2]  # as CAM of Grad-CAM
        return f"{wordings[0]} for {name}", f"{family} for {name}", *wordings
    done = findings.progress.get(kind, 1.0)
    return wordings if done >= 1 else (f"{wordings[0]} {100 * done:.0f} %", *wordings)


def annotation_text(mark: Any) -> str:
    """Return the verdict and the note of an annotation; "" without one."""
    return "" if mark is None else " · ".join(filter(None, (VERDICTS.get(mark.verdict, ""), mark.note)))


def method_text(kind: str) -> tuple[str, ...]:
    """Return a method's name, and what it shows."""
    return (names(kind)[0], *filter(None, (method_class(kind).meaning,)))

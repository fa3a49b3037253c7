"""The images that the unit answered to most, in this session or a whole collection, and the picture that it would like best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from pydantic import Field

from livecnn.drawing.artists import Label, Paragraph, as_rgb, longest_fitting, resize_exactly
from livecnn.drawing.theme import Metrics
from livecnn.drawing.tile import Tile, outline, tile_grid
from livecnn.engine.unit_reducers import PeaksReducer
from livecnn.errors import OutputError
from livecnn.geometry import Rect
from livecnn.panels.base.buttons import TextButton, TextButtons, row_width
from livecnn.panels.base.drawer import Context, Drawer
from livecnn.panels.base.spec import FieldError, PanelSpec
from livecnn.panels.base.strongest_shots import MOST
from livecnn.panels.base.targets import ButtonTarget, ImageRank, Target, Tooltip
from livecnn.panels.unit_parts.labels import number
from livecnn.panels.unit_parts.top_images import AUTO, RankedImage, TopImages, open_collections
from livecnn.selection import Action, Ask, Selection, Unit
from livecnn.types import Image, PreferredInput, Scene

if TYPE_CHECKING:
    from livecnn.engine.reducers import Reducer

PREFERRED = ("preferred image", "preferred")
NOTHING_YET, NO_UNIT = "nothing seen yet", "a click on a map or a neuron selects a unit"
SHARE = 0.36  # of the panel's longer side, for the preferred picture
SESSION, COLLECTION = ButtonTarget(Action.CHOOSE_SHOTS, "session"), ButtonTarget(Action.CHOOSE_SHOTS, "collection")


class StrongestPanel(PanelSpec):
    """The nine shots of this session, or images of a collection, that the unit answered to most, and what it would like best."""

    explores: ClassVar[bool] = True

    kind: Literal["strongest"] = Field("strongest", description="The shots that a unit answered to most, and what it prefers.")
    folder: str = Field(
        AUTO,
        min_length=1,
        description="What `livecnn top … --out FOLDER` found, from the current folder; auto: the newest without `--out`.",
    )

    def drawer(self, name: str, context: Context) -> Drawer:
        return StrongestDrawer(self, name, context)


class StrongestDrawer(Drawer):
    asks: tuple[Ask, ...] = ("preferred",)

    def __init__(self, spec: StrongestPanel, name: str, context: Context) -> None:
        super().__init__(name, context)
        self._focus, self._metrics = Selection(), Metrics(1.0)
        self._unit: Unit | None = None
        self._memory = context.session.strongest
        self._folder = spec.folder
        self._collections, self._refusal = _collections(spec, context)
        self._exemplars: Sequence[RankedImage] = ()
        self._hinted = ""  # instead of them
        self._looked: tuple[str, int] | None = None  # the unit of these
        self._tabs, self._note = TextButtons(2), Label(self.theme.muted)
        self._peaks: dict[str, PeaksReducer] = {}
        self._shots = [Tile(self.theme) for _ in range(MOST)]
        self._preferred = Tile(self.theme)
        self._hint = Paragraph(self.theme.muted)
        self._room = self.body
        usual = ("strongest",) if self._tabbed else ("strongest shots so far", "strongest shots", "strongest")
        self.titles = (spec.title,) if spec.title else usual
        self.still = [self.heading]
        self.live = [self.caption, *self._shots, self._preferred, self._hint, self._tabs, self._note]

    @property
    def _tabbed(self) -> bool:
        """Is there anything beside this session?"""
        return bool(self._collections) or self._refusal != ""

    @property
    def _collection(self) -> TopImages | None:
        """That with the layer of the unit."""
        return None if self._unit is None else self._collections.get(self._unit.layer)

    @property
    def _collected(self) -> bool:
        """Whether a collection is on show: as chosen, else if there is one of the layer."""
        return self._tabbed and (self._collection is not None if self._focus.collection is None else self._focus.collection)

    @cached_property
    def _units(self) -> Mapping[str, int]:
        """By node, how many units it has."""
        return {node.name: node.output[0] for node in self.context.architecture().nodes if node.output}

    @property
    def reducers(self) -> Mapping[str, Reducer]:
        return {f"{self.name}/{layer}": reducer for layer, reducer in self._peaks.items()}

    def set_selection(self, focus: Selection) -> None:
        shown = focus.unit_shown
        self._focus = focus
        self._unit = shown if 0 <= shown.index < self._units.get(shown.layer, 0) else None
        # Functions only while they are looked at: for them a network has to go step by step.
        watched = [layer for layer in self._units if layer in self.context.shapes or layer == focus.layer]
        if watched != list(self._peaks):
            self._peaks = {layer: self._peaks.get(layer) or PeaksReducer(layer) for layer in watched}
        self._look()
        self._write()

    def _look(self) -> None:
        """What the collection has of the unit."""
        unit, known = self._unit, self._collection
        wanted = (unit.layer, unit.index) if unit is not None and self._collected else None
        if wanted == self._looked:
            return
        self._looked, self._exemplars, self._hinted = wanted, (), ""
        if wanted is None:
            return
        if known is None:
            self._hinted = self._refusal or self._lacking(wanted[0])
            return
        try:
            self._exemplars = known.exemplars(*wanted)
            self._hinted = "" if self._exemplars else known.words(*wanted)[0]
        except OutputError as error:
            self._hinted = str(error)

    def _lacking(self, layer: str) -> str:
        command = f"livecnn top IMAGES {self.context.architecture().name} --layers {layer}"
        if self._folder == AUTO:
            return f"nothing of {layer} yet; {command} looks at it"
        shown = f"--set panels.{self.name}.folder=DIR/"
        return f"nothing of {layer} in this folder; {command} --out DIR/ makes another, {shown} shows it"

    def captions(self) -> Sequence[str]:
        if self._unit is None or self._tabbed:
            return ()
        layer, index = self._unit.layer, self._unit.index
        return f"unit {index} of {layer} · this session", f"unit {index} of {layer}", f"{layer} {index}"

    def arrange(self, body: Rect, metrics: Metrics) -> None:
        self._metrics, gap, line = metrics, metrics.px(8), metrics.px(18 if self._tabbed else 20)
        self._room, preferred = self._split(body, metrics)
        named = min(self._room.w, self._room.h) >= metrics.px(120)
        self._note.place(self._room.x, self._room.y + self._room.h - metrics.px(4), metrics.small, self._room.w)
        self._room = self._room.inset(0, 0, 0, line if self._tabbed else 0)
        places = tile_grid(self._room, MOST, line if named else 0, gap, metrics.px(24))
        for exhibit in self._shots:
            exhibit.place(None, metrics)
        for exhibit, place in zip(self._shots, places, strict=False):
            exhibit.place(place, metrics, named=named)
        self._preferred.place(preferred, metrics)
        self._write()

    def _split(self, body: Rect, metrics: Metrics) -> tuple[Rect, Rect | None]:
        """Room for the shots, and the place of the preferred picture where there is enough for both."""
        gap, line = metrics.px(18), metrics.px(20)
        if min(body.w, body.h) < metrics.px(110) or max(body.w, body.h) < metrics.px(190):
            return body, None
        if body.w > body.h:
            side = min(round(SHARE * body.w), body.h - line)
            left = body.x + body.w - side
            return Rect(body.x, body.y, body.w - side - gap, body.h), Rect(left, body.y + (body.h - side - line) // 2, side, side)
        side = min(round(SHARE * body.h), body.w)
        top = body.y + body.h - side - line
        return Rect(body.x, body.y, body.w, top - gap - body.y), Rect(body.x + (body.w - side) // 2, top, side, side)

    def _told(self) -> Sequence[str]:
        """Wordings of the line under the images, from the longest to the shortest."""
        if self._unit is None:
            return ()
        (layer, index), known = (self._unit.layer, self._unit.index), self._collection
        names = f"unit {index} of {layer}", f"{layer} {index}"
        if known is None or not self._exemplars:
            return names
        words = known.words(layer, index)
        return *(f"{name} · {words[0]}" for name in names), *words

    def _write(self) -> None:
        """What stands at the right of the heading, and the line under the images."""
        size, room = self._metrics.small, max(0, self.card.w - 3 * self._metrics.pad - self.heading.advance())
        self.caption.text, self.caption.width = longest_fitting((*self.captions(), ""), room, size), room
        if self._tabbed:
            self._note.text = longest_fitting((*self._told(), ""), self._room.w, size)
            self._put_tabs(room)

    def _put_tabs(self, room: int) -> None:
        size, gap, theme = self._metrics.small, self._metrics.px(14), self.theme
        images = "collection" if self._collection is None else f"{self._collection.images:,} images"
        rows = ("this session", images), ("session", images)
        row = next((row for row in rows if row_width(row, size, gap) <= room), ())
        colors = (theme.muted, theme.accent) if self._collected else (theme.accent, theme.muted)
        words = list(map(TextButton, row, colors, (SESSION, COLLECTION)))
        width = row_width(row, size, gap)
        self._tabs.put(words, self.card.x + self.card.w - self._metrics.pad - width, self.heading.y, size, gap, width)

    def show(self, scene: Scene) -> None:
        patch = scene.tick.patch
        if not (scene.status.frozen or patch.prepared.empty or patch.lost):
            self._take(scene)
        self._show_shots()
        self._show_preferred(None if scene.findings is None else scene.findings.preferred)

    def _take(self, scene: Scene) -> None:
        views = ((layer, scene.tick.views.get(f"{self.name}/{layer}")) for layer in self._peaks)
        peaks = {layer: view for layer, view in views if isinstance(view, np.ndarray)}
        self._memory.take(scene.tick.frame, scene.tick.patch.shot, peaks, self.context.session.muted.units)

    def _strong(self) -> Sequence[RankedImage]:
        if self._collected:
            return self._exemplars
        strong = () if self._unit is None else self._memory.of(self._unit.layer, self._unit.index)
        return [RankedImage(each.shot, each.value) for each in strong]

    def _show_shots(self) -> None:
        strong = self._strong()
        for i, exhibit in enumerate(self._shots):
            if exhibit.box is None:
                continue
            if i >= len(strong):
                exhibit.clear()
                continue
            value = strong[i].value
            exhibit.call((number(value), f"{value:.0e}".replace("e-0", "e−").replace("e+0", "e")))
            if not exhibit.shows(strong[i].picture):
                exhibit.show(self._fitted(strong[i], exhibit.box))
        hint = NO_UNIT if self._unit is None else "" if strong else self._hinted if self._collected else NOTHING_YET
        self._hint.put(hint, self.body if self._unit is None else self._room, self._metrics.small)

    def _fitted(self, exemplar: RankedImage, box: Rect) -> Image:
        image = fit_image(exemplar.picture, box)
        if exemplar.edges is not None:
            height, width = image.shape[:2]
            edges = [edge * side for edge, side in zip(exemplar.edges, (height, width, height, width), strict=True)]
            outline(image, (edges[0], edges[1], edges[2], edges[3]), self.theme.accent, max(1, self._metrics.px(1)))
        return image

    def _show_preferred(self, found: PreferredInput | None) -> None:
        exhibit, unit = self._preferred, self._unit
        if exhibit.box is None or unit is None:
            exhibit.clear()
            return
        if found is None or (found.unit.layer, found.unit.index) != (unit.layer, unit.index):
            exhibit.call(PREFERRED)
            exhibit.progress(1.0)
            exhibit.wait()
            return
        exhibit.call([*(f"{words} · {number(found.value)}" for words in PREFERRED), *PREFERRED])
        exhibit.progress(found.step / max(1, found.steps))
        if not exhibit.shows(found.picture):
            exhibit.show(fit_image(as_rgb(found.picture), exhibit.box))

    def target_at(self, x: float, y: float) -> Target | None:
        shown = zip(range(len(self._exemplars if self._collected else ())), self._shots, strict=False)
        rank = next((rank for rank, exhibit in shown if exhibit.place_in(x, y) is not None), None)
        return self._tabs.at(x, y) if rank is None else ImageRank(rank)

    def tip(self, target: Target) -> Tooltip | None:
        if isinstance(target, ImageRank):
            about = self._shots[target.rank].box if target.rank < len(self._exemplars) else None
            return None if about is None else Tooltip(self._exemplars[target.rank].lines, about)
        if target == COLLECTION and self._collection is not None:
            place = self._tabs.place_of(COLLECTION)
            return None if place is None else Tooltip((f"{self._collection.images:,} images", str(self._collection.path)), place)
        return None


def _collections(spec: StrongestPanel, context: Context) -> tuple[Mapping[str, TopImages], str]:
    """By layer, and why the network's own are not used, if so. Raises FieldError if a folder that is named is not fit."""
    try:
        return open_collections(spec.folder, context), ""
    except OutputError as error:
        if spec.folder == AUTO:
            return {}, f"not used: {error}"
        command = f"livecnn top IMAGES {context.architecture().name} --layers A,B --out {spec.folder}"
        raise FieldError("folder", f"{error}; make it: {command}") from error


def fit_image(image: Image, box: Rect) -> Image:
    """uint8 (h, w, 3) as large as fits into a box; few pixels as the squares that they are."""
    place = box.fit(image.shape[1] / image.shape[0])
    return resize_exactly(image, place.w, place.h, sharp=place.w >= 3 * image.shape[1])

"""The images that the unit answered to most, in this session or a whole collection, and the picture that it would like best."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import zip_longest
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from livecnn import paths
from livecnn.analysis.top.results import MANIFEST, TopImage, TopResults
from livecnn.drawing.artists import Label, Paragraph, as_rgb, longest_fitting, resize_exactly
from livecnn.drawing.theme import Metrics
from livecnn.drawing.ticks import format_number
from livecnn.drawing.tile import Margins, Tile, outline_part, tile_grid
from livecnn.engine.reducers import PeaksReducer
from livecnn.errors import LivecnnError, OutputError
from livecnn.geometry import Rect
from livecnn.panels.base.drawer import Context, Drawer
from livecnn.panels.base.session import MOST
from livecnn.panels.base.spec import FieldError, PanelSpec
from livecnn.panels.base.targets import ButtonTarget, ImageRank, Target, TextButton, TextButtons, Tooltip, row_width
from livecnn.selection import Action, Ask, Selection, Unit
from livecnn.types import Image, PreferredInput, Scene

PREFERRED = ("preferred image", "preferred")
NOTHING_YET, NO_UNIT = "nothing seen yet", "a click on a map or a neuron selects a unit"
SHARE = 0.36  # of the panel's longer side, for the preferred picture
SESSION, COLLECTION = ButtonTarget(Action.CHOOSE_SHOTS, "session"), ButtonTarget(Action.CHOOSE_SHOTS, "collection")
AUTO = "auto"  # the network's own folders, if there are any
KEPT = 64  # units whose images stay in memory
WHOLE = 0.5  # of the input: where a patch covers more, it is shown in its surroundings


class StrongestPanel(PanelSpec):
    """The nine shots of this session, or images of a collection, that the unit answered to most, and what it would like best."""

    explores: ClassVar[bool] = True

    kind: Literal["strongest"] = Field("strongest", description="The shots that a unit answered to most, and what it prefers.")
    folder: str = Field(
        AUTO,
        min_length=1,
        description="What `livecnn top … --out FOLDER` found, from the current folder; auto: the newest without `--out`.",
    )


class StrongestDrawer(Drawer):
    """A grid of images, and the preferred one beside it."""

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
        """Return whether a collection is on show: as chosen, else if there is one of the layer."""
        return self._tabbed and (self._collection is not None if self._focus.collection is None else self._focus.collection)

    @property
    def reducers(self) -> Mapping[str, PeaksReducer]:
        return {f"{self.name}/{layer}": reducer for layer, reducer in self._peaks.items()}

    def set_selection(self, focus: Selection) -> None:
        shown = focus.unit_shown
        self._focus = focus
        self._unit = shown if 0 <= shown.index < self.context.units(shown.layer) else None
        # Functions only while they are looked at: for them a network has to go step by step.
        layers = [node.name for node in self.context.architecture().nodes if node.output]
        watched = [layer for layer in layers if layer in self.context.shapes or layer == focus.layer]
        if watched != list(self._peaks):
            self._peaks = {layer: self._peaks.get(layer) or PeaksReducer(layer) for layer in watched}
        self._look()
        self._write()

    def _look(self) -> None:
        """Look up what the collection has of the unit."""
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
        for exhibit, place in zip_longest(self._shots, places):
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
        layer, index, known = self._unit.layer, self._unit.index, self._collection
        names = f"unit {index} of {layer}", f"{layer} {index}"
        if known is None or not self._exemplars:
            return names
        words = known.words(layer, index)
        return *(f"{name} · {words[0]}" for name in names), *words

    def _write(self) -> None:
        """Write the caption, and the line under the images."""
        room = self.write_caption(self.captions(), self._metrics)
        if self._tabbed:
            self._note.text = longest_fitting((*self._told(), ""), self._room.w, self._metrics.small)
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
        for exhibit, image in zip_longest(self._shots, strong):
            if exhibit.box is None or image is None:
                exhibit.clear()
                continue
            short = f"{image.value:.0e}".replace("e-0", "e−").replace("e+0", "e")
            exhibit.call((format_number(image.value), short))
            if not exhibit.shows(image.picture):
                exhibit.show(self._fitted(image, exhibit.box))
        hint = NO_UNIT if self._unit is None else "" if strong else self._hinted if self._collected else NOTHING_YET
        self._hint.put(hint, self.body if self._unit is None else self._room, self._metrics.small)

    def _fitted(self, exemplar: RankedImage, box: Rect) -> Image:
        image = fit_image(exemplar.picture, box)
        if exemplar.edges is not None:
            outline_part(image, exemplar.edges, self.theme.accent, self._metrics.px(1))
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
        exhibit.call([*(f"{words} · {format_number(found.value)}" for words in PREFERRED), *PREFERRED])
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


@dataclass(frozen=True, slots=True, eq=False)
class RankedImage:
    """An image that a unit answers to, uint8 (h, w, 3), and its value."""

    picture: Image
    value: float
    edges: Margins | None = None  # of the part that the unit sees, as shares of the image, if it is not all of it
    lines: tuple[str, ...] = ()  # what there is to say of it


class TopImages:
    """How many images of a collection and which layers were looked at; size: (height, width) of the network's input.

    Raises OutputError if the tables are damaged.
    """

    def __init__(self, top: TopResults, size: tuple[int, int]) -> None:
        self.images, self.layers, self.path = top.images, top.layers, top.path
        self._top, self._size = top, size
        self._figures = {layer: (top.overall(layer, "mean"), top.overall(layer, "active")) for layer in top.layers}
        _ = top.rows  # now, as nobody waits for a picture yet
        self.exemplars = lru_cache(KEPT)(self._read)

    def _read(self, layer: str, unit: int) -> tuple[RankedImage, ...]:
        """Return the images with a unit's strongest responses, strongest first. Raises OutputError if they are damaged."""
        try:
            mapped = bool(self._top.about["layers"][layer].get("map"))
            return tuple(self._exemplar(shot, mapped) for shot in self._top.shots(layer, unit)[:MOST])
        except LivecnnError as error:
            raise OutputError(str(error).removeprefix(f"{self.path}{os.sep}")) from error

    def _exemplar(self, shot: TopImage, mapped: bool) -> RankedImage:
        (left, top, width, height), (rows, columns) = shot.box, self._size
        where = f" at row {shot.position[0]}, column {shot.position[1]}" if mapped else ""
        lines = tuple(
            filter(None, (shot.name, shot.label and f"label {shot.label}", f"value {format_number(shot.value)}{where}"))
        )
        if width * height < WHOLE * rows * columns:
            return RankedImage(shot.patch.copy(), shot.value, None, lines)  # a copy lets go of the file's other images
        start = max(0.0, top / rows), max(0.0, left / columns)
        edges = *start, min(1.0, (top + height) / rows), min(1.0, (left + width) / columns)
        return RankedImage(shot.image.copy(), shot.value, None if edges == (0, 0, 1, 1) else edges, lines)

    def words(self, layer: str, unit: int) -> Sequence[str]:
        """Return the numbers of a unit of one of the layers, from the longest wording to the shortest."""
        mean, active = (float(figures[unit]) for figures in self._figures[layer])
        if math.isnan(active):
            return ("no finite value",)
        if active == 0:
            return f"dead: active in none of {self.images:,}", "dead"
        numbers = f"mean {format_number(mean)} · active in {percent(active)}"
        return f"{numbers} of {self.images:,}", numbers, f"active in {percent(active)}", percent(active)


def open_collections(folder: str, context: Context) -> Mapping[str, TopImages]:
    """By layer, that in a folder, or, by AUTO, the newest that fits among the network's own.

    Raises OutputError: damaged, or of another network; by AUTO only if that is so of all that there are.
    """
    if folder != AUTO:
        collection = _fitting(TopResults.open(Path(folder).expanduser()), context)
        return dict.fromkeys(collection.layers, collection)
    found: dict[str, TopImages] = {}
    refused: list[OutputError] = []
    folders = (manifest.parent for manifest in paths.user_top(context.architecture().name).glob(f"*/{MANIFEST}"))
    for path in sorted(folders, key=_written, reverse=True):
        try:
            top = TopResults.open(path)
            if not found.keys() >= set(top.layers):  # tables that nobody looks at are not even read
                collection = _fitting(top, context)
                found = dict.fromkeys(collection.layers, collection) | found
        except OutputError as error:  # noqa: PERF203
            refused.append(error)
    if refused and not found:
        raise refused[0]
    return found


def _fitting(top: TopResults, context: Context) -> TopImages:
    """Return the images of a collection. Raises OutputError if it is damaged or of another network."""
    path, architecture = top.path, context.architecture()
    weights = top.about.get("weights")
    if weights != context.weights or (weights is None and top.model != architecture.name):
        raise OutputError(f"{path}: of another network, {top.model!r}, or of other weights")
    for layer in top.layers:
        if top.units(layer) != context.units(layer):
            here = context.units(layer) or "none"
            raise OutputError(f"{path}: of another network: {layer} has {top.units(layer)} units there, here {here}")
    height, width = architecture.input[-2:]
    return _collection(path, _written(path), (height, width))


def _written(path: Path) -> int:
    """When; 0 while a run is at it."""
    try:
        return (path / MANIFEST).stat().st_mtime_ns
    except OSError:
        return 0


@lru_cache(16)
def _collection(path: Path, _stamp: int, size: tuple[int, int]) -> TopImages:
    """Kept, as every change of the view asks for it, and large tables take a fifth of a second."""
    return TopImages(TopResults.open(path), size)


def percent(share: float) -> str:
    """In whole ones, yet neither all nor none of a part."""
    return "< 1 %" if 0 < share < 0.01 else "> 99 %" if 0.99 < share < 1 else f"{100 * share:.0f} %"

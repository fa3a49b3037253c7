"""The shots that the unit answered to most in this session, and the picture that it would like best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from pydantic import Field

from livecnn.drawer import Ask, Context, Drawer
from livecnn.exhibit import Exhibit, hung
from livecnn.explained import as_rgb
from livecnn.focus import Focus, Unit
from livecnn.geometry import Rect
from livecnn.panels import PanelSpec
from livecnn.paragraph import Paragraph, fitting
from livecnn.pixels import scaled
from livecnn.strongest import MOST
from livecnn.theme import Metrics
from livecnn.types import Image, Preferred, Scene
from livecnn.unit_reducer import PeaksReducer
from livecnn.unit_words import number

if TYPE_CHECKING:
    from livecnn.reduce import Reducer

PREFERRED = ("preferred image", "preferred")
NOTHING_YET, NO_UNIT = "nothing seen yet", "a click on a map or a neuron selects a unit"
SHARE = 0.36  # of the panel's longer side, for the preferred picture


class Strongest(PanelSpec):
    """The nine shots of this session that the unit answered to most, and the picture that gradient ascent finds for it."""

    explores: ClassVar[bool] = True

    kind: Literal["strongest"] = Field("strongest", description="The shots that a unit answered to most, and what it prefers.")

    def drawer(self, name: str, context: Context) -> Drawer:
        return StrongestDrawer(self, name, context)


class StrongestDrawer(Drawer):
    asks: tuple[Ask, ...] = ("preferred",)

    def __init__(self, spec: Strongest, name: str, context: Context) -> None:
        super().__init__(name, context)
        self.titles = (spec.title,) if spec.title else ("strongest shots so far", "strongest shots", "strongest")
        self._focus, self._metrics = Focus(), Metrics(1.0)
        self._unit: Unit | None = None
        self._memory = context.session.strongest
        self._peaks: dict[str, PeaksReducer] = {}
        self._shots = [Exhibit(self.theme) for _ in range(MOST)]
        self._preferred = Exhibit(self.theme)
        self._hint = Paragraph(self.theme.muted)
        self._room = self.body
        self.still = [self.heading]
        self.live = [self.caption, *self._shots, self._preferred, self._hint]

    @cached_property
    def _units(self) -> Mapping[str, int]:
        """By node, how many units it has."""
        return {node.name: node.output[0] for node in self.context.architecture().nodes if node.output}

    @property
    def reducers(self) -> Mapping[str, Reducer]:
        return {f"{self.name}/{layer}": reducer for layer, reducer in self._peaks.items()}

    def attend(self, focus: Focus) -> None:
        shown = focus.shown
        self._focus = focus
        self._unit = shown if 0 <= shown.index < self._units.get(shown.layer, 0) else None
        # Functions only while they are looked at: for them a network has to go step by step.
        watched = [layer for layer in self._units if layer in self.context.shapes or layer == focus.layer]
        if watched != list(self._peaks):
            self._peaks = {layer: self._peaks.get(layer) or PeaksReducer(layer) for layer in watched}

    def captions(self) -> Sequence[str]:
        if self._unit is None:
            return ()
        layer, index = self._unit.layer, self._unit.index
        return f"unit {index} of {layer} · this session", f"unit {index} of {layer}", f"{layer} {index}"

    def arrange(self, body: Rect, metrics: Metrics) -> None:
        self._metrics, gap, line = metrics, metrics.px(8), metrics.px(20)
        self._room, preferred = self._split(body, metrics)
        named = min(self._room.w, self._room.h) >= metrics.px(120)
        places = hung(self._room, MOST, line if named else 0, gap, metrics.px(24))
        for exhibit in self._shots:
            exhibit.place(None, metrics)
        for exhibit, place in zip(self._shots, places, strict=False):
            exhibit.place(place, metrics, named=named)
        self._preferred.place(preferred, metrics)

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

    def show(self, scene: Scene) -> None:
        patch = scene.tick.patch
        if not (scene.status.frozen or patch.prepared.empty or patch.lost):
            self._take(scene)
        room = max(0, self.card.w - 3 * self._metrics.pad - self.heading.advance())
        self.caption.text, self.caption.width = fitting((*self.captions(), ""), room, self._metrics.small), room
        self._show_shots()
        self._show_preferred(None if scene.findings is None else scene.findings.preferred)

    def _take(self, scene: Scene) -> None:
        views = ((layer, scene.tick.views.get(f"{self.name}/{layer}")) for layer in self._peaks)
        peaks = {layer: view for layer, view in views if isinstance(view, np.ndarray)}
        self._memory.take(scene.tick.frame, scene.tick.patch.shot, peaks, self._focus.muted)

    def _show_shots(self) -> None:
        strong = () if self._unit is None else self._memory.of(self._unit.layer, self._unit.index)
        for i, exhibit in enumerate(self._shots):
            if exhibit.box is None:
                continue
            if i >= len(strong):
                exhibit.clear()
                continue
            value = strong[i].value
            exhibit.call((number(value), f"{value:.0e}".replace("e-0", "e−").replace("e+0", "e")))
            if not exhibit.shows(strong[i].shot):
                exhibit.show(fitted(strong[i].shot, exhibit.box))
        hint = NO_UNIT if self._unit is None else "" if strong else NOTHING_YET
        self._hint.put(hint, self.body if self._unit is None else self._room, self._metrics.small)

    def _show_preferred(self, found: Preferred | None) -> None:
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
            exhibit.show(fitted(as_rgb(found.picture), exhibit.box))


def fitted(image: Image, box: Rect) -> Image:
    """uint8 (h, w, 3) as large as fits into a box; few pixels as the squares that they are."""
    place = box.fit(image.shape[1] / image.shape[0])
    return scaled(image, place.w, place.h, sharp=place.w >= 3 * image.shape[1])

"""The images of a whole collection that units answer to most: folders of `livecnn top`, for the network that is on show."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from livecnn import paths
from livecnn.analysis.top.results import MANIFEST, TopImage, TopResults
from livecnn.drawing.tile import Margins
from livecnn.errors import LivecnnError, OutputError
from livecnn.panels.base.drawer import Context
from livecnn.panels.base.strongest_shots import MOST
from livecnn.panels.unit_parts.labels import number
from livecnn.types import Image

AUTO = "auto"  # the network's own folders, if there are any
KEPT = 64  # units whose images stay in memory
WHOLE = 0.5  # of the input: where a patch covers more, it is shown in its surroundings


@dataclass(frozen=True, slots=True, eq=False)
class RankedImage:
    """An image that a unit answers to, uint8 (h, w, 3), and its value.

    edges: of the part that the unit sees, as shares of the image, if it is not all of it.  lines: what there is to say of it.
    """

    picture: Image
    value: float
    edges: Margins | None = None
    lines: tuple[str, ...] = ()


class TopImages:
    """images: how many there are.  layers: those that were looked at.  Raises OutputError if the tables are damaged."""

    def __init__(self, top: TopResults, size: tuple[int, int]) -> None:
        """size: (height, width) of the network's input."""
        self.images, self.layers, self.path = top.images, top.layers, top.path
        self._top, self._size = top, size
        self._figures = {layer: (top.overall(layer, "mean"), top.overall(layer, "active")) for layer in top.layers}
        _ = top.rows  # now, as nobody waits for a picture yet
        self._kept = lru_cache(KEPT)(self._read)

    def exemplars(self, layer: str, unit: int) -> tuple[RankedImage, ...]:
        """Those that a unit of one of the layers answers to most, strongest first. Raises OutputError if they are damaged."""
        return self._kept(layer, unit)

    def _read(self, layer: str, unit: int) -> tuple[RankedImage, ...]:
        try:
            mapped = bool(self._top.about["layers"][layer].get("map"))
            return tuple(self._exemplar(shot, mapped) for shot in self._top.shots(layer, unit)[:MOST])
        except LivecnnError as error:
            raise OutputError(str(error).removeprefix(f"{self.path}{os.sep}")) from error

    def _exemplar(self, shot: TopImage, mapped: bool) -> RankedImage:
        (left, top, width, height), (rows, columns) = shot.box, self._size
        where = f" at row {shot.position[0]}, column {shot.position[1]}" if mapped else ""
        lines = tuple(filter(None, (shot.name, shot.label and f"label {shot.label}", f"value {number(shot.value)}{where}")))
        if width * height < WHOLE * rows * columns:
            return RankedImage(shot.patch.copy(), shot.value, None, lines)  # a copy lets go of the file's other images
        edges = (
            max(0.0, top / rows),
            max(0.0, left / columns),
            min(1.0, (top + height) / rows),
            min(1.0, (left + width) / columns),
        )
        return RankedImage(shot.image.copy(), shot.value, None if edges == (0, 0, 1, 1) else edges, lines)

    def words(self, layer: str, unit: int) -> Sequence[str]:
        """The numbers of a unit of one of the layers, from the longest wording to the shortest."""
        mean, active = (float(figures[unit]) for figures in self._figures[layer])
        if math.isnan(active):
            return ("no finite value",)
        if active == 0:
            return f"dead: active in none of {self.images:,}", "dead"
        numbers = f"mean {number(mean)} · active in {percent(active)}"
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
    for path in _finished(paths.user_top(context.architecture().name)):
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


def _finished(folder: Path) -> list[Path]:
    """Those in a folder, the newest first."""
    return sorted((manifest.parent for manifest in folder.glob(f"*/{MANIFEST}")), key=_written, reverse=True)


def _fitting(top: TopResults, context: Context) -> TopImages:
    """Raises OutputError: damaged, or of another network."""
    path, architecture = top.path, context.architecture()
    units = {node.name: node.output[0] for node in architecture.nodes if node.output}
    weights = top.about.get("weights")
    if weights != context.weights or (weights is None and top.model != architecture.name):
        raise OutputError(f"{path}: of another network, {top.model!r}, or of other weights")
    unlike = next((layer for layer in top.layers if top.units(layer) != units.get(layer)), None)
    if unlike is not None:
        raise OutputError(
            f"{path}: of another network: {unlike} has {top.units(unlike)} units there, here {units.get(unlike, 'none')}"
        )
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

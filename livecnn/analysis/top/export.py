"""Write the results of a scan as files: tables (CSV, and Parquet where pyarrow is installed) and the strongest images."""

from __future__ import annotations

import importlib.util
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from livecnn.analysis.dataset import ImageDataset
from livecnn.analysis.moments import RunningStats
from livecnn.analysis.top.results import QUANTILES, SHOTS, STATISTICS
from livecnn.analysis.top.scan import NONE, CollectionStats, LayerStats, TopJob
from livecnn.drawing.artists import as_rgb, resize_exactly
from livecnn.drawing.contact_sheet import draw_sheet
from livecnn.drawing.theme import THEMES
from livecnn.engine.crop import Cropper
from livecnn.errors import ImageError
from livecnn.io.files import CsvFile, npz_bytes, partial_path, write_atomically, write_error, write_png
from livecnn.io.images import thumbnail
from livecnn.networks.inspection.architecture import Pair, ReceptiveField
from livecnn.networks.pipelines import Pipeline
from livecnn.types import Image

OUTSIDE = 64  # gray level of what lies beyond the input's edge, and of a picture that is gone
KEPT = 64 << 20  # bytes of images that are read once for several units
PICTURED = 512  # units of a layer in its picture
TILE, GAP, SMALLEST = 64, 5, 116  # pixels: a patch in a picture, what is between two, all of a unit's at least
COLUMNS: dict[str, type] = {
    "layer": str, "unit": int, "rank": int, "image": int, "name": str, "label": str, "value": np.float32, "row": int,
    "column": int, "left": int, "top": int, "width": int, "height": int,
}  # fmt: skip

Edges = tuple[int, int, int, int]  # left, top, width, height in pixels
Read = Callable[[int], tuple[str, str, Image]]
Columns = Mapping[str, Sequence[Any] | npt.NDArray[Any]]  # of equal length
Arrays = dict[str, npt.NDArray[Any]]


class Table:
    """A .csv file and its .parquet twin, written part by part; whole or not there. Use it in a `with`. Raises OutputError."""

    def __init__(self, path: Path) -> None:
        self._paths = [path, path.with_suffix(".parquet")] if _has_pyarrow() else [path]
        self._parquet: Any = None

    def __enter__(self) -> Table:
        self._file = CsvFile(self._paths[0], part=partial_path(self._paths[0]))
        self._begun = False
        return self

    def add(self, columns: Columns) -> None:
        """Append rows, in the same columns each time."""
        if not self._begun:
            self._file.write(columns)
            self._begun = True
        self._file.write(*zip(*(_texts(column) for column in columns.values()), strict=True))
        if len(self._paths) > 1:
            self._add_parquet(columns)

    def _add_parquet(self, columns: Columns) -> None:
        import pyarrow
        import pyarrow.parquet

        table = pyarrow.table({name: pyarrow.array(column, from_pandas=True) for name, column in columns.items()})
        if self._parquet is None:
            self._parquet = pyarrow.parquet.ParquetWriter(partial_path(self._paths[1]), table.schema)
        self._parquet.write_table(table)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            with ExitStack() as stack:
                for path in self._paths:
                    stack.callback(partial_path(path).unlink, missing_ok=True)
                if self._parquet is not None:
                    stack.callback(self._parquet.close)  # which does nothing the second time
                self._file.close()
                if error is None:
                    self._finish()
        except OSError as failed:
            raise write_error(self._paths[0], failed) from failed
        if isinstance(error, OSError):
            raise write_error(self._paths[0], error) from error

    def _finish(self) -> None:
        if self._parquet is not None:
            self._parquet.close()
        for path in self._paths:
            if partial_path(path).exists():
                os.replace(partial_path(path), path)


def _has_pyarrow() -> bool:
    return importlib.util.find_spec("pyarrow") is not None


def write_statistics(folder: Path, scan: CollectionStats, classes: Sequence[str]) -> None:
    """Write units.csv, correlation.csv and statistics.npz. classes: names of all groups but the last."""
    arrays: Arrays = {}
    with Table(folder / "units.csv") as units, Table(folder / "correlation.csv") as pairs:
        for number, (name, layer) in enumerate(scan.layers.items()):
            found = statistics(layer)
            arrays |= {f"{number}.{key}": array for key, array in found.items()}
            units.add(_unit_rows(name, found, ("all", *classes)))
            correlation = found.get("correlation", np.empty((0, 0)))
            one, other = np.triu_indices(len(correlation), 1)
            layers = np.full(len(one), name)  # an empty list would have no type
            pairs.add({"layer": layers, "unit": one, "other": other, "correlation": correlation[one, other]})
    write_atomically(folder / STATISTICS, npz_bytes(arrays))


def statistics(layer: LayerStats) -> Arrays:
    """Return the figures of a layer by the names of UnitStatistics."""
    groups = slice(len(layer.moments.count) - 1)
    parts: tuple[RunningStats, ...] = (layer.moments.total(), layer.moments.only(groups))
    names = {"count": "count", "mean": "means", "std": "std", "max": "max", "active": "share"}
    found = {name: np.concatenate([getattr(part, source) for part in parts]) for name, source in names.items()}
    whole = layer.sketch.total()
    quantiles = [np.concatenate((whole.quantile(q), layer.sketch.quantile(q)[groups])) for q in QUANTILES]
    found["quantiles"] = np.stack(quantiles)
    if layer.covariance is not None:
        found["correlation"] = layer.covariance.correlation()
    return found


def _unit_rows(layer: str, found: Arrays, classes: Sequence[str]) -> Columns:
    """Return the columns of units.csv, a row a unit and class."""
    rows, units = found["count"].shape
    columns: dict[str, Any] = {
        "layer": [layer] * rows * units,
        "unit": np.repeat(np.arange(units), rows),
        "class": list(classes) * units,
    }
    columns |= {name: found[name].T.ravel() for name in ("count", "mean", "std", "max", "active")}
    return columns | {f"q{100 * q:02.0f}": values.T.ravel() for q, values in zip(QUANTILES, found["quantiles"], strict=True)}


def _texts(column: Sequence[Any] | npt.NDArray[Any]) -> Iterable[Any]:
    """Write a column as text: nine digits hold every float32; what is not finite is left out."""
    if isinstance(column, np.ndarray) and column.dtype.kind == "f":
        return [f"{value:.9g}" if finite else "" for value, finite in zip(column.tolist(), np.isfinite(column), strict=True)]
    return column.tolist() if isinstance(column, np.ndarray) else column


@dataclass(frozen=True)
class CropBox:
    """Return the (height, width) of an input that a position of a layer sees; all of it where the field is unknown."""

    field: ReceptiveField | None
    input: Pair

    @property
    def size(self) -> Pair:
        """(height, width) in pixels."""
        if self.field is None or self.field.stride is None:
            return self.input
        return min(self.field.size[0], self.input[0]), min(self.field.size[1], self.input[1])

    def at(self, position: Pair) -> Edges:
        """Return the box of a position; it may reach beyond the input's edges."""
        (top, height), (left, width) = (self._along(axis, position[axis]) for axis in (0, 1))
        return left, top, width, height

    def _along(self, axis: int, place: int) -> Pair:
        field, most = self.field, self.input[axis]
        if field is None or field.stride is None or field.centre is None or field.size[axis] >= most:
            return 0, most
        return math.floor(field.centre[axis] + 0.5 + place * field.stride[axis] - field.size[axis] / 2), field.size[axis]


def write_shots(folder: Path, job: TopJob, scan: CollectionStats, files: dict[str, str], images: ImageDataset) -> None:
    """Write shots.csv, shots/LAYER/UNIT.png and UNIT-patch.png, LAYER.png.

    Args:
        folder: That they are written to.
        job: The job that found them.
        scan: What it found.
        files: What a layer is called in these.
        images: The dataset, of which the strongest are read once more.

    Raises:
        OutputError: If a file cannot be written.
    """
    nodes, size = {node.name: node for node in job.bundle.architecture.nodes}, _size(job.bundle.pipeline)
    with Table(folder / SHOTS) as table:
        read = lru_cache(max(1, KEPT // (3 * math.prod(size))))(partial(_read, images, job.cropper, size))
        for name, layer in scan.layers.items():
            shape, rows = job.shapes[name], []
            window = CropBox(nodes[name].field if name in nodes and len(shape) == 4 else None, size)
            sheet = _Sheet(name, job, scan, window)
            for unit, found in _units(layer, shape[-1] if len(shape) > 2 else 1, window, read):
                patches = [shot.patch for shot in found]
                write_png(folder / "shots" / files[name] / f"{unit:04d}.png", np.concatenate([shot.image for shot in found], 1))
                write_png(folder / "shots" / files[name] / f"{unit:04d}-patch.png", np.concatenate(patches, 1))
                rows += [(name, unit, *shot.row) for shot in found]
                sheet.add(unit, patches)
            table.add({column: np.array([row[i] for row in rows], kind) for i, (column, kind) in enumerate(COLUMNS.items())})
            write_png(folder / f"{files[name]}.png", sheet.picture())


def _size(pipeline: Pipeline) -> Pair:
    height, width = pipeline.shape[-2:]
    return height, width


def _read(images: ImageDataset, cropper: Cropper, size: Pair, number: int) -> tuple[str, str, Image]:
    """Name, label and what the network sees, uint8 (*size, 3); of a picture that is gone the reason, and gray."""
    try:
        frame = images.at(number)
    except ImageError as error:
        return str(error), "", np.full((*size, 3), OUTSIDE, np.uint8)
    seen = as_rgb(cropper(frame).prepared.seen)
    name = frame.name.encode("utf-8", "backslashreplace").decode()  # file names may hold bytes of another encoding
    return name, frame.label, seen if seen.shape[:2] == size else resize_exactly(seen, size[1], size[0], sharp=True)


class _Found(NamedTuple):
    """row: by COLUMNS without the first two."""

    row: tuple[Any, ...]
    image: Image
    patch: Image


def _units(layer: LayerStats, across: int, window: CropBox, read: Read) -> Iterator[tuple[int, list[_Found]]]:
    """Of every unit that is not dead; across: columns of a map."""
    dead, best = frozenset(layer.moments.dead()), layer.best
    for unit in range(best.images.shape[1]):
        found = []
        for rank in np.flatnonzero(best.images[:, unit] != NONE).tolist() if unit not in dead else ():
            number = int(best.images[rank, unit])
            name, label, image = read(number)
            position = divmod(int(best.positions[rank, unit]), across)
            edges = window.at(position)
            row = (rank, number, name, label, float(best.values[rank, unit]), *position, *edges)
            found.append(_Found(row, thumbnail(image), crop_padded(image, edges)))
        if found:
            yield unit, found


def crop_padded(image: Image, edges: Edges) -> Image:
    """Cut a box out of uint8 (H, W, 3); what is beyond the edges is gray."""
    left, top, width, height = edges
    patch = np.full((height, width, 3), OUTSIDE, np.uint8)
    inside = image[max(0, top) : max(0, top + height), max(0, left) : max(0, left + width)]
    y, x = max(0, -top), max(0, -left)
    patch[y : y + inside.shape[0], x : x + inside.shape[1]] = inside
    return patch


class _Sheet:
    """A layer's units side by side."""

    def __init__(self, name: str, job: TopJob, scan: CollectionStats, window: CropBox) -> None:
        self._name, self._job, self._images = name, job, int(scan.sizes.sum())
        self._layer, self._window = scan.layers[name], window
        self._side = math.isqrt(job.k - 1) + 1
        height, width = window.size
        self._tile = max(1, round(TILE * min(1, height / width))), max(1, round(TILE * min(1, width / height)))
        units = min(job.shapes[name][1], PICTURED)
        rows, columns = -(-job.k // self._side), self._side
        shape = units, rows * (self._tile[0] + GAP) - GAP, columns * (self._tile[1] + GAP) - GAP, 3
        self._tiles = np.full(shape, THEMES["dark"].card[:3], np.uint8)

    def add(self, unit: int, patches: list[Image]) -> None:
        if unit >= len(self._tiles):
            return
        height, width = self._tile
        for rank, patch in enumerate(patches):
            y, x = rank // self._side * (height + GAP), rank % self._side * (width + GAP)
            self._tiles[unit, y : y + height, x : x + width] = resize_exactly(
                patch, width, height, sharp=max(self._window.size) <= TILE
            )

    def picture(self) -> Image:
        """uint8 (H, W, 3)."""
        dead, count = frozenset(self._layer.moments.dead()), self._job.shapes[self._name][1]
        names = [f"{unit} dead" if unit in dead else str(unit) for unit in range(len(self._tiles))]
        best = self._layer.best.values[0, : len(names)]
        values = np.array([math.nan if unit in dead else best[unit] for unit in range(len(names))], np.float32)
        height, width = self._window.size
        whole = (height, width) == tuple(self._window.input)
        seen = "whole images" if whole else f"patches of {height}x{width} pixels, seen by the strongest position"
        more = f" · the first {len(names)} of {count} units" if count > len(names) else ""
        told = f"{self._job.bundle.name} · {self._images} images · {seen} · number: the largest activation{more}"
        return draw_sheet(f"What units of {self._name} answer to most", told, names, self._tiles, values, SMALLEST)

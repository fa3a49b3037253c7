"""`livecnn.top`: statistics of every unit over a collection, and the images that excite it most, as tables and pictures."""

from __future__ import annotations

import hashlib
import importlib.util
import json
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
from torch import nn

from livecnn import paths
from livecnn._cv2 import one_thread
from livecnn.analysis import shards
from livecnn.analysis.dataset import ImageDataset, as_spec
from livecnn.analysis.moments import FIGURES, RunningStats
from livecnn.analysis.ray_backend import make_engine
from livecnn.analysis.shards import Engine, absolute_spec, as_job_model, check_apart, default_shard_size, run_locally
from livecnn.analysis.top.results import MANIFEST, QUANTILES, SHOTS, STATISTICS, VERSION, TopResults
from livecnn.analysis.top.scan import NONE, CollectionStats, LayerStats, TopJob
from livecnn.drawing.artists import as_rgb, resize_exactly
from livecnn.drawing.contact_sheet import draw_sheet
from livecnn.drawing.theme import THEMES
from livecnn.engine.crop import FINDERS, Cropper, check_finder
from livecnn.errors import ImageError, UsageError, nearest
from livecnn.io.files import CsvFile, check_writable, locked, npz_bytes, partial_path, write_atomically, write_error, write_png
from livecnn.io.images import thumbnail
from livecnn.networks.bundle import Bundle
from livecnn.networks.device import pick_device
from livecnn.networks.inspection.architecture import Pair, ReceptiveField
from livecnn.networks.selectors import check_positive_int, resolve_layers
from livecnn.sources import split_spec
from livecnn.types import Image

K = 9
MOST_K = 100
LONGEST = 24  # letters of either half of a folder's name, so that it fits any system whatever the letters
RESERVED = ("shards", "shots")  # other things in the folder
DEFINITIONS = FIGURES | {
    "quantiles": "of the value, each within 1 % of the value of rank floor(share * (count - 1))",
    "correlation": "Pearson's coefficient of the values of two units over the images in which all of the layer are finite",
    "dead": "units that are active in no image",
    "shots": "images by the largest activation at any position, of equal ones the first in the folder",
}
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


def top(
    images: str | Path,
    model: str | Path | Bundle | nn.Module = "lenet-mnist",
    *,
    layers: str | Sequence[str],
    out: str | Path | None = None,
    k: int = K,
    shard: int | None = None,
    engine: str = "local",
    address: str | None = None,
    finder: str = "centre",
    device: str = "auto",
    allow_code: bool = False,
) -> TopResults:
    """Find the `k` images that excite every unit of some layers most, and statistics over all images.

    Args:
        images: A folder (sub-folders are labels), a video or `idx:DIR?split=test`.
        model: A name or folder as `livecnn.load` takes it, what that returns, or a module of your own, which is left as it is.
        layers: Names as a `Probe` takes them, a list or separated by commas.
        out: A folder; a run that was interrupted there goes on. None: one in the user's data, the same for the same call, which
            the explorer shows.
        k: Images of each unit, 1 to 100.
        shard: Images that are worked on and written at a time; by default 256, and more where there are over 256,000 images.
        engine: "local" or "ray".
        address: Of a Ray cluster; None starts one on this machine.
        finder: What is cut out of an image: its "centre" or a "face".
        device: "auto", "cpu", "cuda", "cuda:N" or "mps".
        allow_code: Let a model `package.module:factory` run its code.

    Returns:
        A view of the folder; a notebook shows the picture of its first layer.

    Raises:
        LivecnnError: If an argument is wrong or the folder cannot be written; what is finished stays in the folder.

    Example:
        >>> import livecnn, numpy
        >>> from PIL import Image
        >>> for i, image in enumerate(numpy.random.default_rng(0).integers(0, 256, (3, 28, 28), numpy.uint8)):
        ...     Image.fromarray(image).save(f"{i}.png")
        >>> found = livecnn.top(".", "lenet-mnist", layers="conv1,ip2", out="../top", k=2)
        >>> found.images, found.units("conv1"), len(found.shots("conv1", 3))
        (3, 20, 2)
        >>> found.figures("ip2").mean.shape  # over all images, and by each of ten classes
        (11, 10)
    """
    work = make_engine(engine, address)
    network, names = as_job_model(model), _names(layers)
    for name, value, most in (("k", k, MOST_K), ("shard", shard, 10_000_000)):
        check_positive_int(name, value, 1, most)
    if finder not in FINDERS:
        raise UsageError(f"unknown finder {finder!r}; {nearest(finder, FINDERS)}")
    check_finder(finder)
    pick_device(device)
    with ImageDataset(absolute_spec(as_spec(images))) as dataset:
        job = TopJob(
            place=dataset.spec, model=network, layers=names, images=len(dataset), fingerprint=dataset.fingerprint(),
            unlisted=tuple(dataset.source.skipped), size=shard or default_shard_size(len(dataset)), finder=finder, device=device,
            allow_code=allow_code, labels=tuple(sorted(dataset.labels())), k=k,
        )  # fmt: skip
        if not job.shapes:
            raise UsageError("layers: found none; allowed: names as `livecnn layers MODEL` lists them, conv1,conv2")
        folder = _usual(job) if out is None else Path(out)
        check_apart(job.place, folder)
        check_writable(folder / MANIFEST)
        with locked(folder / MANIFEST):
            scan = run(job, folder / "shards", dataset, work)
            if not scan.sizes.sum():
                raise UsageError(f"{images}: none of {job.images} pictures can be read; first: {scan.skipped[0]}")
            _write(folder, job, scan, dataset)
    return TopResults.open(folder)


def _usual(job: TopJob) -> Path:
    """Return the folder of a job: always the same for the same question, and another one for any other."""
    address, question, wish = split_spec(job.place)[1].partition("?")
    images = Path(address).resolve()
    decisive = hashlib.sha256(json.dumps([f"{images}{question}{wish}", job.settings()]).encode()).hexdigest()
    layers = "+".join(map(paths.file_name, job.layers))
    if len(layers) > LONGEST:
        layers = layers[:LONGEST].rpartition("+")[0] or layers[:LONGEST]
    return paths.user_top(job.bundle.name) / "-".join((paths.file_name(images.name[:LONGEST]), layers, decisive[:6]))


def run(job: TopJob, folder: Path, images: ImageDataset, engine: Engine = run_locally) -> CollectionStats:
    """Work on the shards that the folder lacks, and merge all. Raises LivecnnError, see `shards.run`."""
    shards.run(job, folder, images, engine)
    total = job.empty
    for scan in shards.read_parts(job, folder):
        total.merge(scan)
    return total


def _names(layers: str | Sequence[str]) -> tuple[str, ...]:
    names = layers.split(",") if isinstance(layers, str) else resolve_layers("layers", layers)
    return tuple(dict.fromkeys(name.strip() for name in names if name.strip()))


def _write(folder: Path, job: TopJob, scan: CollectionStats, images: ImageDataset) -> None:
    """Write everything but the shards, top.json at the very end."""
    (folder / MANIFEST).unlink(missing_ok=True)
    files = paths.file_names(job.layers, RESERVED)
    with one_thread():
        write_statistics(folder, scan, job.classes)
        write_shots(folder, job, scan, files, images)
    skipped = [*job.unlisted, *scan.skipped]
    lines = "".join(f"{line}\n" for line in skipped)
    write_atomically(folder / "skipped.txt", lines.encode("utf-8", "backslashreplace"))
    about = {
        "version": VERSION,
        **job.settings(),
        "images": int(scan.sizes.sum()),
        "skipped": len(skipped),
        "layers": {name: _about(layer.moments, job.shapes[name], files[name]) for name, layer in scan.layers.items()},
        "classes": list(job.classes),
        "classes_are": "true" if job.labels else "predicted",
        "images_per_class": scan.sizes[:-1].tolist(),
        "quantiles": list(QUANTILES),
        "definitions": DEFINITIONS,
    }
    write_atomically(folder / MANIFEST, json.dumps(about, indent=1, ensure_ascii=False).encode())


def _about(moments: RunningStats, shape: tuple[int, ...], file: str) -> dict[str, object]:
    broken = moments.total().not_finite[0]
    return {
        "file": file,
        "units": shape[1],
        "map": list(shape[2:]),
        "dead": list(moments.dead()),
        "not_finite": {int(unit): int(broken[unit]) for unit in broken.nonzero()[0]},
    }


class Table:
    """A .csv file and its .parquet twin, written part by part; whole or not there. Use it in a `with`. Raises OutputError."""

    def __init__(self, path: Path) -> None:
        has_pyarrow = importlib.util.find_spec("pyarrow") is not None
        self._paths = [path, path.with_suffix(".parquet")] if has_pyarrow else [path]
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
    """The part of a network's input that a position of a layer sees; all of it where the field is unknown."""

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
    """Write shots.csv, shots/LAYER/UNIT.png and UNIT-patch.png, LAYER.png; the strongest images are read once more for it.

    `files` maps a layer to its name in these. Raises OutputError if one cannot be written.
    """
    nodes = {node.name: node for node in job.bundle.architecture.nodes}
    height, width = job.bundle.pipeline.shape[-2:]
    size = height, width
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

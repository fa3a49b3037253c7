"""Read the folder that `livecnn top` leaves; docs/top.md describes its files."""

from __future__ import annotations

import csv
import json
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage

from livecnn.errors import ImageError, OutputError, UsageError, nearest
from livecnn.io.images import notebook_png, read_image
from livecnn.types import Image

MANIFEST, STATISTICS, SHOTS = "top.json", "statistics.npz", "shots.csv"
VERSION = 1
QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)

Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class TopImage:
    """One of the images that a unit answers to most.

    Attributes:
        image: What the network sees of it, uint8 (h, w, 3) RGB, no side longer than 96 pixels.
        patch: What the strongest position sees, in the network's input, uint8 (h, w, 3); gray beyond the input's edge.
        value: The activation there.
        position: Row and column on the unit's map.
        box: Left, top, width, height of the patch, in pixels of the network's input.
        number: Of the image in its folder, 0 or more.
        name: Its file name or number.
        label: Its true class, "" where unknown.

    Example:
        >>> import livecnn, numpy
        >>> from PIL import Image
        >>> Image.fromarray(numpy.random.default_rng(0).integers(0, 256, (28, 28), numpy.uint8)).save("1.png")
        >>> shot = livecnn.top(".", "lenet-mnist", layers="conv1", out="../top").shots("conv1", 3)[0]
        >>> shot.name, shot.patch.shape, shot.box[2:]
        ('1.png', (5, 5, 3), (5, 5))
    """

    image: Image
    patch: Image
    value: float
    position: tuple[int, int]
    box: tuple[int, int, int, int]
    number: int
    name: str
    label: str


@dataclass(frozen=True, eq=False)
class UnitStatistics:
    """Statistics of U units; the first row of (1 + K, U) is of all images, the others are of the K classes in their order.

    The value of a unit in an image is its activation, of a map the mean over its positions.

    Attributes:
        count: Images whose value is finite, int64 (1 + K, U).
        mean: Of the value, (1 + K, U); NaN without images.
        std: Standard deviation of the value, divided by the number of images, (1 + K, U); NaN without images.
        max: The largest activation at any position, (1 + K, U); -inf without images.
        active: Fraction of the images with an activation above 0 at any position, (1 + K, U), 0..1; NaN without images.
        quantiles: Of the value, 1, 5, 25, 50, 75, 95 and 99 %, (7, 1 + K, U), within 1 % of the value.
        correlation: Pearson's coefficients, (U, U), -1..1, NaN where a unit never changes; None for more than 1024 units.
        dead: Units that were active in no image.

    Example:
        >>> import livecnn, numpy
        >>> from PIL import Image
        >>> Image.fromarray(numpy.random.default_rng(0).integers(0, 256, (28, 28), numpy.uint8)).save("1.png")
        >>> found = livecnn.top(".", "lenet-mnist", layers="ip2", out="../top").figures("ip2")
        >>> found.mean.shape, int(found.count[0, 0]), found.quantiles.shape
        ((11, 10), 1, (7, 11, 10))
    """

    count: npt.NDArray[np.int64]
    mean: Doubles
    std: Doubles
    max: Doubles
    active: Doubles
    quantiles: Doubles
    correlation: Doubles | None
    dead: tuple[int, ...]


class TopResults:
    """The results of `livecnn top`, read from its folder as it is asked for.

    Attributes:
        path: The folder.
        about: Everything in its top.json.
        model: Name of the network.
        layers: Those that were looked at.
        classes: By which the statistics are divided, K names.
        images: How many were read.
        skipped: How many could not be.

    Example:
        >>> import livecnn, numpy
        >>> from PIL import Image
        >>> Image.fromarray(numpy.random.default_rng(0).integers(0, 256, (28, 28), numpy.uint8)).save("1.png")
        >>> path = livecnn.top(".", "lenet-mnist", layers="conv1,ip2", out="../top").path
        >>> from livecnn.analysis.top.results import TopResults
        >>> found = TopResults.open(path)
        >>> found.layers, found.units("conv1"), found.picture("ip2").ndim
        (('conv1', 'ip2'), 20, 3)
    """

    def __init__(self, path: Path, about: dict[str, Any]) -> None:
        self.path, self.about = path, about
        self.model: str = about["model"]
        self.layers: tuple[str, ...] = tuple(about["layers"])
        self.classes: tuple[str, ...] = tuple(about["classes"])
        self.images: int = int(about["images"])
        self.skipped: int = int(about["skipped"])
        self._units = {name: int(about["layers"][name]["units"]) for name in self.layers}
        self._files = {name: str(about["layers"][name]["file"]) for name in self.layers}

    @classmethod
    def open(cls, path: str | Path) -> TopResults:
        """Open a folder. Raises OutputError if it is none of `livecnn top`, or a run is not finished there."""
        manifest = Path(path) / MANIFEST
        try:
            about = json.loads(manifest.read_text(encoding="utf-8"))
            if about["version"] != VERSION:
                raise ValueError(f"version {about['version']}, known is {VERSION}")
            return cls(Path(path), about)
        except FileNotFoundError:
            raise OutputError(f"{path}: holds no {MANIFEST}; a finished run of `livecnn top` leaves one") from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise OutputError(f"{manifest}: not what `livecnn top` writes: {error!r}") from error

    def units(self, layer: str) -> int:
        """Return the number of units of a layer. Raises UsageError for an unknown one."""
        self._layer(layer)
        return self._units[layer]

    def shots(self, layer: str, unit: int) -> tuple[TopImage, ...]:
        """Return the at most `k` images to which a unit answered most, the strongest first; none for a dead unit.

        Raises:
            UsageError: If there is no such layer or unit.
            OutputError: If the folder cannot be read.
        """
        if not 0 <= unit < self.units(layer):
            raise UsageError(f"unit {unit}: {layer} has {self.units(layer)} (0-{self.units(layer) - 1})")
        rows = self.rows.get((layer, unit), [])
        if not rows:
            return ()
        file = self._files[layer]
        images = _strip(self.path / "shots" / file / f"{unit:04d}.png", len(rows))
        patches = _strip(self.path / "shots" / file / f"{unit:04d}-patch.png", len(rows))
        with _reading(self.path / SHOTS):
            return tuple(map(_shot, images, patches, rows))

    def figures(self, layer: str) -> UnitStatistics:
        """Return the statistics of a layer. Raises UsageError for an unknown one, OutputError if the folder cannot be read."""
        about, number = self._layer(layer), self.layers.index(layer)
        with _reading(self.path / STATISTICS), np.load(self.path / STATISTICS, allow_pickle=False) as file:
            names = [name for name in UnitStatistics.__dataclass_fields__ if name != "dead"]
            arrays = {name: file.get(f"{number}.{name}") for name in names}
        return UnitStatistics(**arrays, dead=tuple(about["dead"]))

    def overall(self, layer: str, name: str) -> Doubles:
        """Return "mean", "std", "max" or "active" of a layer over all images, (U,), without reading those of the classes."""
        units, member = self.units(layer), f"{self.layers.index(layer)}.{name}.npy"
        path = self.path / STATISTICS
        with _reading(path), zipfile.ZipFile(path) as file, file.open(member) as stream:
            np.lib.format.read_magic(stream)
            np.lib.format.read_array_header_1_0(stream)
            row = np.frombuffer(stream.read(8 * units))
            if len(row) != units:
                raise ValueError(f"{member}: {len(row)} of {units} units")
            return row

    def picture(self, layer: str) -> Image:
        """Return a layer's picture, uint8 (H, W, 3) RGB: its units side by side, each with its strongest patches.

        Raises:
            UsageError: If there is no such layer.
            OutputError: If the folder cannot be read.
        """
        path = self.path / f"{self._layer(layer)['file']}.png"
        with _reading(path), PillowImage.open(path) as image:
            return np.array(image.convert("RGB"), np.uint8)

    def _repr_png_(self) -> bytes:
        return notebook_png(self.picture(self.layers[0]))

    def __repr__(self) -> str:
        return f"<strongest of {self.images} images for {self.model}, {', '.join(self.layers)}: {self.path}>"

    def _layer(self, layer: str) -> dict[str, Any]:
        if layer not in self.about["layers"]:
            raise UsageError(f"{self.path}: unknown layer {layer!r}; {nearest(layer, self.layers)}")
        found: dict[str, Any] = self.about["layers"][layer]
        return found

    @cached_property
    def rows(self) -> dict[tuple[str, int], list[dict[str, str]]]:
        """The rows of shots.csv by layer and unit, the strongest first. Raises OutputError."""
        rows: dict[tuple[str, int], list[dict[str, str]]] = {}
        path = self.path / SHOTS
        with _reading(path), path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                rows.setdefault((row["layer"], int(row["unit"])), []).append(row)
        return rows


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError, EOFError, csv.Error, zlib.error, zipfile.BadZipFile) as error:
        raise OutputError(f"{path}: cannot be read: {error}") from error


def _strip(path: Path, count: int) -> list[Image]:
    """Cut a picture into so many tiles side by side."""
    try:
        with _reading(path):
            return np.split(read_image(path), count, axis=1)
    except ImageError as error:
        raise OutputError(str(error)) from error


def _shot(image: Image, patch: Image, row: dict[str, str]) -> TopImage:
    left, top, width, height = (int(row[name]) for name in ("left", "top", "width", "height"))
    position = int(row["row"]), int(row["column"])
    return TopImage(
        image, patch, float(row["value"]), position, (left, top, width, height), int(row["image"]), row["name"], row["label"]
    )

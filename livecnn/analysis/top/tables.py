"""What a scan found, as tables: CSV, and Parquet where pyarrow is installed."""

from __future__ import annotations

import importlib.util
import io
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from livecnn.analysis.moments import RunningStats
from livecnn.analysis.top.results import QUANTILES, STATISTICS
from livecnn.analysis.top.scan import CollectionStats, LayerStats
from livecnn.io.csv_files import CsvFile
from livecnn.io.files import partial_path, write_atomically, write_error

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
        """The same columns each time."""
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
    """units.csv, correlation.csv and statistics.npz. classes: names of all groups but the last."""
    arrays: Arrays = {}
    with Table(folder / "units.csv") as units, Table(folder / "correlation.csv") as pairs:
        for number, (name, layer) in enumerate(scan.layers.items()):
            found = statistics(layer)
            arrays |= {f"{number}.{key}": array for key, array in found.items()}
            units.add(_units(name, found, ("all", *classes)))
            correlation = found.get("correlation", np.empty((0, 0)))
            one, other = np.triu_indices(len(correlation), 1)
            layers = np.full(len(one), name)  # an empty list would have no type
            pairs.add({"layer": layers, "unit": one, "other": other, "correlation": correlation[one, other]})
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    write_atomically(folder / STATISTICS, buffer.getvalue())


def statistics(layer: LayerStats) -> Arrays:
    """By the names of top_files.Figures."""
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


def _units(layer: str, found: Arrays, classes: Sequence[str]) -> Columns:
    """A row a unit and class."""
    rows, units = found["count"].shape
    columns: dict[str, Any] = {
        "layer": [layer] * rows * units,
        "unit": np.repeat(np.arange(units), rows),
        "class": list(classes) * units,
    }
    columns |= {name: found[name].T.ravel() for name in ("count", "mean", "std", "max", "active")}
    return columns | {f"q{100 * q:02.0f}": values.T.ravel() for q, values in zip(QUANTILES, found["quantiles"], strict=True)}


def _texts(column: Sequence[Any] | npt.NDArray[Any]) -> Iterable[Any]:
    """Nine digits hold every float32; what is not finite is left out."""
    if isinstance(column, np.ndarray) and column.dtype.kind == "f":
        return [f"{value:.9g}" if finite else "" for value, finite in zip(column.tolist(), np.isfinite(column), strict=True)]
    return column.tolist() if isinstance(column, np.ndarray) else column

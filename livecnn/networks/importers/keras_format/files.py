"""What lies in Keras' files, with nothing built from it: the model's configuration; and that no size in them is a lie."""

from __future__ import annotations

import io
import json
import math
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from livecnn.errors import ModelError

MOST_EXPANSION = 100  # of what is stored; weights can hardly be compressed
SMALL = 1 << 20  # bytes that may be anything


class Description(NamedTuple):
    """configuration: of the model, plain data.  version: of the Keras that wrote it, or "".  numbers: how many the file holds."""

    configuration: Any
    version: str
    numbers: int


def description(path: Path) -> Description:
    """What a file says, once sizes and links of all that it holds have been checked. Raises ModelError."""
    try:
        path.open("rb").close()  # for HDF5 tells it in a line of its own
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror or error}") from error
    try:
        return _of_archive(path) if zipfile.is_zipfile(path) else _of_hdf5(path)
    except ModelError:
        raise
    except Exception as error:  # zip, HDF5 and JSON fail in any way there is on nonsense
        raise ModelError(f"{path}: not a sound Keras file: {type(error).__name__}: {error}") from error


def _of_archive(path: Path) -> Description:
    import h5py

    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            _check_size(path, member.filename, member.file_size, member.compress_size)
        missing = {"config.json", "metadata.json", "model.weights.h5"} - set(archive.namelist())
        if missing:
            raise ModelError(f"{path}: holds no {', '.join(sorted(missing))}; allowed: what model.save(…) writes")
        weights = archive.read("model.weights.h5")
        with h5py.File(io.BytesIO(weights), "r") as file:
            numbers = _checked_numbers(path, file, len(weights))
        version = json.loads(archive.read("metadata.json")).get("keras_version", "")
        return Description(json.loads(archive.read("config.json")), str(version), numbers)


def _of_hdf5(path: Path) -> Description:
    import h5py

    with h5py.File(path, "r") as file:
        numbers = _checked_numbers(path, file, path.stat().st_size)
        text = file.attrs.get("model_config")
        if text is None:
            raise ModelError(f"{path}: holds weights alone, no model_config; allowed: a whole model, as model.save(…) writes it")
        return Description(json.loads(_text(text)), _text(file.attrs.get("keras_version", "")), numbers)


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _checked_numbers(path: Path, file: Any, stored: int) -> int:
    """How many numbers all datasets hold together."""
    import h5py

    total = numbers = 0
    for item in _objects(path, file):
        for name in item.attrs:
            attribute = item.attrs.get_id(name)
            size = math.prod(attribute.shape) * attribute.dtype.itemsize
            _check_size(path, f"{item.name}: {name}", size, stored, most_expansion=1)
        if isinstance(item, h5py.Dataset):
            _check_dataset(path, item)
            total += item.nbytes
            numbers += item.size
    _check_size(path, "the weights", total, stored)
    return numbers


def _objects(path: Path, file: Any) -> Iterator[Any]:
    """All that a file holds, each once, for groups may hold each other."""
    import h5py

    seen: set[int] = set()
    groups = [file]
    while groups:
        group = groups.pop()
        yield group
        for name in group:
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise ModelError(f"{path}: {group.name}/{name} is a link; allowed: data that lies in the file itself")
            item = group[name]
            address = h5py.h5o.get_info(item.id).addr
            if address not in seen:
                seen.add(address)
                if isinstance(item, h5py.Group):
                    groups.append(item)
                else:
                    yield item


def _check_dataset(path: Path, dataset: Any) -> None:
    if dataset.external or dataset.is_virtual:
        raise ModelError(f"{path}: {dataset.name} lies in another file; allowed: data that lies in the file itself")
    if dataset.dtype.kind not in "fiubS":
        raise ModelError(f"{path}: {dataset.name} holds {dataset.dtype}; allowed: numbers")


def _check_size(path: Path, name: str, declared: int, stored: int, most_expansion: int = MOST_EXPANSION) -> None:
    if declared > max(SMALL, most_expansion * stored):
        raise ModelError(f"{path}: {name} would grow from {stored} bytes to {declared}; allowed: {most_expansion} times as many")

"""Files: written whole or not at all, tried beforehand, sorted as people count."""

import contextlib
import io
import itertools
import json
import os
import re
import tempfile
import time
import zipfile
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage

from livecnn.errors import OutputError
from livecnn.types import Image


def check_writable(path: Path) -> None:
    """Make the folder and try it, so that a run fails before its work, not after. Raises OutputError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise IsADirectoryError(None, "it is a folder; a file name is needed")
        tempfile.TemporaryFile(dir=path.parent).close()
    except OSError as error:
        raise write_error(path, error) from error


def write_error(path: Path, error: OSError) -> OutputError:
    """Return the error to raise for a file that cannot be written."""
    blocked = isinstance(error, (FileExistsError, NotADirectoryError))
    reason = f"{error.filename} is not a folder" if blocked else error.strerror or error
    return OutputError(f"{path}: cannot be written: {reason}")


def partial_path(path: Path) -> Path:
    """Return what a file is called until it is complete: NAME.part.SUFFIX, so that viewers open it."""
    return path.with_name(f"{path.stem}.part{path.suffix}")


def free_path(folder: Path, suffix: str, taken: Collection[Path] = ()) -> Path:
    """Return a name made of the time that no file has yet, finished or not, e.g. livecnn-20260131-142355.png.

    Args:
        folder: of the file.
        suffix: with its dot.
        taken: what is about to be written, and no candidate either.
    """
    stem = time.strftime("livecnn-%Y%m%d-%H%M%S")
    names = itertools.chain([stem], (f"{stem}-{n}" for n in itertools.count(2)))
    paths = (folder / f"{name}{suffix}" for name in names)
    return next(path for path in paths if path not in taken and not path.exists() and not partial_path(path).exists())


def write_atomically(path: Path, data: bytes) -> None:
    """Write the whole file or none, even if the power fails. Raises OutputError."""
    part = partial_path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink()
        raise write_error(path, error) from error


def write_png(path: Path, picture: Image) -> None:
    """Write one picture, uint8 (H, W, 3) RGB. Raises OutputError."""
    buffer = io.BytesIO()
    PillowImage.fromarray(picture).save(buffer, "PNG")
    write_atomically(path, buffer.getvalue())


def npz_bytes(arrays: Mapping[str, npt.NDArray[Any]], about: Any = None, *, compressed: bool = True) -> bytes:
    """Pack arrays as an .npz file; `about`, ready for JSON, goes into it as the array of that name."""
    first = {} if about is None else {"about": np.frombuffer(json.dumps(about).encode(), np.uint8)}
    buffer = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(buffer, **first, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


@contextlib.contextmanager
def open_npz(data: bytes) -> Iterator[tuple[Mapping[str, npt.NDArray[Any]], Any]]:
    """Open what `npz_bytes` packed, for its arrays and what it is about. Raises ValueError, also in the block, if it is none."""
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            yield file, json.loads(file["about"].tobytes())
    except (OSError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(str(error)) from error


def check_same_run(folder: Path, found: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
    """Raise OutputError, naming the first difference, if a folder's run had other settings than these."""
    other = next((name for name in settings if found.get(name) != settings[name]), None)
    if other is not None:
        told = f"{other} {found.get(other)}, now {settings[other]}"
        raise OutputError(f"{folder}: holds another run ({told}); name another folder")


def is_folder(out: str) -> bool:
    """Return whether files are to be written into a folder: `out` ends with a slash, or is a folder already."""
    return out.endswith(("/", os.sep)) or Path(out).is_dir()


def natural_key(path: str) -> str:
    r"""Return a key that sorts paths as people count: numbers by their value, letters without regard to case.

    The key is one text: lists of pieces would take several times the memory. "\0", which no name holds, ends each piece, so that
    a name comes before those that begin with it.
    """
    return "\0".join(map(_part_key, path.split("/")))


def _part_key(part: str) -> str:
    pieces = re.split(r"(\d+)", part)
    return "".join(_number(piece) if i % 2 else f"{piece.casefold()}\0" for i, piece in enumerate(pieces)) + f"\0{part}"


def _number(digits: str) -> str:
    """Of two numbers the one with fewer digits is the smaller one."""
    plain = str(int(digits))
    return chr(len(plain)) + plain

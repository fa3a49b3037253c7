"""One program at a time that reads, changes and writes a file."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from livecnn.errors import OutputError
from livecnn.io.files import write_error

PATIENCE = 2.0  # seconds that another program may take


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Nobody else who asks is in here for a file of that folder; afterwards its name is as safe on the disk as its content.

    The folder is made if need be. Windows has no lock on folders: of two changes within the same few milliseconds one may be
    lost there. Raises OutputError.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        folder = None if sys.platform == "win32" else os.open(path.parent, os.O_RDONLY)
    except OSError as error:
        raise write_error(path, error) from error
    if folder is None:
        yield
        return
    try:
        if not _locked(folder):
            raise OutputError(f"{path}: cannot be written: another program has been writing there for {PATIENCE:g} seconds")
        yield
        with contextlib.suppress(OSError):  # some file systems cannot, and the file itself is written
            os.fsync(folder)
    finally:
        os.close(folder)


def _locked(folder: int) -> bool:
    """Whether the lock was to be had in time."""
    deadline = time.monotonic() + PATIENCE
    while not _lock(folder):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True


def _lock(folder: int) -> bool:
    """Whether nobody else holds it; a file system without locks has none to hold."""
    import fcntl

    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True

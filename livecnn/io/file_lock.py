"""One program at a time that reads, changes and writes a file."""

import contextlib
import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from livecnn.errors import OutputError
from livecnn.io.files import write_error

PATIENCE = 2.0  # seconds that another program may take
NO_LOCKS = (errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK)  # of file systems without locks: nobody is kept out there


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep every other program that asks for the same file out; its folder is made if need be.

    Meanwhile `.NAME.lock` is beside it. Afterwards the file's name is as safe on the disk as its content.

    Raises:
        OutputError: another program has held it for PATIENCE seconds, or the folder cannot be written to.
    """
    lock = FileLock(path.with_name(f".{path.name}.lock"), PATIENCE, poll_interval=0.005)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout as error:
        message = f"{path}: cannot be written: another program has been writing there for {PATIENCE:g} seconds"
        raise OutputError(message) from error
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise write_error(path, error) from error
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # on Windows an open file cannot be deleted; there releasing deletes it
            os.unlink(lock.lock_file)
        lock.release()
    with contextlib.suppress(OSError):  # some file systems cannot, nor can Windows, and the file itself is written
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

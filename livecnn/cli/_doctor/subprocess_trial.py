"""What may hang or end its whole process, tried in a process of its own: a camera's driver, a display."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

from livecnn.errors import LivecnnError

LIMIT = 30.0  # seconds that a driver or a display gets to answer
COUNTED = 15  # pictures behind a camera's rate


def run_in_subprocess(trial: Callable[[str], None], argument: str) -> str:
    """What `camera` or `window` prints in a process of its own. Raises LivecnnError: why it printed nothing."""
    code = f"import sys; from livecnn.cli._doctor import subprocess_trial as trial; trial.{trial.__name__}(sys.argv[1])"
    process = subprocess.Popen(
        [sys.executable, "-c", code, argument], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace"
    )
    try:
        out, err = process.communicate(timeout=LIMIT)
    except subprocess.TimeoutExpired:
        process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):  # a driver may keep even a killed process waiting
            process.communicate(timeout=1)
        raise LivecnnError(f"no answer within {LIMIT:g} s") from None
    if process.returncode:
        said = err.strip().splitlines() or [f"ended with code {process.returncode}"]
        raise LivecnnError(said[-1] if process.returncode > 0 else said[0])  # killed by a signal: Qt says why, then more
    return out.strip()


def camera(address: str) -> None:
    """Print a camera's size and rate. Ends the process with what is wrong with it."""
    from livecnn.sources import open_source

    with _told(), open_source(f"camera:{address}") as source:
        frame = source.read()
        start = time.monotonic()
        for _ in range(COUNTED):
            frame = source.read()
        seconds = time.monotonic() - start
        assert frame is not None
        height, width = frame.image.shape[:2]
        print(f"{width}x{height}, {COUNTED / seconds:.0f} pictures a second")


def window(toolkit: str) -> None:
    """Open a window, unseen, and close it. Ends the process with what is wrong with the display."""
    from matplotlib.figure import Figure

    from livecnn.app.toolkit.backend import new_manager

    with _told():
        new_manager(Figure(), toolkit).destroy()


@contextlib.contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except LivecnnError as error:
        raise SystemExit(str(error)) from error

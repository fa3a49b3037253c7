"""A display for benchmarks of windows: the one that there is, or else an Xvfb that lives as long as it is needed."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from livecnn.app.toolkit.backend import has_display


@contextmanager
def display() -> Iterator[Mapping[str, str]]:
    """The environment, with a display in it."""
    if has_display():
        yield os.environ
        return
    if shutil.which("Xvfb") is None:
        raise SystemExit("there is no display and no Xvfb; `apt install xvfb`, or run it on a desktop")
    reader, writer = os.pipe()
    # -displayfd finds a free display and says when it is ready; without -noreset the server starts over between two peers.
    command = ["Xvfb", "-displayfd", str(writer), "-screen", "0", "1920x1080x24", "-nolisten", "tcp", "-noreset"]
    with subprocess.Popen(command, pass_fds=[writer], stderr=subprocess.DEVNULL) as server:
        os.close(writer)
        try:
            with open(reader, encoding="ascii") as pipe:
                yield {**os.environ, "DISPLAY": f":{pipe.readline().strip()}"}
        finally:
            server.terminate()

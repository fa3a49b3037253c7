"""A terminal of our own in which somebody types: a pseudo-terminal, on systems that have them."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from tests.helpers.virtual_display import PATIENCE

# Ctrl-C is for the process that the terminal belongs to.
CODE = "import fcntl, sys, termios\nfcntl.ioctl(0, termios.TIOCSCTTY, 0)\nfrom livecnn.cli import main\nsys.exit(main())"
SIZE = (30, 110)  # rows and columns
ESCAPES = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """`livecnn …` in a terminal; use it in a `with`, which ends it whatever happens."""

    def __init__(self, folder: Path, *words: str, env: Mapping[str, str] | None = None, first: str = "") -> None:
        """first: Python that is run before."""
        self._here, there = pty.openpty()
        fcntl.ioctl(there, termios.TIOCSWINSZ, struct.pack("4H", *SIZE, 0, 0))
        self.modes = termios.tcgetattr(there)
        self._told, self._read = b"", 0
        self.process = subprocess.Popen(
            [sys.executable, "-c", first + CODE, *words],
            cwd=folder,
            env={**os.environ, "TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1", **(env or {})},
            stdin=there,
            stdout=there,
            stderr=there,
            start_new_session=True,
        )
        self._there = there

    def type(self, text: str) -> None:
        os.write(self._here, text.encode())

    def wait_for(self, *texts: str) -> None:
        """One after the other, after what was waited for before; colours and the like left out."""
        for text in texts:
            deadline = time.monotonic() + PATIENCE
            while text.encode() not in self._told[self._read :]:
                assert time.monotonic() < deadline, f"waited in vain for {text!r}; told: {self.told!r}"
                self._take(0.2)
            self._read = self._told.index(text.encode(), self._read) + len(text.encode())

    def type_after(self, shown: str, text: str) -> None:
        self.wait_for(shown)
        self.type(text)

    @property
    def told(self) -> str:
        return self._told.decode(errors="replace")

    def end(self, number: int | None = None) -> int:
        """Exit code; number: of a signal that is sent before."""
        if number is not None:
            self.process.send_signal(signal.Signals(number))
        deadline = time.monotonic() + PATIENCE
        while self.process.poll() is None:
            assert time.monotonic() < deadline, f"waited in vain for the end; told: {self.told!r}"
            self._take(0.05)
        self._take(0)
        return self.process.returncode

    def as_before(self) -> bool:
        """Is the terminal in the modes that it was in?"""
        return termios.tcgetattr(self._there) == self.modes

    def _take(self, seconds: float) -> None:
        while select.select([self._here], [], [], seconds)[0]:
            self._told += ESCAPES.sub(b"", os.read(self._here, 1 << 16))
            seconds = 0

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._here)
        os.close(self._there)

"""Layout files that are edited while they are on show."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path

PAUSE = 0.25  # seconds between two looks at the files; an editor writes a file in less

Stamp = tuple[int, int, int] | None


class FileWatcher:
    """Tells when one of some files was saved, once it has stood still for a moment."""

    def __init__(self, paths: Iterable[Path]) -> None:
        self._next = 0.0
        self.follow(paths)

    def follow(self, paths: Iterable[Path]) -> None:
        """Watch these files from now on."""
        self._paths = tuple(paths)
        self._known = self._seen = self._stamps()

    def changed(self) -> bool:
        """True once for every time that a file was saved; to be asked as often as one likes."""
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + PAUSE
        before, self._seen = self._seen, self._stamps()
        if self._seen == self._known or self._seen != before:
            return False
        self._known = self._seen
        return True

    def _stamps(self) -> tuple[Stamp, ...]:
        return tuple(map(_stamp, self._paths))


def _stamp(path: Path) -> Stamp:
    """What changes when a file is saved; None where there is none, as for a moment while some editors save."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino

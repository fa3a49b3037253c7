"""A folder of PNG files."""

import re
from pathlib import Path

from livecnn.errors import OutputError
from livecnn.io.files import write_png
from livecnn.io.recorders.base import Recorder
from livecnn.types import Image

NUMBERED = re.compile(r"\d{4,}\.png", re.ASCII)


class FolderRecorder(Recorder):
    """Numbered PNG files, 0000.png and on, each there as soon as it is whole. How long a picture lasts is not told."""

    def _begin(self, width: int, height: int) -> None:
        """Nothing to open."""

    def _extend(self, until: float) -> bool:  # noqa: ARG002
        return True

    def _write(self, picture: Image) -> None:
        write_png(self.path / f"{self.pictures:04}.png", picture)

    def _end(self) -> None:
        """Nothing to close."""

    def _publish(self) -> None:
        """Every picture has its name already."""

    def _discard(self) -> None:
        """Keep what was written: it is whole."""


def check_unnumbered(folder: Path) -> None:
    """Raise OutputError if there are numbered pictures already: those of two films must not mix."""
    names = sorted(path.name for path in folder.glob("*.png") if NUMBERED.fullmatch(path.name))
    if names:
        raise OutputError(f"{folder}: holds {names[0]} already; name an empty folder or a new one")

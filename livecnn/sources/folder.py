"""A folder of pictures, with its sub-folders."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from livecnn.errors import ImageError, SourceError
from livecnn.images import FORMATS, SUFFIXES, read_image
from livecnn.sources import Source, SourceOptions
from livecnn.sources._natural import natural_key
from livecnn.types import Frame


class Folder(Source):
    """Every picture below a folder in natural order (img2 before img10), one at a time; the first sub-folder is the label.

    A picture that cannot be read is skipped, told in `skipped`, and left out from then on.
    """

    def __init__(self, address: str, options: SourceOptions) -> None:
        super().__init__(address, options)
        self.interval = 1.0 / (options.fps or 1.0)
        self._root = Path(os.path.expanduser(address))
        self.name = self._root.name or address
        self._files: list[Path] = []
        self._next = 0

    def open(self) -> None:
        """List the pictures, decoding none. Raises SourceError if the folder is missing, unreadable or has no pictures."""
        if not self.address:
            raise SourceError("source 'folder': which folder? write folder:DIR")
        if not os.path.isdir(self._root):
            raise SourceError(f"folder {self._root}: {'not a folder' if os.path.exists(self._root) else 'no such folder'}")
        try:
            os.scandir(self._root).close()
        except OSError as error:
            raise SourceError(f"folder {self._root}: cannot be read: {error.strerror}") from error
        self._files = self._list()
        if not self._files:
            raise SourceError(f"folder {self._root}: holds no pictures; allowed: {', '.join(FORMATS)} files, also in sub-folders")
        self.rewind()

    def read(self) -> Frame | None:
        """The next picture that can be read; None after the last. Raises SourceError if there is none in the folder."""
        while self._next < len(self._files):
            path = self._files[self._next]
            try:
                image = read_image(path)
            except ImageError as error:
                self._skip(path, error)
                continue
            self._next += 1
            return self._frame(image, *self._told(path))
        if not self._files:
            raise SourceError(f"folder {self._root}: none of {len(self.skipped)} pictures can be read; first: {self.skipped[0]}")
        return None

    def rewind(self) -> None:
        self._next = 0

    def __len__(self) -> int:
        return len(self._files)

    def at(self, index: int) -> Frame:
        """The picture at a place, dated by its place. Raises ImageError, which names it within the folder."""
        assert self.interval is not None
        path = self._files[index]
        name, label = self._told(path)
        try:
            return Frame(read_image(path), index, index * self.interval, name, label)
        except ImageError as error:
            raise ImageError(f"{name}: {_reason(path, error)}") from error

    def labels(self) -> set[str]:
        return {label for _, label in map(self._told, self._files) if label}

    def fingerprint(self) -> str:
        """Of the names in their order."""
        names = hashlib.sha256()
        for path in self._files:
            names.update(os.fsencode(path.relative_to(self._root)) + b"\0")
        return names.hexdigest()

    def _told(self, path: Path) -> tuple[str, str]:
        """Name and label."""
        place = path.relative_to(self._root)
        return place.as_posix(), place.parts[0] if len(place.parts) > 1 else ""

    def _list(self) -> list[Path]:
        found = []
        for folder, _, names in os.walk(self._root, onerror=self._skip_folder):
            shown = (name for name in names if not name.startswith("."))
            found += [Path(folder, name) for name in shown if Path(name).suffix.lower() in SUFFIXES]
        return sorted(found, key=lambda path: natural_key(path.relative_to(self._root).as_posix()))

    def _skip(self, path: Path, error: ImageError) -> None:
        self.skipped.append(f"{self._told(path)[0]}: {_reason(path, error)}")
        del self._files[self._next]

    def _skip_folder(self, error: OSError) -> None:
        place = Path(str(error.filename)).relative_to(self._root).as_posix()
        self.skipped.append(f"{place}/: {error.strerror}")


def _reason(path: Path, error: ImageError) -> str:
    return str(error).removeprefix(f"{path}: ")

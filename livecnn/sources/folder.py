"""A folder of pictures, with its sub-folders."""

import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

from livecnn.errors import ImageError, SourceError
from livecnn.io.files import natural_key
from livecnn.io.images import FORMATS, SUFFIXES, read_image
from livecnn.sources import Source, SourceOptions
from livecnn.types import Frame, Image


class FolderSource(Source):
    """Every picture below a folder in natural order (img2 before img10), one at a time; the first sub-folder is the label.

    A picture that cannot be read is skipped, told in `skipped`, and left out from then on.
    """

    def __init__(self, address: str, options: SourceOptions) -> None:
        super().__init__(address, options)
        self.interval = 1.0 / (options.fps or 1.0)
        self._root = Path(os.path.expanduser(address))
        self.name = self._root.name or address
        self._files: list[str] = []
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
        self._files = list(self._walk())
        if not self._files:
            raise SourceError(f"folder {self._root}: holds no pictures; allowed: {', '.join(FORMATS)} files, also in sub-folders")
        self.rewind()

    def read(self) -> Frame | None:
        """Return the next picture that can be read; None after the last. Raises SourceError if there is none in the folder."""
        while self._next < len(self._files):
            name = self._files[self._next]
            try:
                image = self._image(name)
            except ImageError as error:
                self.skipped.append(str(error))
                del self._files[self._next]
                continue
            self._next += 1
            return self._frame(image, _shown(name), _label(name))
        if not self._files:
            raise SourceError(f"folder {self._root}: none of {len(self.skipped)} pictures can be read; first: {self.skipped[0]}")
        return None

    def rewind(self) -> None:
        self._next = 0

    def __len__(self) -> int:
        return len(self._files)

    def at(self, index: int) -> Frame:
        """Return the picture at a place, dated by its place. Raises ImageError, which names it within the folder."""
        assert self.interval is not None
        name = self._files[index]
        return Frame(self._image(name), index, index * self.interval, _shown(name), _label(name))

    def labels(self) -> set[str]:
        """Return the names of the sub-folders, which are the labels."""
        return set(map(_label, self._files)) - {""}

    def fingerprint(self) -> str:
        """Return a digest of the names in their order."""
        names = hashlib.sha256()
        for name in self._files:
            names.update(os.fsencode(name) + b"\0")
        return names.hexdigest()

    def _image(self, name: str) -> Image:
        """Read a picture. Raises ImageError, which names it within the folder."""
        path = self._root / name
        try:
            return read_image(path)
        except ImageError as error:
            reason = str(error).removeprefix(str(ImageError(f"{path}: ")))
            raise ImageError(f"{_shown(name)}: {reason}") from error

    def _walk(self) -> Iterator[str]:
        """Names of pictures in their order, folder by folder, so that no more than a folder's have to be sorted at a time."""
        waiting = [""]
        while waiting:
            name = waiting.pop()
            if not name or name.endswith("/"):
                waiting += reversed(self._entries(name))
            else:
                yield name

    def _entries(self, folder: str) -> list[str]:
        """Of a folder, "" or with a slash at its end: the names of its pictures and folders, sorted, these with a slash again."""
        try:
            with os.scandir(self._root / folder) as entries:
                found = [f"{entry.name}{'/' * _is_folder(entry)}" for entry in entries if _is_wanted(entry)]
        except OSError as error:
            self.skipped.append(f"{_shown(folder)}: {error.strerror}")
            return []
        return [folder + name for name in sorted(found, key=lambda name: natural_key(name.rstrip("/")))]


def _is_wanted(entry: os.DirEntry[str]) -> bool:
    if _is_folder(entry):
        return not entry.is_symlink()  # it may lead back here
    return not entry.name.startswith(".") and os.path.splitext(entry.name)[1].lower() in SUFFIXES


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _label(name: str) -> str:
    folder, slash, _ = name.partition("/")
    return _shown(folder) if slash else ""


def _shown(name: str) -> str:
    r"""Write out what not every file can hold: bytes of another encoding, ends of lines and the like (\xe9, \n)."""
    text = os.fsencode(name).decode("utf-8", "backslashreplace")
    return re.sub(r"[\x00-\x1f\x7f-\x9f]", lambda found: ascii(found[0])[1:-1], text)

"""Pictures that can be asked for by their place: what a replay chooses from."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import Protocol

from livecnn.errors import SourceError, UsageError
from livecnn.io.idx import FILES, find
from livecnn.sources import Source, open_source, split_spec
from livecnn.sources.folder import FolderSource
from livecnn.sources.idx import IdxSource
from livecnn.sources.video import VideoSource
from livecnn.types import Frame

KINDS = ("folder", "idx", "video")


class Dataset(Protocol):
    """What a source offers whose pictures have places, 0 .. len - 1."""

    def __len__(self) -> int: ...

    def at(self, index: int) -> Frame:
        """Raises ImageError if this picture cannot be read, SourceError if none can."""

    def labels(self) -> set[str]:
        """True classes that pictures have, as far as they are known."""

    def fingerprint(self) -> str:
        """Another one if pictures were added, taken away or renamed; none is decoded for it."""


class ImageDataset:
    """A folder, video or data set opened for its pictures by place; use it in a `with`."""

    def __init__(self, spec: str) -> None:
        self.spec = spec
        self.source: Source = open_source(spec)

    def __enter__(self) -> Dataset:
        self.source.open()
        if isinstance(self.source, VideoSource):
            return VideoFrames(self.source)
        assert isinstance(self.source, (FolderSource, IdxSource))
        return self.source

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.source.close()


class VideoFrames:
    """The pictures of a video. Going back means starting over: seeking lands on key frames, or fails, depending on the file."""

    def __init__(self, video: VideoSource) -> None:
        self._video = video
        self._next = 0
        self._count = 0
        while video.read() is not None:
            self._count += 1
        self._next = self._count

    def __len__(self) -> int:
        return self._count

    def at(self, index: int) -> Frame:
        if index < self._next:
            self._video.rewind()
            self._next = 0
        while self._next <= index:
            frame = self._video.read()
            self._next += 1
        if frame is None:
            raise SourceError(f"video {self._video.name}: ends before picture {index}, which it had before")
        return frame

    def labels(self) -> set[str]:
        return set()

    def fingerprint(self) -> str:
        return str(self._count)


def as_spec(place: str | os.PathLike[str]) -> str:
    """The source's spec string for a folder of pictures or of idx files, or a video. Raises UsageError for anything else."""
    if not isinstance(place, (str, os.PathLike)):
        raise UsageError(f"pictures: found {type(place).__name__}; allowed: a folder, a video, idx:DIR?split=test")
    text = os.fspath(place)
    path = os.path.expanduser(text)
    if os.path.isdir(path):
        holds_idx = any(find(Path(path), images) for images, _ in FILES.values())
        return f"{'idx' if holds_idx else 'folder'}:{text}"
    if os.path.isfile(path):
        return f"video:{text}"
    if split_spec(text)[0] in KINDS and ":" in text:
        return text
    raise UsageError(f"{text}: no such folder or video; allowed: a folder, a video, idx:DIR?split=test")

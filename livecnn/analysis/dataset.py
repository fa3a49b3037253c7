"""Images by their place in a folder, a video or a data set."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType

from livecnn.errors import SourceError, UsageError
from livecnn.io.idx import FILES, find
from livecnn.sources import Source, open_source, split_spec
from livecnn.sources.folder import FolderSource
from livecnn.sources.idx import IdxSource
from livecnn.sources.video import VideoSource
from livecnn.types import Frame

KINDS = ("folder", "idx", "video")


class ImageDataset:
    """Open a folder, a video or a data set, for its images by place, 0 .. len - 1; use it in a `with`.

    Attributes:
        spec: Of the source, such as `folder:DIR`.
        source: The source of that spec; its `skipped` names folders that cannot be read.
    """

    def __init__(self, spec: str) -> None:
        self.spec = spec
        self.source: Source = open_source(spec)

    def __enter__(self) -> ImageDataset:
        self.source.open()
        if isinstance(self.source, VideoSource):
            self._images: FolderSource | IdxSource | _VideoFrames = _VideoFrames(self.source)
        else:
            assert isinstance(self.source, (FolderSource, IdxSource))
            self._images = self.source
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.source.close()

    def __len__(self) -> int:
        return len(self._images)

    def at(self, index: int) -> Frame:
        """Read one image. Raises ImageError if it cannot be read, SourceError if none can."""
        return self._images.at(index)

    def labels(self) -> set[str]:
        """Return the true classes of the images, as far as they are known."""
        return self._images.labels()

    def fingerprint(self) -> str:
        """Return another text if images were added, removed or renamed; no image is decoded for it."""
        return self._images.fingerprint()


class _VideoFrames:
    """The frames of a video. Going back means starting over: seeking lands on key frames, or fails, depending on the file."""

    def __init__(self, video: VideoSource) -> None:
        self._video, self._count = video, 0
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
    """Return the spec of the source for a folder of images or of idx files, or a video. Raises UsageError for anything else."""
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

"""Sources of pictures. A new source is one new file here: its name is its kind, its class the kind in CamelCase."""

from __future__ import annotations

import os
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass

from livecnn import registry
from livecnn.errors import SourceError, nearest
from livecnn.types import Frame, Image

_SCHEMES = ("http", "https", "rtsp")


@dataclass(frozen=True, slots=True)
class SourceOptions:
    """The options of the command line for all sources; each source takes what concerns it."""

    camera_size: tuple[int, int] | None = None  # (width, height) asked of a camera; the driver may give another
    camera_fps: float | None = None  # frames a second asked of a camera
    fps: float | None = None  # pictures a second of a folder (None: 1), a video or the demo (None: their own rate)
    seed: int = 0  # of the synthetic demo


class Source(ABC):
    """A stream of frames. The source owns its device or file; whoever opened it closes it, `with source:` does both.

    A source is used by one thread at a time. `read` and `open` raise SourceError; `close` is idempotent and never raises.
    The attributes are final once it is open: `auto` becomes what it chose, a video learns its own pace.
    """

    camera_like: bool = False  # True: the box is 0.55 of the frame's short side unless told otherwise
    mirrored: bool = False  # True: shown as in a mirror unless told otherwise
    supervised: bool = False  # True: a device without an end; connected again when it is lost
    may_stand_still: bool = False  # of a supervised one, True: that its picture never changes is no sign of a loss

    def __init__(self, address: str, options: SourceOptions) -> None:
        """address: what follows the colon in the spec string (`folder:DIR` -> "DIR"), "" if nothing does."""
        self.address = address
        self.options = options
        self.name = address  # for the status panel: "camera 0"
        self.note = ""  # one line for the user, e.g. why another source plays
        self.interval: float | None = None  # seconds that a picture lasts at its own pace; None: the device sets the pace
        self.skipped: list[str] = []  # pictures that could not be read, each with its reason
        self._seq = 0  # of the next frame

    @abstractmethod
    def open(self) -> None:
        """Take the device or file, or raise SourceError: what was found and what is allowed."""

    @abstractmethod
    def read(self) -> Frame | None:
        """Return the next frame, blocking while the device makes one; None at the end. Raises SourceError."""

    def rewind(self) -> None:
        """Start over (sequence numbers go on counting). Sources that never end need not do anything."""

    def close(self) -> None:
        """Give everything back. Idempotent."""

    def interrupt(self) -> None:
        """Make a `read` that waits return soon, where that is safe; returns at once. The one call that any thread may make."""

    def again(self) -> Source:
        """Return a fresh source of the same device, not yet opened, with which a lost connection is made again."""
        return type(self)(self.address, self.options)

    def _frame(self, image: Image, name: str = "", label: str = "") -> Frame:
        """Return the next frame, numbered and dated: by the source's own pace, or now where the device sets the pace."""
        seq = self._seq
        self._seq += 1
        when = time.monotonic() if self.interval is None else seq * self.interval
        return Frame(image, seq, when, name or self.name, label)

    def __enter__(self) -> Source:
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_source(spec: str | int, options: SourceOptions | None = None) -> Source:
    """Return the source that a spec string names, not yet opened; `with` opens and closes it.

    Args:
        spec: `auto`, `camera`, `camera:1`, `camera:/dev/video2`, `video:FILE`, `folder:DIR`, `demo`, an http, https or rtsp
            address, a path to a folder or a video, or a camera's number.
        options: what the command line asks of any source.

    Raises:
        SourceError: there is no such kind, folder or file.
    """
    kind, address = _parse(str(spec).strip())
    source: type[Source] = registry.find("sources", kind, SourceError)
    return source(address, options or SourceOptions())


def split_spec(spec: str) -> tuple[str, str]:
    """Split a spec such as `folder:DIR` into its kind and its address; without a colon the address is ""."""
    kind, _, address = spec.partition(":")
    return kind, address


def _parse(spec: str) -> tuple[str, str]:
    """Return the kind and the address in a spec string; a kind's name wins over a file of that name (`./demo`)."""
    kind, address = split_spec(spec)
    known = registry.kinds("sources")
    if kind in known:
        return kind, address
    if kind in _SCHEMES and address.startswith("//"):
        return "stream", spec
    if spec.isdecimal():
        return "camera", spec
    path = os.path.expanduser(spec)  # os.path, not pathlib: it has an answer to texts that no path can be, too
    if os.path.isdir(path):
        return "folder", spec
    if os.path.isfile(path):
        return "video", spec
    raise SourceError(f"source {spec!r}: no such kind, folder or file; {nearest(kind, [*known, *_SCHEMES], most=20)}")

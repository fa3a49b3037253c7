"""Sources of pictures. A new source is one new file here: its name is its kind, its class the kind in CamelCase."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from types import TracebackType
from typing import ClassVar

from livecnn.types import Frame


@dataclass(frozen=True, slots=True)
class SourceOptions:
    """What the command line may ask of any source; each source takes what concerns it.

    camera_size: (width, height) asked of a camera; the driver may give another.
    camera_fps: frames a second asked of a camera.
    fps: pictures a second of a folder (None: 1) or a video (None: its own rate).
    seed: of the synthetic demo.
    """

    camera_size: tuple[int, int] | None = None
    camera_fps: float | None = None
    fps: float | None = None
    seed: int = 0


class Source(ABC):
    """A stream of frames. The source owns its device or file; whoever opened it closes it, `with source:` does both.

    A source is used by one thread at a time. `read` and `open` raise SourceError; `close` is idempotent and never raises.
    """

    camera_like: ClassVar[bool] = False  # True: the box is 0.55 of the frame's short side unless told otherwise
    mirrored: ClassVar[bool] = False  # True: shown as in a mirror unless told otherwise

    def __init__(self, address: str, options: SourceOptions) -> None:
        """address: what follows the colon in the spec string (`folder:DIR` -> "DIR"), "" if nothing does."""
        self.address = address
        self.options = options
        self.name = address  # for the status panel: "camera 0"
        self.note = ""  # one line for the user, e.g. why another source plays
        self.interval: float | None = None  # seconds that a picture lasts at its own pace; None: the device sets the pace
        self.skipped: list[str] = []  # pictures that could not be read, each with its reason

    @abstractmethod
    def open(self) -> None:
        """Take the device or file, or raise SourceError: what was found and what is allowed."""

    @abstractmethod
    def read(self) -> Frame | None:
        """The next frame in order, blocking while the device makes one; None at the end. Raises SourceError."""

    def rewind(self) -> None:
        """Start over (sequence numbers go on counting). Sources that never end need not do anything."""

    def close(self) -> None:
        """Give everything back. Idempotent."""

    def __enter__(self) -> Source:
        self.open()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

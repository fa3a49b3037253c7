"""Keep loaded what a shell works on: the network and the image that its commands are about."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from livecnn.networks.bundle import Bundle
    from livecnn.types import Image

T = TypeVar("T")


@dataclass
class _Kept(Generic[T]):
    """Read once, and once more when its file has changed."""

    name: str
    file: Path
    read: Callable[[], T]
    _stamp: object = field(init=False)
    _value: T = field(init=False)

    def __post_init__(self) -> None:
        self._stamp, self._value = _stamp(self.file), self.read()

    def __call__(self) -> T:
        if self._stamp != _stamp(self.file):
            self.__post_init__()
        return self._value


class ShellState:
    """Empty outside a shell: every command then reads what it is told to."""

    def __init__(self) -> None:
        self._bundle: _Kept[Bundle] | None = None
        self._picture: _Kept[Image] | None = None
        self.shown: Path | None = None  # a picture that will be shown is written there

    def take_model(self, name: str, *, allow_code: bool = False) -> Bundle:
        """Load a network, as `livecnn.load` does, and keep it. Raises ModelError; what was kept before then stays."""
        from livecnn import paths
        from livecnn.networks import bundle as bundles

        card = paths.bundles().get(name, Path(name).expanduser()) / bundles.CARD
        self._bundle = _Kept(name, card, lambda: bundles.load(name, allow_code=allow_code))
        return self._bundle()

    def take_image(self, name: str) -> Image:
        """Read an image, uint8 (H, W, 3) RGB, and keep it. Raises ImageError."""
        from livecnn.io.images import read_image

        self._picture = _Kept(name, Path(name), lambda: read_image(name))
        return self._picture()

    def defaults(self) -> dict[str, str]:
        """Return defaults for the arguments that a command leaves out, by name."""
        kept = {"model": self._bundle, "image": self._picture}
        return {argument: one.name for argument, one in kept.items() if one is not None}

    def model(self, name: str) -> str | Bundle:
        """The network, if it is the one that is kept, else its name. Raises ModelError if it has changed for the worse."""
        return self._bundle() if self._bundle is not None and self._bundle.name == name else name

    def image(self, name: str) -> Image:
        """uint8 (H, W, 3) RGB. Raises ImageError."""
        from livecnn.io.images import read_image

        return self._picture() if self._picture is not None and self._picture.name == name else read_image(name)

    def told(self, out: str | Path) -> str:
        """Return the place where the user finds what was written."""
        return "in the window" if self.shown is not None and Path(out) == self.shown else str(out)


def _stamp(file: Path) -> object:
    """None if there is no such file."""
    try:
        found = os.stat(file)
    except (OSError, ValueError):
        return None
    return found.st_mtime_ns, found.st_size

"""The first camera that answers if there is one, else the built-in demo."""

import sys

from livecnn.errors import SourceError
from livecnn.sources import Source, SourceOptions
from livecnn.sources.camera import probed
from livecnn.sources.demo import DemoSource
from livecnn.types import Frame


class AutoSource(Source):
    """Becomes the first camera that gives a picture, else the demo, with a note that says so; decided by `open`."""

    camera_like = True

    def __init__(self, address: str, options: SourceOptions) -> None:
        super().__init__(address, options)
        if address:
            raise SourceError(f"source 'auto:{address}': auto takes no address")
        self.name = "auto"
        self._chosen: Source = DemoSource("", options)

    def open(self) -> None:
        self._chosen = self._choose()
        self.name = self._chosen.name
        self.interval = self._chosen.interval
        self.mirrored = self._chosen.mirrored
        self.supervised = self._chosen.supervised

    def read(self) -> Frame | None:
        return self._chosen.read()

    def rewind(self) -> None:
        self._chosen.rewind()

    def close(self) -> None:
        self._chosen.close()

    def again(self) -> Source:
        """Return a fresh one of what was chosen: a camera that is lost does not become the demo."""
        return self._chosen.again()

    def _choose(self) -> Source:
        # Where the system does not list its cameras, nobody can tell a missing one from one that is held or forbidden.
        trouble = "no camera found" if sys.platform == "linux" else "no camera answers"
        for i, (camera, error) in enumerate(probed(self.options)):
            if error is None:
                return camera
            if i == 0 and sys.platform == "linux":
                trouble = str(error)
        self.note = f"{trouble}: the demo plays"
        demo = DemoSource("", self.options)
        demo.open()
        return demo

"""The first camera if there is one, else the built-in demo."""

from __future__ import annotations

from livecnn.errors import SourceError
from livecnn.sources import Source, SourceOptions
from livecnn.sources._devices import video_devices
from livecnn.sources.camera import Camera
from livecnn.sources.demo import Demo
from livecnn.types import Frame


class Auto(Source):
    """Becomes camera 0 if that gives a picture, else the demo, with a note that says so; decided by `open`."""

    camera_like = True

    def __init__(self, address: str, options: SourceOptions) -> None:
        super().__init__(address, options)
        if address:
            raise SourceError(f"source 'auto:{address}': auto takes no address")
        self.name = "auto"
        self._chosen: Source = Demo("", options)

    def open(self) -> None:
        self._chosen = self._choose()
        self.name = self._chosen.name
        self.interval = self._chosen.interval
        self.mirrored = self._chosen.mirrored

    def read(self) -> Frame | None:
        return self._chosen.read()

    def rewind(self) -> None:
        self._chosen.rewind()

    def close(self) -> None:
        self._chosen.close()

    def _choose(self) -> Source:
        camera = Camera("", self.options)
        try:
            camera.open()
        except SourceError as error:
            # Only a camera that is there is worth its reason.
            found = f"{error}" if video_devices() else "no camera found"
            self.note = f"{found}: the demo plays"
        else:
            return camera
        demo = Demo("", self.options)
        demo.open()
        return demo

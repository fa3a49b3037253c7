"""A recording that is started and stopped while the window is open."""

import time
from pathlib import Path

from livecnn.errors import LivecnnError, OutputError
from livecnn.io.files import free_path
from livecnn.io.recorders import ThreadedRecorder, find_ffmpeg, open_recorder
from livecnn.types import Image


class LiveRecording:
    """The film of key r: an MP4 where there is ffmpeg, else a GIF. Stopping does not wait until the file is finished.

    Attributes:
        folder: Where films go.
        since: `time.monotonic()` of the start; None while nothing is recorded.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.since: float | None = None
        self._recorder: ThreadedRecorder | None = None
        self._path = Path()
        self._finishing: list[tuple[ThreadedRecorder, Path]] = []

    def start(self) -> None:
        """Begin a film; raise OutputError if nothing can be written there."""
        self._path = free_path(self.folder, _suffix(), [path for _, path in self._finishing])
        self._recorder = ThreadedRecorder(open_recorder(self._path), clock=time.monotonic).__enter__()
        self.since = time.monotonic()

    def stop(self) -> None:
        """End the film; its file is finished in the background. Idempotent."""
        if self._recorder is not None:
            self._recorder.finish()
            self._finishing.append((self._recorder, self._path))
        self._recorder = self.since = None

    def add(self, picture: Image, when: float) -> None:
        """Add a picture, uint8 (H, W, 3), of a time on the clock of `time.monotonic()`, while something is recorded."""
        if self._recorder is None:
            return
        try:
            self._recorder.add(picture, when)
        except OutputError:
            self.stop()  # `news` will say why

    def news(self) -> str | None:
        """Return what became of a film that was stopped, once it is finished; None if there is nothing to say."""
        done = next((film for film in self._finishing if film[0].done), None)
        if done is None:
            return None
        self._finishing.remove(done)
        return _outcome(*done)

    def close(self) -> list[str]:
        """Stop, wait until every file is finished, and return what became of them."""
        self.stop()
        finishing, self._finishing = self._finishing, []
        return [_outcome(recorder, path) for recorder, path in finishing]


def _outcome(recorder: ThreadedRecorder, path: Path) -> str:
    """Wait for the file, and return what became of it."""
    try:
        recorder.__exit__(None, None, None)
    except LivecnnError as error:
        return str(error)
    return f"recorded {path} ({path.stat().st_size / 1e6:.1f} MB)"


def _suffix() -> str:
    try:
        find_ffmpeg()
    except OutputError:
        return ".gif"
    return ".mp4"

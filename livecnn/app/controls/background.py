"""What goes on beside the window, and `Controls.poll` asks for news: sources that open, films, layouts that are saved."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from threading import Lock, Thread

from livecnn.app.live.loops import LiveLoop
from livecnn.errors import LivecnnError, OutputError, SourceError
from livecnn.io.files import free_path
from livecnn.io.recorders import ThreadedRecorder, find_ffmpeg, open_recorder
from livecnn.sources import Source
from livecnn.sources.camera import CameraSource, candidates, is_device
from livecnn.sources.pad import PadSource
from livecnn.types import Image

BUSY = "still opening the last one …"
PAUSE_TO_LOOK = 0.25  # seconds between two looks at the files; an editor writes a file in less

Stamp = tuple[int, int, int] | None


class SourceOpener:
    """Opens sources on a thread, one request at a time; a driver may take twenty seconds, and the window must not wait."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._thread: Thread | None = None
        self._answer: Source | Exception | None = None
        self._over = False

    def open(self, sources: Sequence[Source]) -> bool:
        """Begin to open the first of the sources that answers; False if an earlier request is still under way."""
        if self._thread is not None:
            return False
        self._thread = Thread(target=self._run, args=(sources,), name="opener", daemon=True)
        self._thread.start()
        return True

    def poll(self) -> Source | Exception | None:
        """Return, once, the open source, which the caller then owns, or why there is none; None while there is no answer."""
        with self._lock:
            answer, self._answer = self._answer, None
            if answer is not None:
                self._thread = None
            return answer

    def close(self) -> None:
        """Close the source that nobody fetched, and what is opened from now on."""
        with self._lock:
            self._over = True
            if isinstance(self._answer, Source):
                self._answer.close()

    def _run(self, sources: Sequence[Source]) -> None:
        answer = _first(sources)
        with self._lock:
            self._answer = answer
            if self._over and isinstance(answer, Source):
                answer.close()


def _first(sources: Sequence[Source]) -> Source | Exception:
    """Open the first source that can be opened, and return it; if none can, why the last one cannot."""
    reason: Exception = SourceError("nothing to open")
    for source in sources:
        try:
            source.open()
            return source
        except LivecnnError as error:  # noqa: PERF203 (a driver takes much longer)
            reason = error
        except Exception as error:  # a defect, but not one to end a running show for
            reason = SourceError(f"{source.name}: {type(error).__name__}: {error}")
    return reason


class SourceSwitcher:
    """The sources within reach: the one that the run began with, the other cameras, a sheet to draw on.

    Methods return what to say to the user; the loops change over in `poll`.
    """

    def __init__(self, live: LiveLoop, share: Callable[[Source], float]) -> None:
        """Prepare to switch; `share` returns the side of the box for a source, as a share of the frame's short side."""
        self._live, self._share = live, share
        self._options = live.capture.source.options
        self._opener = SourceOpener()
        self._paper = PadSource("", self._options)
        self._before: Source | None = None  # what was on show when the pad came

    @property
    def pad(self) -> PadSource | None:
        """The sheet, while it is on show."""
        source = self._live.capture.source
        return source if isinstance(source, PadSource) else None

    def toggle_pad(self) -> str:
        """Go over to the sheet, or back to what was on show before it."""
        if self.pad is None:
            self._before = self._live.capture.source
            return "" if self._opener.open([self._paper]) else BUSY
        if self._before is None:
            return "the run began with the pad; d goes over to a camera"
        return "" if self._opener.open([self._before.again()]) else BUSY

    def next_camera(self) -> str:
        """Go over to the next camera that answers."""
        present = self._live.capture.source.again()  # of `auto`, what it chose
        numbers = candidates()
        here = [i for i, number in enumerate(numbers) if isinstance(present, CameraSource) and is_device(present.address, number)]
        others = numbers[here[0] + 1 :] + numbers[: here[0]] if here else numbers
        if not others:
            return "no other camera found"
        opening = self._opener.open([CameraSource(str(number), self._options) for number in others])
        return "looking for another camera …" if opening else BUSY

    def poll(self) -> str:
        """Go over to what has opened; "" if there is nothing to say."""
        answer = self._opener.poll()
        if answer is None:
            return ""
        if not isinstance(answer, Source):
            return str(answer)
        cropper = self._live.observer.cropper
        cropper.share, cropper.sequential = self._share(answer), answer.camera_like
        self._live.switch(answer)
        return answer.note or answer.name

    def close(self) -> None:
        """Give back what was opened and not yet shown."""
        self._opener.close()


class LiveRecording:
    """The film of key r: an MP4 where there is ffmpeg, else a GIF. Stopping does not wait until the file is finished.

    `since` is the `time.monotonic()` of the start, None while nothing is recorded.
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


class FileWatcher:
    """Notices that one of some files was saved, once it has stood still for a moment."""

    def __init__(self, paths: Iterable[Path]) -> None:
        self._next = 0.0
        self.follow(paths)

    def follow(self, paths: Iterable[Path]) -> None:
        """Watch these files from now on."""
        self._paths = tuple(paths)
        self._known = self._seen = self._stamps()

    def changed(self) -> bool:
        """Return True once for every time that a file was saved; it may be called at any rate."""
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + PAUSE_TO_LOOK
        before, self._seen = self._seen, self._stamps()
        if self._seen == self._known or self._seen != before:
            return False
        self._known = self._seen
        return True

    def _stamps(self) -> tuple[Stamp, ...]:
        return tuple(map(_stamp, self._paths))


def _stamp(path: Path) -> Stamp:
    """Return what changes when a file is saved; None where there is none, as for a moment while some editors save."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino

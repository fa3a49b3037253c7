"""Which source the loop looks at, and how the user goes over to another one while it runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Lock, Thread

from livecnn.app.live.loops import LiveLoop
from livecnn.errors import LivecnnError, SourceError
from livecnn.sources import Source
from livecnn.sources.camera import CameraSource, candidates
from livecnn.sources.pad import PadSource
from livecnn.sources.support.v4l_devices import is_device

BUSY = "still opening the last one …"


class SourceSwitcher:
    """The sources within reach: the one that the run began with, the other cameras, a sheet of paper.

    Opening goes on in the background; the loop changes over in `poll`. Methods return what to tell the user.
    share: side of the box for a source.
    """

    def __init__(self, live: LiveLoop, share: Callable[[Source], float]) -> None:
        self._live, self._share = live, share
        self._options = live.capture.source.options
        self._opener = SourceOpener()
        self._paper = PadSource("", self._options)
        self._before: Source | None = None  # what was on show when the pad came

    @property
    def pad(self) -> PadSource | None:
        """The sheet, while it is what is on show."""
        source = self._live.capture.source
        return source if isinstance(source, PadSource) else None

    def toggle_pad(self) -> str:
        if self.pad is None:
            self._before = self._live.capture.source
            return "" if self._opener.open([self._paper]) else BUSY
        if self._before is None:
            return "the run began with the pad; d goes over to a camera"
        return "" if self._opener.open([self._before.again()]) else BUSY

    def next_camera(self) -> str:
        present = self._live.capture.source.again()  # of `auto`, what it chose
        numbers = candidates()
        here = [i for i, number in enumerate(numbers) if isinstance(present, CameraSource) and is_device(present.address, number)]
        others = numbers[here[0] + 1 :] + numbers[: here[0]] if here else numbers
        if not others:
            return "no other camera found"
        opening = self._opener.open([CameraSource(str(number), self._options) for number in others])
        return "looking for another camera …" if opening else BUSY

    def poll(self) -> str:
        """Goes over to what has opened; "" if there is nothing to tell."""
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
        self._opener.close()


# --- MERGED from opener
# """Opens sources in the background: a driver may take twenty seconds, and the window must not wait for it."""
class SourceOpener:
    """One request at a time; the answer is fetched with `poll`."""

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
        """Once, the open source, which the caller then owns, or why there is none; None while nothing is to be told."""
        with self._lock:
            answer, self._answer = self._answer, None
            if answer is not None:
                self._thread = None
            return answer

    def close(self) -> None:
        """What is opened from now on is closed again."""
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
    reason: Exception | None = SourceError("nothing to open")
    for source in sources:
        reason = _trouble(source)
        if reason is None:
            return source
    assert reason is not None
    return reason


def _trouble(source: Source) -> Exception | None:
    """Opens it; returns why it does not open."""
    try:
        source.open()
    except LivecnnError as error:
        return error
    except Exception as error:  # a defect, but not one to end a running show for
        return SourceError(f"{source.name}: {type(error).__name__}: {error}")
    return None

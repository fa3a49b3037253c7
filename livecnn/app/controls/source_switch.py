"""Go over to another source while the program runs: another camera, or a sheet to draw on.

A driver may take twenty seconds to open, and the window must not wait for it: sources are opened on a thread.
"""

from collections.abc import Callable, Sequence
from threading import Lock, Thread

from livecnn.app.live.loops import LiveLoop
from livecnn.errors import LivecnnError, SourceError
from livecnn.sources import Source
from livecnn.sources.camera import CameraSource, candidates, is_device
from livecnn.sources.pad import PadSource

BUSY = "still opening the last one …"


class SourceOpener:
    """Opens sources on a thread, one request at a time; `poll` fetches the answer."""

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
        """Prepare to switch.

        Args:
            live: The running loops.
            share: Returns the side of the box for a source, as a share of the frame's short side.
        """
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

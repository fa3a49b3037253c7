"""Opens sources in the background: a driver may take twenty seconds, and the window must not wait for it."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock, Thread

from livecnn.errors import LivecnnError, SourceError
from livecnn.sources import Source


class Opener:
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

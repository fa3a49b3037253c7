"""The box between two loops that holds one item: `put` never blocks, a reader gets the newest item only."""

import threading
from typing import Generic, TypeVar

T = TypeVar("T")


class LatestSlot(Generic[T]):
    """Holds the newest item. Any number of readers, each with its own version number; old items are dropped, never queued."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._item: T | None = None
        self._version = 0
        self._closed = False

    def put(self, item: T) -> None:
        """Replace the item, and wake every waiting reader."""
        with self._condition:
            self._item = item
            self._version += 1
            self._condition.notify_all()

    def repeat(self) -> None:
        """Give the newest item, if there is one, to every reader once more."""
        with self._condition:
            if self._version:
                self._version += 1
                self._condition.notify_all()

    def get(self) -> tuple[int, T | None]:
        """Return (version, newest item) at once; (0, None) before the first `put`."""
        with self._condition:
            return self._version, self._item

    def wait(self, seen: int, timeout: float | None = None) -> tuple[int, T | None]:
        """Do as `get` once there is something newer than version `seen`, the slot is closed, or `timeout` seconds have passed."""
        with self._condition:
            self._condition.wait_for(lambda: self._version > seen or self._closed, timeout)
            return self._version, self._item

    def close(self) -> None:
        """Say that nothing more will come, and wake every waiting reader; the last item stays readable."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()

    def reopen(self) -> None:
        """Say that more will come after all, to readers that begin now."""
        with self._condition:
            self._closed = False

    @property
    def closed(self) -> bool:
        """True if nothing more will come."""
        return self._closed

"""Waiting for what other threads do."""

import time
from collections.abc import Callable


def until(condition: Callable[[], object], seconds: float = 30.0, what: str = "it happens", pause: float = 0.001) -> None:
    """Return as soon as the condition holds; fail when it does not for so many seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain until {what}"
        time.sleep(pause)

"""Decide when a device counts as live, stale, lost or frozen, and when to connect it again; the caller gives the time."""

import math
from dataclasses import dataclass
from typing import Literal

SMOOTHING = 0.2  # share of the newest interval in the usual one

State = Literal["live", "stale", "lost", "frozen"]
Step = Literal["leave", "connect"]


@dataclass(frozen=True)
class Timeouts:
    """Time limits of a connection; all in seconds.

    Attributes:
        stale: Without a new picture until the state says so (or twice the usual interval, if that is longer).
        lost: Without a new picture until the connection is given up.
        frozen: Of the same picture, bit for bit, until the state says so.
        delays: Before the first, second, … attempt to connect again; the last one for all that follow.
        healthy: Of undisturbed pictures after which the next loss counts as the first one.
        dead: Of the same picture until a camera is given up.
        opening: Until an attempt has brought a picture, or counts as failed.
    """

    stale: float = 2.0
    lost: float = 5.0
    frozen: float = 5.0
    delays: tuple[float, ...] = (1, 2, 4, 8, 10)
    healthy: float = 60.0
    dead: float = 10.0
    opening: float = 20.0


class ConnectionMonitor:
    """The state of a device without an end, and what to do next, from its frames and failures.

    `now` is in seconds on any clock that never goes back; the device is taken to be connected when this is made. A device that
    `may_stand_still` may give the same picture for ever.
    """

    def __init__(self, patience: Timeouts, now: float, *, may_stand_still: bool = False) -> None:
        self.reconnects = 0
        self._patience = patience
        self._may_stand_still = may_stand_still
        self._pictured = self._changed = self._well = now  # since when: newest picture, newest other picture, all is well
        self._usual = 0.0  # seconds between two pictures
        self._still = False  # a fresh connection brought the same picture once more: so that is how it looks there
        self._reason = ""  # of the loss; "" while connected
        self._tries = 0
        self._trying = False
        self._due = 0.0  # the attempt: when it shall begin, or must have brought a picture

    def frame(self, now: float, same: bool = False) -> None:
        """Count a picture; `same` if it equals the one before, bit for bit, even one of an earlier connection."""
        if self._reason:
            self.reconnects += 1
            self._reason, self._trying, self._still = "", False, same
            self._changed = self._well = now
        else:
            if self.state(now) != "live":
                self._well = now
            elif now - self._well >= self._patience.healthy:
                self._tries = 0
            self._usual += SMOOTHING * (now - self._pictured - self._usual)
            if not same:
                self._changed, self._still = now, False
        self._pictured = now

    def failed(self, now: float, reason: str) -> None:
        """Count the end of the connection, or of the attempt at one."""
        delays = self._patience.delays
        self._reason, self._trying = reason, False
        self._due = now + delays[min(self._tries, len(delays) - 1)]

    @property
    def deadline(self) -> float:
        """When to call `step` next, unless something comes before."""
        if self._reason:
            return self._due
        silent = self._pictured + self._patience.lost
        return silent if self._may_stand_still or self._still else min(silent, self._changed + self._patience.dead)

    def step(self, now: float) -> Step | None:
        """Return what to do now: "leave" the connection or attempt, which is lost from now on, "connect" anew, or nothing."""
        if now < self.deadline:
            return None
        if self._reason and not self._trying:
            self._trying = True
            self._tries += 1
            self._due = now + self._patience.opening
            return "connect"
        silent = now - self._pictured >= self._patience.lost
        self.failed(now, "does not answer" if self._trying else "no more pictures came" if silent else "the picture stood still")
        return "leave"

    def state(self, now: float) -> State:
        """Return the state at that time."""
        if self._reason:
            return "lost"
        if now - self._pictured >= max(2 * self._usual, self._patience.stale):
            return "stale"
        return "frozen" if now - self._changed >= self._patience.frozen else "live"

    def note(self, now: float) -> str:
        """Return the reason of the state, in words that change once a second at most; "" when all is well."""
        state = self.state(now)
        if state == "lost":
            when = "now" if self._trying else f"in {max(1, math.ceil(self._due - now))} s"
            return f"trying again {when} ({_ordinal(self._tries + (not self._trying))} time): {self._reason}"
        if state == "stale":
            return f"no new picture for {int(now - self._pictured)} s"
        return f"the same picture for {int(now - self._changed)} s" if state == "frozen" else ""


def _ordinal(number: int) -> str:
    teens = 10 <= number % 100 < 20
    return f"{number}{'th' if teens else {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th')}"

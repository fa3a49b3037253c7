"""Rates, ages and counts of a run: for the header while it lasts, and for `--stats` at its end."""

import json
import time
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from livecnn.io.files import write_atomically
from livecnn.types import LoopStatus, Scene, SourceStatus, Tick

RECENT = 60  # ticks that the rates on screen are taken over
KEPT = 100_000  # newest samples behind the percentiles: an hour at 28 a second, and bounded for ever


class Rate:
    """Events a second over the newest ones."""

    def __init__(self) -> None:
        self._times: deque[float] = deque(maxlen=RECENT)

    def event(self, now: float) -> None:
        """Count an event."""
        self._times.append(now)

    def value(self) -> float | None:
        """Return events a second; None before there are two."""
        if len(self._times) < 2 or self._times[-1] <= self._times[0]:
            return None
        return (len(self._times) - 1) / (self._times[-1] - self._times[0])


class Stats:
    """Counts passes through the network and ticks that were shown; times are `time.monotonic()`, in seconds.

    `source` is the state of the source in the end, which the one who reads it sets.
    """

    def __init__(self, backend: str, device: str) -> None:
        self.ticks = 0
        self.source = SourceStatus()
        self.backend, self.device = backend, device
        self._first = self._last = self._first_pass = self._last_pass = 0.0
        self._rss = _resident_mb()
        self._first_seq: int | None = None
        self._last_seq = -1
        self._last_tick: object = None
        self._last_pass_seq = -1  # of the newest frame whose tick was shown
        self._frames = self._passes = self._duplicates = 0
        self._display, self._model = Rate(), Rate()
        self._work: deque[float] = deque(maxlen=KEPT)
        self._ages: deque[float] = deque(maxlen=KEPT)
        self._model_age: float | None = None
        self._model_seconds: float | None = None

    def shown(self, scene: Scene, work: float, *, live: bool = True) -> float:
        """Count a scene on screen and return the time; `work`: seconds of its tick; `live`: its time is of `time.monotonic()`."""
        now = time.monotonic()
        self._first = self._first or now
        self._last = now
        self.ticks += 1
        self._work.append(work)
        if self._first_seq is None:
            self._first_seq = scene.frame.seq
        if scene.frame.seq > self._last_seq:
            self._last_seq = scene.frame.seq
            self._frames += 1
            self._display.event(now)
            if live:
                self._ages.append(now - scene.frame.time)
        elif scene.tick is self._last_tick:
            self._duplicates += 1
        self._last_tick = scene.tick
        if scene.tick.frame.seq > self._last_pass_seq:  # what is passed once more, or looked back at, has no age
            self._last_pass_seq = scene.tick.frame.seq
            self._model_age = now - scene.tick.frame.time if live else None
        return now

    def passed(self, tick: Tick) -> None:
        """Count a pass through the network; on the model's thread."""
        now = time.monotonic()
        self._first_pass = self._first_pass or now
        self._last_pass = now
        self._passes += 1
        self._model.event(now)
        self._model_seconds = tick.timings.get("model")

    def status(self, source: SourceStatus, *, frozen: bool = False, mirrored: bool = False) -> LoopStatus:
        """Return what header and status panel show; a frozen picture has no age."""
        return LoopStatus(
            source=source,
            display_fps=self._display.value(),
            model_fps=self._model.value(),
            model_ms=_ms(self._model_seconds),
            picture_age=_ms(self._ages[-1]) if self._ages and not frozen else None,
            model_age=None if frozen else _ms(self._model_age),
            frozen=frozen,
            mirrored=mirrored,
        )

    def report(self) -> dict[str, Any]:
        """Return the fields of `--stats`; null where nothing was measured.

        seconds: from the first tick to the last. dropped: frames that the source delivered and nobody saw.
        source_reason: why the source is not live, or what there is to know of it.
        duplicates: ticks that showed neither a new frame nor a new pass.
        """
        seconds = self._last - self._first
        delivered = 0 if self._first_seq is None else self._last_seq - self._first_seq + 1
        return {
            "ticks": self.ticks,
            "seconds": round(seconds, 3),
            "display_fps": _per_second(self._frames, seconds),
            "model_fps": _per_second(self._passes, self._last_pass - self._first_pass),
            "tick_ms": _percentiles(self._work),
            "frame_age_ms": _percentiles(self._ages),
            "dropped": delivered - self._frames,
            "duplicates": self._duplicates,
            "reconnects": self.source.reconnects,
            "source_state": self.source.state,
            "source_reason": self.source.note,
            "backend": self.backend,
            "device": self.device,
            "rss_mb": {"start": self._rss, "end": _resident_mb()},
        }


def write_stats(path: Path, report: dict[str, Any]) -> None:
    """Write the report as JSON; raise OutputError if that cannot be."""
    write_atomically(path, (json.dumps(report, indent=2) + "\n").encode())


def _per_second(events: int, seconds: float) -> float | None:
    return round((events - 1) / seconds, 2) if events > 1 and seconds > 0 else None


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else 1000 * seconds


def _percentiles(seconds: deque[float]) -> dict[str, float | None]:
    if not seconds:
        return {"p50": None, "p95": None}
    p50, p95 = np.percentile(np.fromiter(seconds, float) * 1000, [50, 95])
    return {"p50": round(float(p50), 3), "p95": round(float(p95), 3)}


def _resident_mb() -> float:
    return round(psutil.Process().memory_info().rss / 2**20, 1)

"""Remember from tick to tick, while the program runs, whichever view is open. Only the display's thread touches it."""

import math
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from livecnn.analysis.annotations.store import Annotations
from livecnn.io.images import thumbnail
from livecnn.selection import MutedUnits
from livecnn.types import Floats, Frame, Image, Scene

EXAMPLE_SCORE = 0.5  # a class's example is a shot that the network was at least so sure of
SECONDS = 30.0
A_SECOND = 10.0  # pictures that are kept of each second, at most
MAX_BYTES = 192 * 2**20  # bytes of all pictures
MOST = 9  # shots of a unit
APART = 1.0  # seconds: of shots closer to each other only the stronger one is kept, else nine of the same moment fill the memory
LIMIT = 2048  # shots in all: 54 MiB
NONE = -1  # no shot


class FrameBuffer:
    """Frames in the order of their times, evenly over the last seconds, and always the newest.

    Large frames are fewer a second, so that all together fill `most` bytes at most, but for the newest one.
    """

    def __init__(self, seconds: float = SECONDS, most: int = MAX_BYTES) -> None:
        self.seconds, self.most = seconds, most
        self.bytes = 0
        self._source = ""
        self._frames: deque[Frame] = deque()

    def __len__(self) -> int:
        return len(self._frames)

    def add(self, frame: Frame, source: str = "") -> None:
        """Keep a frame as it is. One of another source, or from before the newest, clears the buffer first."""
        frames = self._frames
        if source != self._source or (frames and frame.time < frames[-1].time):
            frames.clear()
            self.bytes = 0
        self._source = source
        if frames and (frame.time == frames[-1].time or self._crowded(frame)):
            self.bytes -= frames.pop().image.nbytes
        frames.append(frame)
        self.bytes += frame.image.nbytes
        while len(frames) > 1 and (frame.time - frames[0].time > self.seconds or self.bytes > self.most):
            self.bytes -= frames.popleft().image.nbytes

    def at(self, time: float) -> Frame | None:
        """Return the frame nearest to a time; None while there is none."""
        return min(self._frames, key=lambda frame: abs(frame.time - time), default=None)

    def before(self, time: float) -> Frame | None:
        """Return the newest frame from before a time; None if there is none."""
        place = bisect_left(self._frames, time, key=attrgetter("time"))
        return self._frames[place - 1] if place else None

    def after(self, time: float) -> Frame | None:
        """Return the oldest frame from after a time; None if there is none."""
        place = bisect_right(self._frames, time, key=attrgetter("time"))
        return self._frames[place] if place < len(self._frames) else None

    def _crowded(self, frame: Frame) -> bool:
        """Return whether the newest frame has to go: the one before it is too close to this frame for both to stay."""
        held = self.most // max(1, frame.image.nbytes) - 2  # beside the first of the time and the newest
        apart = max(1 / A_SECOND, self.seconds / held) if held > 0 else math.inf
        return len(self._frames) > 1 and self._frames[-1].time - self._frames[-2].time < apart


class StrongImage(NamedTuple):
    """A shot, uint8 (h, w, 3), the value that a unit had, and the time of its frame."""

    shot: Image
    value: float
    time: float


class StrongestImages:
    """The MOST shots to which each unit of each layer answered most.

    A shot is kept once, however many units like it, and only for as long as one does. Where thousands of units like different
    ones, those that are the last choice of all that keep them are given up first.
    """

    def __init__(self) -> None:
        self.shots: dict[int, Image] = {}
        self._places: dict[str, slice] = {}  # of layers, in the arrays
        # (MOST, units of all layers): one array for all, as many small ones cost more. Strongest first.
        self._values = np.empty((MOST, 0), np.float32)
        self._times = np.empty((MOST, 0))
        self._ids = np.empty((MOST, 0), np.int64)
        self._uses: dict[int, int] = {}  # by shot, how many units keep it
        self._newest: Frame | None = None
        self._next = 0

    def take(self, frame: Frame, shot: Image, peaks: Mapping[str, Floats], muted: Collection[tuple[str, int]] = ()) -> None:
        """Keep a shot for the units with a strong response to it; those muted or not finite do not count. Once for a frame."""
        if frame is self._newest:
            return
        self._newest = frame
        values = self._in_one(peaks)
        for layer, unit in muted:
            if layer in self._places:
                values[self._places[layer]][unit : unit + 1] = -np.inf
        units, place = self._beaten(values, frame.time)
        if len(units):
            self._insert(units, place, values[units], frame.time)
            self.shots[self._next] = thumbnail(shot)
            self._next += 1
            if len(self.shots) > LIMIT:
                self._give_up(LIMIT // 8)

    def of(self, layer: str, unit: int) -> tuple[StrongImage, ...]:
        """Return the images of one unit, strongest first."""
        if layer not in self._places:
            return ()
        column = self._places[layer].start + unit
        kept = zip(self._ids[:, column], self._values[:, column], self._times[:, column], strict=True)
        return tuple(StrongImage(self.shots[int(shot)], float(value), float(time)) for shot, value, time in kept if shot != NONE)

    def _in_one(self, peaks: Mapping[str, Floats]) -> Floats:
        """Return the values of all units in one array; -inf where there is none."""
        for layer, values in peaks.items():
            if layer not in self._places:
                self._add(layer, len(values))
        together = np.full(self._values.shape[1], -np.inf, np.float32)
        for layer, values in peaks.items():
            together[self._places[layer]] = values
        together[~np.isfinite(together)] = -np.inf
        return together

    def _add(self, layer: str, units: int) -> None:
        self._places[layer] = slice(self._values.shape[1], self._values.shape[1] + units)
        self._values = np.hstack((self._values, np.full((MOST, units), -np.inf, np.float32)))
        self._times = np.hstack((self._times, np.full((MOST, units), -np.inf)))
        self._ids = np.hstack((self._ids, np.full((MOST, units), NONE)))

    def _beaten(self, values: Floats, time: float) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
        """Return the units with a stronger response than to the strongest shot of the same moment, else the weakest; its rank."""
        units = np.flatnonzero(values > self._values[-1])  # after a while these are few
        near = np.abs(self._times[:, units] - time) < APART
        place = np.where(near.any(axis=0), near.argmax(axis=0), MOST - 1)
        beaten = values[units] > self._values[place, units]
        return units[beaten], place[beaten]

    def _insert(self, units: npt.NDArray[np.intp], place: npt.NDArray[np.intp], values: Floats, time: float) -> None:
        """Insert the shot by its value; weaker ones move down, and the one at `place` is dropped."""
        self._release(self._ids[place, units])
        self._uses[self._next] = len(units)
        rank = (self._values[:, units] >= values).sum(axis=0)
        rows = np.arange(MOST)[:, None]
        here, moved = rows == rank, (rows > rank) & (rows <= place)
        for kept, new in ((self._values, values), (self._times, time), (self._ids, self._next)):
            old = kept[:, units]
            kept[:, units] = np.where(here, new, np.where(moved, np.roll(old, 1, axis=0), old))

    def _release(self, shots: npt.NDArray[np.int64]) -> None:
        for shot, count in zip(*(array.tolist() for array in np.unique(shots[shots != NONE], return_counts=True)), strict=True):
            self._uses[shot] -= count
            if not self._uses[shot]:
                del self._uses[shot], self.shots[shot]

    def _give_up(self, count: int) -> None:
        """Drop so many of the weakest shots at once, as this takes longer than all the rest."""
        shots, best = np.fromiter(self.shots, np.int64), np.full(len(self.shots), MOST)
        for rank in reversed(range(MOST)):
            best[np.searchsorted(shots, self._ids[rank][self._ids[rank] != NONE])] = rank
        given = shots[np.argsort(-best, kind="stable")[:count]]
        gone = np.isin(self._ids, given)
        self._values[gone], self._times[gone], self._ids[gone] = -np.inf, -np.inf, NONE
        order = np.argsort(-self._values, axis=0, kind="stable")
        for kept in (self._values, self._times, self._ids):
            kept[:] = np.take_along_axis(kept, order, axis=0)
        for shot in given.tolist():
            del self.shots[shot], self._uses[shot]


@dataclass(frozen=True, slots=True, eq=False)
class ScoredShot:
    """A shot, uint8 (h, w, 3), and the score, 0..1, that it had."""

    shot: Image
    score: float


@dataclass(eq=False)
class Session:
    """What is remembered of a session."""

    examples: dict[int, ScoredShot] = field(default_factory=dict)  # by class, the shot that the network was surest of
    annotations: Annotations | None = None  # where units can be annotated
    strongest: StrongestImages = field(default_factory=StrongestImages)
    past: FrameBuffer | None = None  # where one can look back
    muted: MutedUnits = field(default_factory=MutedUnits)
    remembers: bool = True  # examples; False where scores are no probabilities

    def on_scene(self, scene: Scene) -> None:
        """Take what is worth remembering of the newest scene; the same tick again changes nothing."""
        tick = scene.tick
        if self.past is not None and not scene.status.frozen:
            self.past.add(tick.frame, scene.status.source.name)
        if tick.patch.prepared.empty or not tick.scores.size or not self.remembers:
            return
        top = int(tick.scores.argmax())
        score = float(tick.scores[top])
        known = self.examples.get(top)
        if score >= EXAMPLE_SCORE and (known is None or score > known.score):
            self.examples[top] = ScoredShot(tick.patch.shot, score)

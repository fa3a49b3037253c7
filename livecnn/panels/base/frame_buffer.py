"""The pictures of the last seconds, to look back at, in bounded memory."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections import deque

from livecnn.types import Frame

SECONDS = 30.0
A_SECOND = 10.0  # pictures that are kept of each second, at most
MAX_BYTES = 192 * 2**20  # bytes of all pictures


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
        """The frame is kept as it is. One of another source, or from before the newest, starts it anew."""
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
        """The one nearest to a time; None while there is nothing."""
        return min(self._frames, key=lambda frame: abs(frame.time - time), default=None)

    def before(self, time: float) -> Frame | None:
        """The newest of those that are older."""
        place = bisect_left(self._frames, time, key=_time)
        return self._frames[place - 1] if place else None

    def after(self, time: float) -> Frame | None:
        """The oldest of those that are newer."""
        place = bisect_right(self._frames, time, key=_time)
        return self._frames[place] if place < len(self._frames) else None

    def _crowded(self, frame: Frame) -> bool:
        """The newest one was kept for being the newest: the one before it is too near to this frame for both to stay."""
        held = self.most // max(1, frame.image.nbytes) - 2  # beside the first of the time and the newest
        apart = max(1 / A_SECOND, self.seconds / held) if held > 0 else math.inf
        return len(self._frames) > 1 and self._frames[-1].time - self._frames[-2].time < apart


def _time(frame: Frame) -> float:
    return frame.time

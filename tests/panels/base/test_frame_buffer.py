from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from livecnn.panels.base.frame_buffer import A_SECOND, MAX_BYTES, FrameBuffer
from livecnn.panels.base.session import Session
from livecnn.types import Box, Frame, Image, LoopStatus, Patch, Prepared, Scene, SourceStatus, Tick

PIXEL = np.zeros((1, 1, 3), np.uint8)


class Huge(NamedTuple):
    """Stands for a picture whose pixels nobody looks at."""

    nbytes: int


def frame(time: float, image: Image = PIXEL, seq: int = 0) -> Frame:
    return Frame(image, seq, time)


def filled(seconds: float = 60, fps: float = 30, image: Image = PIXEL, past: FrameBuffer | None = None) -> FrameBuffer:
    past = past or FrameBuffer()
    for seq in range(round(seconds * fps)):
        past.add(frame(seq / fps, image, seq))
    return past


def kept(past: FrameBuffer) -> list[float]:
    """Times of all frames, the oldest first."""
    times: list[float] = []
    newest = past.before(float("inf"))
    while newest is not None:
        times.insert(0, newest.time)
        newest = past.before(newest.time)
    return times


def test_it_keeps_the_last_seconds_evenly_and_the_newest_frame() -> None:
    times = kept(filled())
    assert times[-1] == 60 - 1 / 30
    assert times[0] == pytest.approx(30, abs=0.2)
    gaps = np.diff(times[:-1])
    assert gaps.min() >= 0.99 / A_SECOND
    assert gaps.max() <= 1 / A_SECOND + 1.1 / 30
    assert len(times) == len(filled()) <= 302


def test_frames_that_are_rare_are_all_kept() -> None:
    assert kept(filled(20, 2)) == [seq / 2 for seq in range(40)]


@pytest.mark.parametrize("megabytes", [1, 2.7, 6, 24, 64, 95])
def test_large_frames_are_fewer_a_second_but_reach_as_far_back(megabytes: float) -> None:
    past = filled(90, 30, Huge(round(megabytes * 2**20)))  # type: ignore[arg-type]
    times = kept(past)
    assert past.bytes == len(times) * round(megabytes * 2**20) <= MAX_BYTES
    assert times[-1] == 90 - 1 / 30
    if megabytes <= 24:
        assert times[0] <= 90 - 0.8 * 30
        gaps = np.diff(times[:-1])
        assert gaps.max() <= 1.5 * gaps.min()
        assert past.bytes >= 0.6 * min(MAX_BYTES, 225 * megabytes * 2**20)


def test_a_frame_that_fills_it_alone_is_kept_alone() -> None:
    past = filled(5, 10, Huge(MAX_BYTES + 1))  # type: ignore[arg-type]
    assert kept(past) == [4.9]


@given(
    st.lists(st.tuples(st.floats(0, 3), st.integers(1, 2000)), max_size=120),
    st.integers(1, 40),
    st.integers(1, 5000),
)
def test_memory_and_time_are_bounded_and_the_newest_is_there_whatever_comes(
    steps: list[tuple[float, int]], seconds: int, most: int
) -> None:
    past, now = FrameBuffer(seconds, most), 0.0
    for step, size in steps:
        now += step
        newest = frame(now, Huge(size))  # type: ignore[arg-type]
        past.add(newest)
        times = kept(past)
        assert past.bytes <= most or len(past) == 1
        assert past.before(float("inf")) is newest
        assert times[-1] - times[0] <= seconds
        assert times == sorted(set(times))
        assert len(times) == len(past) <= A_SECOND * seconds + 2


@given(st.lists(st.floats(0, 20), min_size=1, max_size=60, unique=True), st.floats(-5, 25))
def test_the_nearest_and_the_neighbours(times: list[float], time: float) -> None:
    past = FrameBuffer()
    for each in sorted(times):
        past.add(frame(each))
    left = kept(past)
    nearest, before, after = past.at(time), past.before(time), past.after(time)
    assert nearest is not None
    assert abs(nearest.time - time) == min(abs(each - time) for each in left)
    assert (before and before.time) == max((each for each in left if each < time), default=None)
    assert (after and after.time) == min((each for each in left if each > time), default=None)


def test_nothing_is_there_at_first() -> None:
    past = FrameBuffer()
    assert (past.at(1), past.before(1), past.after(1), len(past)) == (None, None, None, 0)


def test_the_same_frame_again_takes_no_place() -> None:
    past = FrameBuffer()
    for _ in range(5):
        past.add(frame(1.0))
    assert (len(past), past.bytes) == (1, 3)


@pytest.mark.parametrize(("time", "source"), [(3.0, "camera 0"), (99.0, "camera 1")], ids=["earlier", "another source"])
def test_what_does_not_follow_starts_it_anew(time: float, source: str) -> None:
    past = FrameBuffer()
    for each in (1.0, 2.0, 4.0):
        past.add(frame(each), "camera 0")
    past.add(frame(time), source)
    assert kept(past) == [time]
    assert past.bytes == 3


def scene(time: float, **status: bool) -> Scene:
    patch = Patch(PIXEL, Box(0, 0, 1, 1), Prepared(None, PIXEL))  # type: ignore[arg-type]
    told = LoopStatus(SourceStatus(name="camera 0"), **status)
    return Scene(frame(time + 1), Tick(frame(time), patch, np.ones(1, np.float32)), told)


def test_a_session_remembers_what_passed_unless_the_picture_is_frozen() -> None:
    session = Session(past=FrameBuffer())
    assert session.past is not None
    for each in (scene(1.0), scene(2.0), scene(0.5, frozen=True), scene(3.0, frozen=True)):
        session.on_scene(each)
    assert kept(session.past) == [1, 2]


def test_a_session_without_a_past() -> None:
    session = Session()
    session.on_scene(scene(1.0))
    assert session.past is None

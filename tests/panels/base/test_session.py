from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from livecnn.io.images import THUMBNAIL, thumbnail
from livecnn.panels.base import session
from livecnn.panels.base.session import A_SECOND, APART, MAX_BYTES, MOST, FrameBuffer, Session, StrongestImages
from livecnn.types import Box, Frame, Image, LoopStatus, Patch, Prepared, Scene, SourceStatus, Tick

PIXEL = np.zeros((1, 1, 3), np.uint8)
UNITS = 3


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
    without = Session()
    without.on_scene(scene(1.0))
    assert without.past is None


def shot_of(number: int) -> Image:
    return np.full((2, 2, 3), number, np.uint8)


@dataclass
class Naive:
    """One unit: (value, time, number of the shot), strongest first."""

    kept: list[tuple[float, float, int]] = field(default_factory=list)

    def take(self, value: float, time: float, number: int) -> None:
        near = [each for each in self.kept if abs(each[1] - time) < APART]
        loser = near[0] if near else self.kept[-1] if len(self.kept) == MOST else None
        if not np.isfinite(value) or (loser is not None and value <= loser[0]):
            return
        if loser is not None:
            self.kept.remove(loser)
        place = sum(each[0] >= value for each in self.kept)
        self.kept.insert(place, (value, time, number))


values = st.one_of(st.integers(-5, 5).map(float), st.sampled_from([np.nan, np.inf, -np.inf]))
steps = st.tuples(st.integers(-1, 8).map(lambda eighths: eighths / 4), st.lists(values, min_size=UNITS, max_size=UNITS))


@given(st.lists(steps, max_size=60))
def test_it_keeps_what_a_list_for_each_unit_would_keep(taken: list[tuple[float, list[float]]]) -> None:
    memory, naive, time = StrongestImages(), [Naive() for _ in range(UNITS)], 0.0
    for number, (later, peaks) in enumerate(taken):
        time += later
        memory.take(frame(time), shot_of(number), {"a": np.array(peaks[:1], np.float32), "b": np.array(peaks[1:], np.float32)})
        for unit, value in zip(naive, peaks, strict=True):
            unit.take(value, time, number)
        found = [memory.of("a", 0), memory.of("b", 0), memory.of("b", 1)]
        told = [[(each.value, each.time, int(each.shot[0, 0, 0])) for each in unit] for unit in found]
        assert told == [unit.kept for unit in naive]
        used = {each[2] for unit in naive for each in unit.kept}
        assert {int(shot[0, 0, 0]) for shot in memory.shots.values()} == used


def test_many_units_share_a_bounded_number_of_shots(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "LIMIT", 32)
    memory, rng = StrongestImages(), np.random.default_rng(0)
    peaks = rng.normal(size=(300, 20)).astype(np.float32)
    for number, values in enumerate(peaks):
        memory.take(frame(2.0 * number), shot_of(number % 200), {"a": values})
        assert len(memory.shots) <= 32
    for unit in range(20):
        kept = [each.value for each in memory.of("a", unit)]
        assert kept == sorted(kept, reverse=True)
        assert kept[0] == peaks[:, unit].max()
        assert len(kept) == len(set(kept))


def test_the_same_frame_counts_once() -> None:
    memory, same = StrongestImages(), frame(0.0)
    memory.take(same, shot_of(1), {"a": np.array([1.0], np.float32)})
    memory.take(same, shot_of(2), {"a": np.array([5.0], np.float32)})
    assert [each.value for each in memory.of("a", 0)] == [1.0]


def test_muted_units_do_not_count_while_they_are_muted() -> None:
    memory, peaks = StrongestImages(), {"a": np.array([1.0, 2.0], np.float32)}
    memory.take(frame(0.0), shot_of(1), peaks, {("a", 1), ("elsewhere", 0)})
    assert [len(memory.of("a", unit)) for unit in range(2)] == [1, 0]
    memory.take(frame(2.0), shot_of(2), peaks)
    assert [len(memory.of("a", unit)) for unit in range(2)] == [2, 1]
    assert peaks["a"].tolist() == [1.0, 2.0]


def test_a_layer_may_come_later_and_stay_away() -> None:
    memory = StrongestImages()
    memory.take(frame(0.0), shot_of(1), {"a": np.array([1.0], np.float32)})
    memory.take(frame(2.0), shot_of(2), {"b": np.array([3.0, 4.0], np.float32)})
    memory.take(frame(4.0), shot_of(3), {})
    assert [each.value for each in memory.of("a", 0)] == [1.0]
    assert [each.value for each in memory.of("b", 1)] == [4.0]
    assert memory.of("c", 0) == ()


@pytest.mark.parametrize(("shape", "kept"), [((480, 640), (72, 96)), ((1000, 3), (96, 1)), ((20, 30), (20, 30))], ids=str)
def test_shots_are_kept_small_and_as_copies(shape: tuple[int, int], kept: tuple[int, int]) -> None:
    shot = np.full((*shape, 3), 7, np.uint8)
    small = thumbnail(shot)
    assert small.shape == (*kept, 3)
    assert max(small.shape) <= THUMBNAIL
    shot[:] = 0
    assert (small == 7).all()

from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from livecnn.io.images import THUMBNAIL, thumbnail
from livecnn.panels.base import strongest_shots as strongest
from livecnn.panels.base.strongest_shots import APART, MOST, StrongestImages
from livecnn.types import Frame, Image

UNITS = 3


def shot_of(number: int) -> Image:
    return np.full((2, 2, 3), number, np.uint8)


def frame_at(time: float) -> Frame:
    return Frame(shot_of(0), 0, time)


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
        memory.take(frame_at(time), shot_of(number), {"a": np.array(peaks[:1], np.float32), "b": np.array(peaks[1:], np.float32)})
        for unit, value in zip(naive, peaks, strict=True):
            unit.take(value, time, number)
        found = [memory.of("a", 0), memory.of("b", 0), memory.of("b", 1)]
        told = [[(each.value, each.time, int(each.shot[0, 0, 0])) for each in unit] for unit in found]
        assert told == [unit.kept for unit in naive]
        used = {each[2] for unit in naive for each in unit.kept}
        assert {int(shot[0, 0, 0]) for shot in memory.shots.values()} == used


def test_memory_is_bounded_however_long_it_runs() -> None:
    memory, rng = StrongestImages(), np.random.default_rng(0)
    for second in range(500):
        memory.take(frame_at(2.0 * second), shot_of(second % 200), {"a": rng.normal(size=4).astype(np.float32)})
    assert 0 < len(memory.shots) <= 4 * MOST


def test_many_units_share_a_bounded_number_of_shots(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strongest, "LIMIT", 32)
    memory, rng = StrongestImages(), np.random.default_rng(0)
    peaks = rng.normal(size=(300, 20)).astype(np.float32)
    for number, values in enumerate(peaks):
        memory.take(frame_at(2.0 * number), shot_of(number % 200), {"a": values})
        assert len(memory.shots) <= 32
    for unit in range(20):
        kept = [each.value for each in memory.of("a", unit)]
        assert kept == sorted(kept, reverse=True)
        assert kept[0] == peaks[:, unit].max()
        assert len(kept) == len(set(kept))


def test_the_same_frame_counts_once() -> None:
    memory, frame = StrongestImages(), frame_at(0.0)
    memory.take(frame, shot_of(1), {"a": np.array([1.0], np.float32)})
    memory.take(frame, shot_of(2), {"a": np.array([5.0], np.float32)})
    assert [each.value for each in memory.of("a", 0)] == [1.0]


def test_muted_units_do_not_count_while_they_are_muted() -> None:
    memory, peaks = StrongestImages(), {"a": np.array([1.0, 2.0], np.float32)}
    memory.take(frame_at(0.0), shot_of(1), peaks, {("a", 1), ("elsewhere", 0)})
    assert [len(memory.of("a", unit)) for unit in range(2)] == [1, 0]
    memory.take(frame_at(2.0), shot_of(2), peaks)
    assert [len(memory.of("a", unit)) for unit in range(2)] == [2, 1]
    assert peaks["a"].tolist() == [1.0, 2.0]


def test_a_layer_may_come_later_and_stay_away() -> None:
    memory = StrongestImages()
    memory.take(frame_at(0.0), shot_of(1), {"a": np.array([1.0], np.float32)})
    memory.take(frame_at(2.0), shot_of(2), {"b": np.array([3.0, 4.0], np.float32)})
    memory.take(frame_at(4.0), shot_of(3), {})
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

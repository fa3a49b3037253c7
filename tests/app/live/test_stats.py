import json
from pathlib import Path

import numpy as np
import pytest
import torch

from livecnn.app.live import stats as stats_module
from livecnn.app.live.stats import Rate, Stats, write_stats
from livecnn.errors import OutputError
from livecnn.types import Box, Frame, Patch, Prepared, Scene, SourceStatus, Tick

PICTURE = np.zeros((2, 2, 3), np.uint8)
PATCH = Patch(PICTURE, Box(0, 0, 2, 2), Prepared(torch.zeros(1, 1, 2, 2), PICTURE))


class Clock:
    now = 50.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(stats_module.time, "monotonic", lambda: clock.now)
    return clock


def tick_of(frame: Frame, seconds: float = 0.002) -> Tick:
    return Tick(frame, PATCH, np.ones(1, np.float32), timings={"model": seconds})


def scene_of(seq: int, taken: float, tick: Tick | None = None) -> Scene:
    frame = Frame(PICTURE, seq, taken)
    return Scene(frame, tick or tick_of(frame))


def test_a_rate_needs_two_events() -> None:
    rate = Rate()
    assert rate.value() is None
    rate.event(1.0)
    assert rate.value() is None
    rate.event(1.0)
    assert rate.value() is None  # no time has passed: no rate, no division by zero
    rate.event(1.5)
    assert rate.value() == pytest.approx(4.0)


def test_a_rate_is_of_the_newest_events() -> None:
    rate = Rate()
    for i in range(100):
        rate.event(float(i))
    for i in range(stats_module.RECENT):
        rate.event(100 + i / 50)
    assert rate.value() == pytest.approx(50.0)


def test_a_run_worked_by_hand(clock: Clock) -> None:
    stats = Stats("qtagg", "cpu")
    tick = tick_of(Frame(PICTURE, 3, 49.9))
    shown = [  # clock, sequence number, taken at, tick, work
        (50.0, 3, 49.9, tick, 0.010),
        (50.5, 5, 50.3, tick, 0.020),  # frame 4 was never seen; the tick is the old one
        (51.0, 5, 50.3, tick, 0.030),  # both shown before
        (52.0, 6, 51.6, None, 0.040),
    ]
    for clock.now, seq, taken, old_tick, work in shown:
        stats.shown(scene_of(seq, taken, old_tick), work)
    for clock.now in (50.0, 50.5, 51.0, 54.0):  # the network was faster than the window, and went on longer
        stats.passed(tick)
    stats.source = SourceStatus("lost", "camera 0", "unplugged", reconnects=2)
    report = stats.report()
    key, rss = report.popitem()
    expected = {
        "ticks": 4,
        "seconds": 2.0,
        "display_fps": 1.0,  # frames 3, 5, 6: two intervals in two seconds
        "model_fps": 0.75,  # three intervals in four seconds
        "tick_ms": {"p50": 25.0, "p95": 38.5},
        "frame_age_ms": {"p50": 200.0, "p95": 380.0},
        "dropped": 1,
        "duplicates": 1,
        "reconnects": 2,
        "source_state": "lost",
        "source_reason": "unplugged",
        "backend": "qtagg",
        "device": "cpu",
    }
    assert (list(report.items()), key) == (list(expected.items()), "rss_mb")
    assert 1 < rss["start"] <= rss["end"] * 2


def test_frames_read_in_order_have_no_age(clock: Clock) -> None:
    stats = Stats("agg", "cpu")
    for clock.now, seq in ((50.0, 0), (50.1, 1)):
        stats.shown(scene_of(seq, taken=float(seq)), 0.01, live=False)
    assert stats.report()["frame_age_ms"] == {"p50": None, "p95": None}
    status = stats.status(SourceStatus())
    assert (status.picture_age, status.model_age) == (None, None)


def test_nothing_shown_is_nothing_measured() -> None:
    report = Stats("agg", "cpu").report()
    assert (report["ticks"], report["seconds"], report["dropped"], report["duplicates"]) == (0, 0.0, 0, 0)
    assert report["display_fps"] is report["model_fps"] is None
    assert report["tick_ms"] == {"p50": None, "p95": None}


def test_status_for_the_screen(clock: Clock) -> None:
    stats = Stats("agg", "cpu")
    assert stats.status(SourceStatus()).display_fps is None
    for clock.now, seq in ((50.0, 0), (50.25, 1)):
        scene = scene_of(seq, taken=clock.now - 0.03)
        stats.passed(scene.tick)
        stats.shown(scene, 0.01)
    source = SourceStatus("live", "camera 0")
    status = stats.status(source, mirrored=True)
    assert status.source is source
    assert (status.frozen, status.mirrored) == (False, True)
    assert status.display_fps == pytest.approx(4.0)
    assert status.model_fps == pytest.approx(4.0)
    assert status.model_ms == pytest.approx(2.0)
    assert status.picture_age == pytest.approx(30.0)
    assert status.model_age == pytest.approx(30.0)


def test_what_is_frozen_or_looked_back_at_has_no_age(clock: Clock) -> None:
    stats = Stats("agg", "cpu")

    def ages(*, frozen: bool) -> tuple[float | None, float | None]:
        status = stats.status(SourceStatus(), frozen=frozen)
        return status.picture_age, status.model_age

    clock.now = 80.0
    stats.shown(scene_of(9, taken=79.97), 0.01)
    assert ages(frozen=True) == (None, None)
    for clock.now, seq, taken in ((90.0, 4, 70.0), (91.0, 5, 71.0), (92.0, 9, 79.97)):  # the last one passes once more
        stats.shown(scene_of(seq, taken), 0.01)
    assert ages(frozen=True) == (None, None)
    assert ages(frozen=False) == (pytest.approx(30.0), pytest.approx(30.0))
    assert stats.report()["frame_age_ms"]["p95"] == pytest.approx(30.0)
    clock.now = 93.0
    stats.shown(scene_of(10, taken=92.96), 0.01)
    assert ages(frozen=False) == (pytest.approx(40.0), pytest.approx(40.0))


def test_memory_is_bounded() -> None:
    stats = Stats("agg", "cpu")
    scene = scene_of(0, 0.0)
    for _ in range(stats_module.KEPT + 10):
        stats.shown(scene, 0.001)
    assert len(stats._work) == stats_module.KEPT
    assert stats.report()["ticks"] == stats_module.KEPT + 10


def test_the_file(tmp_path: Path) -> None:
    report = Stats("agg", "cpu").report()
    path = tmp_path / "deep" / "stats.json"
    write_stats(path, report)
    assert json.loads(path.read_text()) == report
    with pytest.raises(OutputError, match="cannot be written"):
        write_stats(path / "below.json", report)

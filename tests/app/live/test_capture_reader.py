from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from livecnn.app.live import capture as reader_module
from livecnn.app.live.capture import ReaderThread
from livecnn.errors import SourceError
from livecnn.types import Frame
from tests.helpers.fake_sources import Scripted


class Clock:
    """Time that passes only where somebody waits or works."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        clock = self

        class Left(threading.Event):
            def wait(self, timeout: float | None = None) -> bool:
                clock.now += max(timeout or 0.0, 0.0)
                return self.is_set()

        monkeypatch.setattr(reader_module, "Event", Left)
        monkeypatch.setattr(reader_module.time, "monotonic", lambda: self.now)

    def works(self, *seconds: float) -> Callable[[], None]:
        """To call before each read: takes these seconds in turn, then none."""
        left = iter(seconds)

        def work() -> None:
            self.now += next(left, 0.0)

        return work


class Played:
    """What a reader makes of a source; it is left after 8 frames."""

    def __init__(self, source: Scripted, *, once: bool = True, is_open: bool = True) -> None:
        self.frames: list[Frame] = []
        self.ends: list[Exception | None] = []
        self._source = source
        reader = ReaderThread(source, self._take, self._over, once=once, is_open=is_open)
        reader.start()
        reader.join(10)
        assert not reader.alive

    @property
    def times(self) -> list[float]:
        return [frame.time - 100.0 for frame in self.frames]

    def _take(self, reader: ReaderThread, frame: Frame) -> None:
        self.frames.append(frame)
        if len(self.frames) == 8:
            reader.leave()

    def _over(self, reader: ReaderThread, error: Exception | None) -> None:
        assert self._source.closed == 1
        self.ends.append(error)


def test_a_device_sets_its_own_pace() -> None:
    played = Played(Scripted(5))
    assert [frame.seq for frame in played.frames] == [0, 1, 2, 3, 4]
    assert played.ends == [None]


def test_paced_frames_come_when_they_are_due(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    played = Played(Scripted(4, interval=0.1, before=clock.works(0.02, 0.03, 0.09, 0.01)))
    assert played.times == pytest.approx([0.02, 0.1, 0.2, 0.3])
    assert [frame.seq for frame in played.frames] == [0, 1, 2, 3]
    assert clock.now == pytest.approx(100.4)  # the last picture, too, had its time


def test_after_slow_decoding_the_clock_is_set_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    played = Played(Scripted(6, interval=0.1, before=clock.works(0, 0.5)))
    assert played.times == pytest.approx([0.0, 0.5, 0.6, 0.7, 0.8, 0.9])


def test_small_delays_do_not_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    played = Played(Scripted(5, interval=0.1, before=clock.works(0, 0.15)))
    assert played.times == pytest.approx([0.0, 0.15, 0.2, 0.3, 0.4])


def test_a_source_that_ends_is_played_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    Clock(monkeypatch)
    source = Scripted(3, interval=0.1)
    played = Played(source, once=False)
    assert played.times == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7])
    assert [frame.seq for frame in played.frames] == list(range(8))
    assert source.rewinds == 2


def test_once_means_once(monkeypatch: pytest.MonkeyPatch) -> None:
    Clock(monkeypatch)
    source = Scripted(3, interval=0.1)
    assert len(Played(source).frames) == 3
    assert source.rewinds == 0


@pytest.mark.parametrize("error", [SourceError("the plug is out"), ZeroDivisionError("a defect")])
@pytest.mark.parametrize("where", ["open", "read", "take"])
def test_whatever_happens_it_is_told_and_the_source_closed(error: Exception, where: str) -> None:
    source = Scripted(1, error=error if where == "read" else None)

    def fail(*_: object) -> None:
        raise error

    if where == "open":
        source.open = fail  # type: ignore[method-assign]
    if where == "take":
        source._frame = fail  # type: ignore[method-assign]
    played = Played(source, is_open=where != "open")
    assert played.ends == [error]
    assert len(played.frames) == (where == "read")


def test_it_opens_the_source_only_if_nobody_has() -> None:
    opened: list[bool] = []
    for is_open in (True, False):
        source = Scripted(1)
        source.open = lambda is_open=is_open: opened.append(is_open)  # type: ignore[misc]
        Played(source, is_open=is_open)
    assert opened == [False]


def test_a_read_that_waits_is_interrupted_where_the_source_can_do_that() -> None:
    drawn = threading.Event()
    source = Scripted(1, before=drawn.wait)
    source.interrupt = drawn.set  # type: ignore[method-assign]
    reader = ReaderThread(source, lambda *_: None, lambda *_: None)
    reader.start()
    reader.leave()
    reader.join(10)
    assert not reader.alive
    assert source.closed == 1

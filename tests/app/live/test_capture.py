import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from imutils.video import WebcamVideoStream

from livecnn.app.live import capture as capture_module
from livecnn.app.live.capture import Capture, ConnectionMonitor, LatestSlot, ReaderThread, Timeouts
from livecnn.errors import SourceError
from livecnn.sources import Source, open_source
from livecnn.types import Frame, Image, SourceStatus
from tests.helpers.fake_sources import Device, Scripted, ended, recorded
from tests.helpers.waiting import until

WAIT = 30  # seconds until a test that waits has failed


def test_empty() -> None:
    assert LatestSlot[int]().get() == (0, None)
    assert LatestSlot[int]().wait(0, 0.0) == (0, None)


@given(st.lists(st.integers(), min_size=1))
def test_the_newest_item_only(items: list[int]) -> None:
    slot = LatestSlot[int]()
    for item in items:
        slot.put(item)
    assert slot.get() == slot.get() == (len(items), items[-1])


def test_waiting_for_something_newer() -> None:
    slot = LatestSlot[str]()
    slot.put("a")
    assert slot.wait(0, WAIT) == (1, "a")
    assert slot.wait(1, 0.001) == (1, "a")  # nothing newer came
    got: list[object] = []
    reader = threading.Thread(target=lambda: got.append(slot.wait(1, WAIT)))
    reader.start()
    slot.put("b")
    reader.join(WAIT)
    assert got == [(2, "b")]


def test_repeating_hands_the_newest_item_to_everybody_once_more() -> None:
    slot = LatestSlot[str]()
    slot.repeat()
    assert slot.get() == (0, None)  # there is nothing to repeat
    slot.put("a")
    slot.put("b")
    slot.repeat()
    assert slot.wait(2, WAIT) == (3, "b")


def test_closing_wakes_every_reader_and_keeps_the_last_item() -> None:
    slot = LatestSlot[str]()
    slot.put("a")
    got: list[object] = []
    readers = [threading.Thread(target=lambda: got.append(slot.wait(1, WAIT))) for _ in range(3)]
    for reader in readers:
        reader.start()
    assert not slot.closed
    slot.close()
    for reader in readers:
        reader.join(WAIT)
    assert slot.closed
    assert got == [(1, "a")] * 3
    slot.close()
    assert slot.wait(1) == (1, "a")


@pytest.mark.parametrize("readers", [1, 3])
def test_readers_see_versions_rise_and_never_miss_the_last(readers: int) -> None:
    slot, count, start = LatestSlot[int](), 500, threading.Barrier(readers + 1)
    seen: list[list[int]] = [[] for _ in range(readers)]

    def read(mine: list[int]) -> None:
        start.wait(WAIT)
        version = 0
        while version < count:
            version, item = slot.wait(version, WAIT)
            assert item == version
            mine.append(version)

    threads = [threading.Thread(target=read, args=(mine,)) for mine in seen]
    for thread in threads:
        thread.start()
    start.wait(WAIT)
    for item in range(1, count + 1):
        slot.put(item)
    for thread in threads:
        thread.join(WAIT)
    for mine in seen:
        assert mine == sorted(set(mine))
        assert mine[-1] == count


def test_it_is_the_stream_of_imutils() -> None:
    assert issubclass(Capture, WebcamVideoStream)


def test_the_newest_frame_of_a_device() -> None:
    source = Scripted(5)
    with Capture(source) as capture:
        assert ended(capture)
        frame = capture.read()
    assert frame.seq == 4
    assert frame.time <= time.monotonic()
    assert source.closed == 1


def test_a_held_picture_stays_while_the_source_is_read_on() -> None:
    held = iter([False, False, True, True, False, False])
    source = Scripted(6, before=lambda: setattr(capture, "held", next(held, False)))
    capture, slot = recorded(source)
    with capture:
        assert ended(capture)
    assert [frame.seq for frame in slot.frames] == [0, 1, 4, 5]


@pytest.mark.parametrize("once", [True, False])
def test_a_source_without_frames_ends_instead_of_spinning(once: bool) -> None:
    with Capture(Scripted(0, interval=0.1), once=once) as capture:
        with pytest.raises(SourceError, match="script: ended without a picture"):
            capture.read()
        assert capture.error is None
        assert capture.status().state == "ended"


def test_read_waits_for_the_first_frame() -> None:
    gate = threading.Event()
    with Capture(Scripted(1, before=lambda: gate.wait(5))) as capture:
        assert capture.slot.get() == (0, None)
        gate.set()
        assert capture.read().seq == 0


def test_failing_before_and_after_the_first_frame() -> None:
    for frames, error, state in (
        (0, SourceError("the plug is out"), "failed"),
        (2, SourceError("the plug is out"), "lost"),
        (0, ZeroDivisionError("the plug is out"), "failed"),
    ):
        source = Scripted(frames, error=error)
        with Capture(source) as capture:
            assert ended(capture)
            with pytest.raises(type(error), match="the plug is out"):
                capture.read()
            status = capture.status()
        assert (status.state, status.name, status.note, status.reconnects) == (state, "script", "the plug is out", 0)
        assert source.closed == 1


def test_a_failing_rewind_is_told() -> None:
    class Vanishing(Scripted):
        def rewind(self) -> None:
            raise SourceError("the file is gone")

    with Capture(Vanishing(1, interval=0.001)) as capture:
        assert ended(capture)
        assert str(capture.error) == "the file is gone"


def test_status_while_it_lives_and_after() -> None:
    capture = Capture(Scripted(10**9, interval=0.001))
    assert capture.status().state == "live"
    with capture:
        capture.read()
        status = capture.status()
        assert (status.state, status.name, status.note) == ("live", "script", "a note")
    assert capture.status().state == "ended"


def test_stop_does_not_wait_for_the_next_picture() -> None:
    before = threading.active_count()
    source = Scripted(10, interval=3600.0)
    capture = Capture(source).start()
    first = capture.read()
    capture.stop()
    capture.stop()
    assert threading.active_count() == before
    assert capture.slot.closed
    assert capture.read() is first
    assert source.closed == 1


def test_stop_without_start_closes_the_source() -> None:
    source = Scripted(3)
    capture = Capture(source)
    capture.stop()
    assert source.closed == 1
    with pytest.raises(SourceError, match="ended without a picture"):
        capture.read()


def test_a_read_that_hangs_does_not_hang_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capture_module, "PATIENCE", 0.05)
    driver = threading.Event()
    source = Scripted(1, before=lambda: driver.wait(60))
    capture = Capture(source).start()
    capture.stop()
    assert source.closed == 0  # closing under a read would crash the driver
    with pytest.raises(SourceError, match="ended without a picture"):
        capture.read()
    driver.set()
    until(lambda: source.closed == 1)
    assert capture.slot.get() == (0, None)


def test_the_demo_through_the_thread() -> None:
    source = open_source("demo")
    source.open()
    before = threading.active_count()
    with Capture(source) as capture:
        version, first = capture.slot.wait(0, timeout=10)
        _, second = capture.slot.wait(version, timeout=10)
        assert first is not None
        assert second is not None
        assert second.seq > first.seq
        assert second.time > first.time
    assert threading.active_count() == before


class Clock:
    """Time that passes only where somebody waits or works."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        clock = self

        class Left(threading.Event):
            def wait(self, timeout: float | None = None) -> bool:
                clock.now += max(timeout or 0.0, 0.0)
                return self.is_set()

        monkeypatch.setattr(capture_module, "Event", Left)
        monkeypatch.setattr(capture_module.time, "monotonic", lambda: self.now)

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
        assert not reader.is_alive()

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


@pytest.mark.parametrize(
    ("work", "times"),
    [
        ((0.02, 0.03, 0.09, 0.01), [0.02, 0.1, 0.2, 0.3]),
        ((0, 0.5, 0, 0, 0, 0), [0.0, 0.5, 0.6, 0.7, 0.8, 0.9]),
        ((0, 0.15, 0, 0, 0), [0.0, 0.15, 0.2, 0.3, 0.4]),
    ],
    ids=["when they are due", "slow decoding sets the clock anew", "small delays do not add up"],
)
def test_when_paced_frames_come(work: tuple[float, ...], times: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    source = Scripted(len(times), interval=0.1, before=clock.works(*work))
    played = Played(source)
    assert played.times == pytest.approx(times)
    assert [frame.seq for frame in played.frames] == list(range(len(times)))
    assert clock.now == pytest.approx(100.1 + times[-1])  # the last picture, too, had its time
    assert source.rewinds == 0  # once means once


def test_a_source_that_ends_is_played_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    Clock(monkeypatch)
    source = Scripted(3, interval=0.1)
    played = Played(source, once=False)
    assert played.times == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7])
    assert [frame.seq for frame in played.frames] == list(range(8))
    assert source.rewinds == 2


@pytest.mark.parametrize("where", ["open", "read", "take"])
def test_whatever_happens_it_is_told_and_the_source_closed(where: str) -> None:
    error = ZeroDivisionError("a defect")
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
    assert not reader.is_alive()
    assert source.closed == 1


# As in life, but a hundred times as fast.
BRISK = Timeouts(stale=0.02, lost=0.05, frozen=0.05, delays=(0.01, 0.02), healthy=0.6, dead=0.1, opening=0.2)
# Silence, which a busy machine can bring, is never a loss; what fails is connected again at once.
PROMPT = Timeouts(stale=60, lost=60, frozen=60, delays=(0.01, 0.02), dead=120, opening=60)
# Nothing happens by itself.
CALM = Timeouts(stale=60, lost=60, frozen=60, delays=(0.01,), dead=120, opening=60)


@pytest.fixture
def device() -> Iterator[Device]:
    device = Device()
    yield device
    device.release()


def test_a_lost_device_is_connected_again_as_soon_as_it_is_back(device: Device) -> None:
    capture, slot = recorded(device.source(), PROMPT)
    with capture:
        capture.read()
        device.plugged = False
        until(lambda: capture.status().state == "lost")
        assert capture.error is None
        assert not slot.closed
        until(lambda: len(device.made) > 4)
        status = capture.status()
        assert status.state == "lost"
        assert status.note.startswith("trying again ")
        assert status.note.endswith("time): no such device")
        device.plugged = True
        until(lambda: capture.status().state == "live")
        status = capture.status()
        assert (status.name, status.note, status.reconnects) == ("camera 7", "a note", 1)
        assert capture.source is device.made[-1]
        until(lambda: slot.frames[-1].seq > slot.frames[0].seq + 5)
    assert [frame.seq for frame in slot.frames] == list(range(len(slot.frames)))
    assert all(source.closed == 1 for source in device.made)


def test_the_reason_of_a_loss_is_told(device: Device) -> None:
    with Capture(device.source(), patience=Timeouts(delays=(60,))) as capture:
        capture.read()
        device.plugged = False
        until(lambda: capture.status().state == "lost")
        assert capture.status().note == "trying again in 60 s (1st time): is it still plugged in?"
        assert capture.read().seq >= 0  # the last picture


def test_a_read_that_hangs_is_left_and_never_heard_of_again(device: Device) -> None:
    capture, slot = recorded(device.source(), BRISK)
    with capture:
        capture.read()
        hung = device.made[0]
        hung.again = device.source  # type: ignore[method-assign]
        hung.device = Device()  # only this source's driver hangs
        hung.device.reading.clear()
        until(lambda: capture.status().reconnects >= 1)
        assert hung.closed == 0
        hung.device.size = (9, 9)
        hung.device.reading.set()
        until(lambda: hung.closed)
        newest = slot.frames[-1].seq
        until(lambda: slot.frames[-1].seq > newest + 5)
    assert {frame.image.shape for frame in slot.frames} == {(2, 3, 3)}
    assert [frame.seq for frame in slot.frames] == list(range(len(slot.frames)))


def test_a_connection_that_was_made_anew_is_watched_like_the_first(device: Device) -> None:
    patience = Timeouts(lost=0.1, delays=(0.01,), opening=3600)  # an attempt may last long, silence after it may not
    with Capture(device.source(), patience=patience) as capture:
        capture.read()
        device.plugged = False
        until(lambda: capture.status().state == "lost")
        device.plugged = True
        until(lambda: capture.status().reconnects >= 1)
        reconnects, hung = capture.status().reconnects, Device()
        hung.reading.clear()
        capture.source.again = device.source  # type: ignore[method-assign]
        capture.source.device = hung  # type: ignore[attr-defined]
        until(lambda: capture.status().reconnects > reconnects)
        hung.release()


def test_silence_is_told_before_it_is_a_loss(device: Device) -> None:
    patience = Timeouts(stale=0.02, lost=60)
    with Capture(device.source(), patience=patience) as capture:
        capture.read()
        device.reading.clear()
        until(lambda: capture.status().state == "stale")
        assert capture.status().note == "no new picture for 0 s"
        device.reading.set()
        until(lambda: capture.status().state == "live")
        assert capture.status().reconnects == 0


def test_a_camera_whose_picture_stands_still_is_connected_again(device: Device) -> None:
    patience = Timeouts(frozen=0.03, dead=0.1, delays=(0.2,))
    with Capture(device.source(), patience=patience) as capture:
        capture.read()
        device.still = True
        until(lambda: capture.status().state == "frozen")
        until(lambda: capture.status().state == "lost")
        assert "the picture stood still" in capture.status().note
        device.still = False
        until(lambda: capture.status() == SourceStatus("live", "camera 7", "a note", 1))


def test_a_stream_may_stand_still(device: Device) -> None:
    source = device.source()
    source.may_stand_still = True
    with Capture(source, patience=Timeouts(frozen=0.03, dead=0.05)) as capture:
        device.still = True
        until(lambda: capture.slot.get()[0] > 100)
        assert capture.status().state == "frozen"
    assert len(device.made) == 1


def test_an_opening_that_hangs_is_left_for_another_one(device: Device) -> None:
    with Capture(device.source(), patience=replace(PROMPT, opening=0.2)) as capture:
        capture.read()
        device.opening.clear()
        device.plugged = False
        until(lambda: "does not answer" in capture.status().note)
        device.plugged = True
        device.opening.set()
        until(lambda: capture.status().state == "live")
        assert capture.status().reconnects == 1
        until(lambda: all(source.closed for source in device.made[:-1]))
    assert device.made[-1].closed == 1


def test_an_opening_that_hangs_does_not_hang_stop(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capture_module, "PATIENCE", 0.05)
    capture = Capture(device.source(), patience=CALM).start()
    capture.read()
    device.opening.clear()
    device.plugged = False
    until(lambda: len(device.made) == 2)
    before = time.monotonic()
    capture.stop()
    assert time.monotonic() - before < 5
    device.release()
    until(lambda: device.made[1].closed)


def test_a_supervised_source_that_never_gives_a_picture_fails(device: Device) -> None:
    device.plugged = False
    with Capture(device.source(), patience=PROMPT) as capture:
        assert ended(capture)
        assert (capture.status().state, str(capture.error)) == ("failed", "camera 7: lost: is it still plugged in?")
    device.plugged = True
    device.reading.clear()
    with Capture(device.source(), patience=BRISK) as capture:
        assert ended(capture)
        assert (capture.status().state, str(capture.error)) == ("failed", "camera 7: no picture within 0.05 s")
        device.release()


@pytest.mark.parametrize("where", ["read", "again"])
def test_a_defect_while_supervised_is_not_hidden(device: Device, where: str) -> None:
    def fail() -> Source:
        raise ZeroDivisionError("oops")

    with Capture(device.source(), patience=PROMPT) as capture:
        capture.read()
        setattr(device.made[0], where, fail)
        device.plugged = where == "read"
        assert ended(capture)
        assert isinstance(capture.error, ZeroDivisionError)
        assert capture.status().state == "lost"


def test_the_size_of_the_picture_may_change(device: Device) -> None:
    capture, slot = recorded(device.source(), CALM)
    with capture:
        for size in ((4, 4), (1, 7), (600, 800)):
            device.size = size
            until(lambda size=size: slot.frames and slot.frames[-1].image.shape == (*size, 3))  # type: ignore[misc]
        assert capture.status().state == "live"
    assert len(device.made) == 1


@pytest.mark.parametrize("change", ["pixel", "size"])
def test_the_smallest_change_is_a_sign_of_life(change: str) -> None:
    class Blinking(Scripted):
        supervised = True

        def _frame(self, image: Image, name: str = "", label: str = "") -> Frame:
            picture = np.zeros((40, 40 + (change == "size" and self._given % 2), 3), np.uint8)
            picture[39, 39, 2] = change == "pixel" and self._given % 2
            return super()._frame(picture)

    frozen = 0.25
    source = Blinking(10**9, before=lambda: time.sleep(0.002))
    with Capture(source, patience=Timeouts(frozen=frozen)) as capture:
        began = capture.read().time
        until(lambda: (frame := capture.slot.get()[1]) and frame.time > began + frozen)
        assert capture.status().state == "live"


def test_going_over_to_another_source() -> None:
    old, new = Scripted(10**9, interval=0.001), Scripted(10**9, interval=0.001)
    old.name, new.name = "old", "new"
    capture, slot = recorded(old)
    with capture:
        until(lambda: len(slot.frames) > 5)
        capture.held = True
        capture.switch(new)
        before = len(slot.frames)
        until(lambda: len(slot.frames) > before + 5)
        assert {frame.name for frame in slot.frames[before:]} == {"new"}
        assert {frame.name for frame in slot.frames[:before]} == {"old"}
        seqs = [frame.seq for frame in slot.frames]
        assert seqs == sorted(set(seqs))
        assert (capture.source, capture.status().name) == (new, "new")
        until(lambda: old.closed == 1)
    assert new.closed == 1


@pytest.mark.parametrize("end", [None, SourceError("the plug is out")])
@pytest.mark.parametrize("frames", [0, 3])
def test_after_the_end_another_source_goes_on_in_the_same_slot(end: Exception | None, frames: int) -> None:
    gate = threading.Event()
    with Capture(Scripted(frames, error=end)) as capture:
        assert ended(capture)
        capture.switch(Scripted(10, before=lambda: gate.wait(5)))
        assert (capture.error, capture.slot.closed, capture.status().state) == (None, False, "live")
        seen = capture.slot.get()[0]
        gate.set()
        frame = capture.slot.wait(seen, timeout=5)[1]
        assert frame is not None
        assert frame.seq >= frames


def test_going_over_from_a_lost_device_and_from_one_that_hangs(device: Device) -> None:
    capture, slot = recorded(device.source(), CALM)
    with capture:
        capture.read()
        device.plugged = False
        until(lambda: len(device.made) > 3)
        capture.switch(Scripted(10**9, interval=0.001))
        assert (capture.status().state, capture.status().reconnects) == ("live", 0)
        device.plugged = True
        before = len(slot.frames)
        until(lambda: len(slot.frames) > before + 5)
        made = len(device.made)
        capture.switch(device.source())
        until(lambda: slot.frames[-1].name == "camera 7")
        device.reading.clear()
        capture.switch(Scripted(10**9, interval=0.001))
        before = len(slot.frames)
        device.reading.set()
        until(lambda: device.made[-1].closed and len(slot.frames) > before + 5)
    assert {frame.name for frame in slot.frames[before:]} == {"script"}
    assert len(device.made) == made + 1
    seqs = [frame.seq for frame in slot.frames]
    assert seqs == sorted(set(seqs))


def test_all_stops_together_take_the_time_of_one(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capture_module, "PATIENCE", 0.5)
    device.reading.clear()
    capture = Capture(device.source(), patience=CALM).start()
    for _ in range(40):  # hung readers of their own
        capture.switch(device.source())
    before = time.monotonic()
    capture.stop()
    capture.stop()
    assert time.monotonic() - before < 20 * 0.5


PATIENCE = Timeouts()
MS = 0.001
START = 1000.0
LOST = [("picture", 0), ("fails", 0, "unplugged?"), ("step", 1, "connect")]  # and the first attempt is under way


def play(*script: tuple[Any, ...], patience: Timeouts = PATIENCE, may_stand_still: bool = False) -> ConnectionMonitor:
    """Carry out a script; seconds are counted from the start. Steps that are no event are what has to be so then:

    ("picture", second), ("pictures", first, last, fps), ("same", first, last): other pictures, or the same at 10 a second;
    ("fails", second, reason), ("step", second, result), ("deadline", second), ("reconnects", count), (state, second, note).
    """
    monitor = ConnectionMonitor(patience, START, may_stand_still=may_stand_still)
    for event, second, *more in script:
        match event:
            case "picture":
                monitor.frame(START + second)
            case "pictures" | "same":
                last, fps = [*more, 10][:2]
                for i in range(round((last - second) * fps) + 1):
                    monitor.frame(START + second + i / fps, event == "same")
            case "fails":
                monitor.failed(START + second, *more)
            case "step":
                assert [monitor.step(START + second)] == more, second
            case "deadline":
                assert monitor.deadline == pytest.approx(START + second, abs=1e-9)
            case "reconnects":
                assert monitor.reconnects == second
            case state:
                assert [monitor.state(START + second), monitor.note(START + second)] == [state, *more], second
    return monitor


SCRIPTS: dict[str, list[tuple[Any, ...]]] = {
    "stale after two seconds": [
        ("pictures", -1, 0, 30), ("live", 1.9, ""), ("live", 2 - MS, ""),
        ("stale", 2 + MS, "no new picture for 2 s"), ("stale", 4.9, "no new picture for 4 s"),
    ],
    "of a slow device twice its usual interval is stale": [
        ("pictures", 1.5, 60, 1 / 1.5), ("live", 63 - 2 * MS, ""), ("stale", 63 + 2 * MS, "no new picture for 3 s"),
    ],
    "one picture makes a stale device live again": [
        ("picture", 0), ("stale", 3, "no new picture for 3 s"), ("picture", 3), ("live", 3, ""), ("reconnects", 0),
    ],
    "lost after five seconds without a picture": [
        ("picture", 1), ("deadline", 6), ("step", 6 - MS, None), ("stale", 6 - MS, "no new picture for 4 s"),
        ("step", 6 + MS, "leave"), ("lost", 6 + MS, "trying again in 1 s (1st time): no more pictures came"),
    ],
    "a failed read is a loss at once": [
        ("picture", 0), ("fails", 0.1, "unplugged?"), ("lost", 0.1, "trying again in 1 s (1st time): unplugged?"),
    ],
    "not frozen before five seconds of the same picture": [("picture", 0), ("same", 0.1, 5 - MS), ("live", 5 - MS, "")],
    "frozen after five seconds of the same picture, until another one comes": [
        ("picture", 0), ("same", 0.1, 5 + MS), ("frozen", 5 + MS, "the same picture for 5 s"),
        ("same", 5.1, 9), ("frozen", 9, "the same picture for 9 s"), ("picture", 9.1), ("live", 9.1, ""),
    ],
    "a frozen picture that stays away is stale first of all": [
        ("picture", 0), ("same", 0.1, 6), ("stale", 8.1, "no new picture for 2 s"),
    ],
    "a camera is lost after ten seconds of the same picture": [
        ("picture", 0), ("same", 0.1, 9.9), ("deadline", 10), ("step", 10 - MS, None), ("step", 10 + MS, "leave"),
        ("lost", 10 + MS, "trying again in 1 s (1st time): the picture stood still"),
    ],
    "a fresh connection with the same picture proves that it just looks so there": [
        ("picture", 0), ("same", 0.1, 9.9), ("step", 10, "leave"), ("step", 11, "connect"),
        ("same", 11.1, 60), ("step", 60, None), ("frozen", 60, "the same picture for 48 s"),
        ("picture", 60.1), ("same", 60.2, 70), ("step", 70.1 + MS, "leave"),
    ],
    "what is told of the attempts": [
        *LOST, ("lost", 1, "trying again now (1st time): unplugged?"), ("fails", 1.5, "no such device"),
        *(("lost", second, f"trying again in {left} s (2nd time): no such device")
          for second, left in ((1.5, 2), (2.4, 2), (2.6, 1), (3.4, 1))),
    ],
    "an attempt succeeds with its first picture": [*LOST, ("picture", 2), ("live", 2, ""), ("reconnects", 1), ("deadline", 7)],
    "an attempt without an answer is given up": [
        *LOST, ("deadline", 21), ("step", 21 - MS, None), ("step", 21 + MS, "leave"),
        ("lost", 21 + MS, "trying again in 2 s (2nd time): does not answer"),
    ],
    "after less than a minute of health the next loss is the second one": [
        *LOST, ("pictures", 2, 61.5), ("picture", 62 - MS), ("fails", 62.1, "unplugged?"), ("deadline", 64.1),
    ],
    "after a minute of health the next loss is the first one": [
        *LOST, ("pictures", 2, 61.5), ("picture", 62 + MS), ("fails", 62.1, "unplugged?"), ("deadline", 63.1),
    ],
    "health is counted from when it was stale": [
        *LOST, ("pictures", 2, 40), ("picture", 43), ("pictures", 46.1, 103), ("fails", 103, "unplugged?"), ("deadline", 105),
    ],
    "health is counted from when it was frozen": [
        *LOST, ("pictures", 2, 40), ("same", 40.1, 46), ("pictures", 46.1, 103), ("fails", 103, "unplugged?"), ("deadline", 105),
    ],
    "a gap that is a loss does not make the device a slow one": [
        ("pictures", 0, 10), ("fails", 10, "unplugged?"), ("step", 11, "connect"), ("picture", 500), ("picture", 500.1),
        ("stale", 502.2, "no new picture for 2 s"),
    ],
}  # fmt: skip


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
def test_a_device_over_time(script: list[tuple[Any, ...]]) -> None:
    play(*script)


def test_what_may_stand_still_is_frozen_for_ever() -> None:
    frozen = ("frozen", 600, "the same picture for 600 s")
    play(("picture", 0), ("same", 0.1, 600), ("step", 600, None), ("deadline", 605), frozen, may_stand_still=True)


def attempts(patience: Timeouts, count: int) -> tuple[list[float], str]:
    """The seconds waited before each of so many attempts that fail, and what is told of the last one."""
    monitor, now, waits = play(("picture", 0), patience=patience), START, []
    for _ in range(count):
        monitor.failed(now, "unplugged?")
        waits.append(round(monitor.deadline - now, 6))
        now = monitor.deadline
        assert monitor.step(now - MS) is None
        assert monitor.step(now + MS) == "connect"
        now += MS
    return waits, monitor.note(now)


def test_attempts_are_made_after_ever_longer_waits_for_ever() -> None:
    assert attempts(PATIENCE, 8)[0] == [1, 2, 4, 8, 10, 10, 10, 10]


@pytest.mark.parametrize(
    ("count", "words"), [(1, "1st"), (2, "2nd"), (3, "3rd"), (4, "4th"), (11, "11th"), (12, "12th"), (21, "21st"), (111, "111th")]
)
def test_attempts_are_counted(count: int, words: str) -> None:
    assert f"({words} time)" in attempts(replace(PATIENCE, delays=(0.5,)), count)[1]

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator
from contextlib import nullcontext
from types import TracebackType
from typing import Any

import numpy as np
import pytest
import torch

from livecnn.app.live import loops as live
from livecnn.app.live.capture import Capture
from livecnn.app.live.loops import LiveLoop
from livecnn.app.live.stats import Stats
from livecnn.app.plan import Plan
from livecnn.errors import ModelError, SourceError
from livecnn.selection import Selection
from livecnn.sources import Source, SourceOptions
from livecnn.types import Box, ExplanationUpdate, Frame, Image, Patch, Prepared, Scene, Tick
from tests.helpers.failures import after
from tests.helpers.waiting import until

PICTURE = np.zeros((2, 2, 3), np.uint8)
PATCH = Patch(PICTURE, Box(0, 0, 2, 2), Prepared(torch.zeros(1, 1, 2, 2), PICTURE))
OLD, FRESH = -60.0, 3600.0  # seconds from now that a frame is dated: a fresh one is not shown before its tick


class Fed(Source):
    """A camera that gives what the test feeds it: frames, an exception to raise, or None for the end."""

    mirrored = True

    def __init__(self) -> None:
        super().__init__("", SourceOptions())
        self.name = "fed"
        self.closed = False
        self._items: queue.Queue[Frame | Exception | None] = queue.Queue()

    def feed(self, *seqs: int, dated: float = OLD, image: Image = PICTURE) -> None:
        for seq in seqs:
            self._items.put(Frame(image, seq, time.monotonic() + dated))

    def end(self, error: Exception | None = None) -> None:
        self._items.put(error)

    def open(self) -> None:
        pass

    def read(self) -> Frame | None:
        item = self._items.get(timeout=30)
        if isinstance(item, Exception):
            raise item
        return item

    def close(self) -> None:
        self.closed = True


class Entered:
    """Remembers whether it is open, and the frames that it has seen."""

    def __init__(self) -> None:
        self.seen: list[int] = []
        self.open = False

    def __enter__(self) -> Any:
        self.open = True
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.open = False


class Model(Entered):
    """An observer whose passes the test lets through one by one once `gate` is set to a closed semaphore."""

    def __init__(self, error: Exception | None = None, at_start: Exception | None = None) -> None:
        super().__init__()
        self.gate: threading.Semaphore | None = None
        self._error, self._at_start = error, at_start

    def __enter__(self) -> Any:
        if self._at_start is not None:
            raise self._at_start
        return super().__enter__()

    def __call__(self, frame: Frame) -> Tick:
        self.seen.append(frame.seq)
        if self.gate is not None:
            assert self.gate.acquire(timeout=30)
        if self._error is not None:
            raise self._error
        return Tick(frame, PATCH, np.ones(1, np.float32))


class Explaining(Entered):
    """Explanations that the test publishes."""

    def __init__(self) -> None:
        super().__init__()
        self.error: Exception | None = None
        self._newest: tuple[int, ExplanationUpdate | None] = 0, None

    def on_tick(self, tick: Tick) -> None:
        self.seen.append(tick.frame.seq)

    def publish(self) -> ExplanationUpdate:
        findings = ExplanationUpdate(0, Selection(), 0)
        self._newest = self._newest[0] + 1, findings
        return findings

    def newest(self) -> tuple[int, ExplanationUpdate | None]:
        return self._newest


class Rig:
    """A live run of a fed camera and a fake model."""

    def __init__(self, model: Model | None = None, explaining: Explaining | None = None) -> None:
        self.source, self.model, self.explaining = Fed(), model or Model(), explaining or Explaining()
        self.capture = Capture(self.source)
        self.live = LiveLoop(self.capture, self.model, Stats("agg", "cpu"), explaining=explaining)  # type: ignore[arg-type]

    def slow_after(self, *seqs: int) -> threading.Semaphore:
        """Feed and show these frames; from then on the test lets the passes through."""
        for seq in seqs:
            self.source.feed(seq)
            self.show(seq)
        self.model.gate = threading.Semaphore(0)
        return self.model.gate

    def next(self) -> Scene:
        until(self.live.ready)
        return self.live.scene()

    def shown(self) -> tuple[int, int]:
        """Sequence numbers of the frame on show and of the frame that the network's panels show."""
        scene = self.next()
        return scene.frame.seq, scene.tick.frame.seq

    def show(self, seq: int) -> Scene:
        """The first scene from now on in which all is of that frame."""
        scene = self.next()
        while (scene.frame.seq, scene.tick.frame.seq) != (seq, seq):
            scene = self.next()
        return scene

    def rest(self) -> list[tuple[int, int]]:
        """All that is shown until it is over."""
        seqs = []

        def over() -> bool:
            if self.live.ready():
                seqs.append(self.shown())
            return self.live.over

        until(over)
        return seqs

    def captured(self, seq: int) -> None:
        def there() -> bool:
            frame = self.capture.slot.get()[1]
            return frame is not None and frame.seq == seq

        until(there)


@pytest.fixture
def rig() -> Iterator[Rig]:
    rig = Rig()
    with rig.live:
        yield rig
        if rig.model.gate is not None:
            rig.model.gate.release(1000)
        rig.source.end()


def test_nothing_is_ready_before_the_first_tick(rig: Rig) -> None:
    rig.slow_after()
    rig.source.feed(0)
    until(lambda: rig.model.seen == [0])
    assert not rig.live.ready()  # an old picture is there, but nothing for the other panels
    rig.model.gate.release()
    assert rig.shown() == (0, 0)
    assert not rig.live.ready()


def test_a_slow_model_does_not_hold_up_the_picture(rig: Rig) -> None:
    rig.slow_after(0)
    for seq in range(1, 6):
        rig.source.feed(seq)
        assert rig.shown() == (seq, 0)


def test_no_older_frame_follows_a_newer_one(rig: Rig) -> None:
    rig.slow_after(0)
    rig.source.feed(1)
    assert rig.shown() == (1, 0)
    rig.source.feed(2)
    assert rig.shown() == (2, 0)
    rig.source.feed(3, dated=FRESH)
    rig.captured(3)
    rig.model.gate.release()  # frame 1's tick arrives when frame 2 has been shown
    assert rig.shown() == (3, 1)
    rig.model.gate.release()
    assert rig.shown() == (3, 3)


def test_a_fresh_frame_waits_for_its_tick(rig: Rig) -> None:
    rig.slow_after(0)
    rig.source.feed(1, dated=FRESH)
    until(lambda: rig.model.seen == [0, 1])
    assert not rig.live.ready()
    rig.model.gate.release()
    assert rig.shown() == (1, 1)


def test_a_tick_is_shown_with_its_own_frame_while_the_next_is_fresh(rig: Rig) -> None:
    rig.slow_after(0)
    rig.source.feed(1)
    until(lambda: rig.model.seen == [0, 1])
    rig.source.feed(2, dated=FRESH)
    rig.captured(2)
    rig.model.gate.release()
    assert rig.shown() == (1, 1)


def test_frames_that_a_slow_model_missed_are_dropped_not_queued(rig: Rig) -> None:
    rig.slow_after()
    rig.source.feed(0)
    until(lambda: rig.model.seen == [0])
    rig.source.feed(*range(1, 50))
    rig.captured(49)
    rig.model.gate.release(2)
    until(lambda: len(rig.model.seen) == 2)
    assert rig.model.seen == [0, 49]


def test_a_frozen_picture_stays_and_the_present_follows(rig: Rig) -> None:
    rig.source.feed(0)
    assert rig.shown() == (0, 0)
    rig.live.freeze(True)
    assert rig.live.frozen
    rig.source.feed(1, 2, 3)
    rig.live.refresh()
    scene = rig.next()
    assert scene.frame.seq == 0
    assert scene.status.frozen
    until(rig.source._items.empty)  # the camera is drained all the while
    assert not rig.live.ready()
    rig.live.freeze(False)
    rig.source.feed(4)
    scene = rig.next()
    while scene.frame.seq == 0:  # the last of the frozen picture may still be under way
        scene = rig.next()
    assert scene.frame.seq == 4
    assert not scene.status.frozen


def test_looking_back_shows_a_moment_once_more_and_going_on_the_present(rig: Rig) -> None:
    frames = []
    for seq in range(4):
        rig.source.feed(seq)
        frames.append(rig.show(seq).frame)
    rig.live.look_back(frames[1])  # not while it goes on
    assert rig.capture.slot.get()[1] is frames[3]
    rig.live.freeze(True)
    for seq in (1, 2, 0, 3, 1):
        rig.live.look_back(frames[seq])
        assert rig.show(seq).status.frozen
    rig.source.feed(4, 5)
    rig.live.refresh()  # something that the panels ask for has changed: of the same moment
    assert rig.show(1).frame is frames[1]
    until(rig.source._items.empty)
    rig.live.freeze(False)
    assert rig.show(3).frame is frames[3]
    rig.source.feed(6)
    assert not rig.show(6).status.frozen


def test_until_the_present_is_back_the_picture_counts_as_frozen(rig: Rig) -> None:
    rig.source.feed(0)
    past = rig.show(0).frame
    rig.slow_after(1)
    rig.live.freeze(True)
    rig.live.look_back(past)
    until(lambda: rig.model.seen == [0, 1, 0])
    rig.live.freeze(False)
    rig.model.gate.release()
    scene = rig.next()
    while scene.tick.frame is not past:
        scene = rig.next()
    assert scene.status.frozen
    assert not rig.live.frozen
    rig.model.gate.release()
    assert not rig.show(1).status.frozen


def test_another_source_ends_looking_back(rig: Rig) -> None:
    before = rig.source
    before.feed(0)
    past = rig.show(0).frame
    before.feed(1)
    rig.show(1)
    rig.live.freeze(True)
    rig.live.look_back(past)
    rig.show(0)
    rig.source = Fed()
    rig.live.switch(rig.source)
    before.end()
    assert not rig.live.frozen
    rig.show(1)
    rig.source.feed(0)
    assert not rig.show(2).status.frozen  # the count goes on


def test_the_scores_of_a_moment_are_those_of_then() -> None:
    plan = Plan.of(None, (), source="demo")
    rig = Rig(plan.observer(torch.device("cpu")))  # type: ignore[arg-type]
    with plan.source as demo, rig.live:
        pictures = [frame.image for frame, _ in zip(iter(demo.read, None), range(80), strict=False)]
        ticks = []
        for seq, image in enumerate(pictures[30::8]):
            rig.source.feed(seq, image=image)
            ticks.append(rig.show(seq).tick)
        rig.live.freeze(True)
        for tick in reversed(ticks):
            rig.live.look_back(tick.frame)
            again = rig.show(tick.frame.seq).tick
            assert again is not tick
            assert (again.scores == tick.scores).all()
            assert (again.patch.shot == tick.patch.shot).all()
        rig.source.end()
    assert len({int(tick.scores.argmax()) for tick in ticks if tick.scores.any()}) > 1


def test_refresh_passes_the_frame_through_the_network_again(rig: Rig) -> None:
    rig.live.refresh()  # nothing there yet: nothing happens
    rig.source.feed(0)
    first = rig.next()
    rig.live.refresh()
    second = rig.next()
    assert rig.model.seen == [0, 0]
    assert second.tick is not first.tick
    assert second.frame is first.frame


def test_mirrored_as_the_source_wants_it_until_told_otherwise(rig: Rig) -> None:
    rig.source.feed(0)
    assert rig.next().status.mirrored
    rig.live.mirrored = False
    rig.live.refresh()
    assert not rig.next().status.mirrored


def test_it_is_over_when_the_last_frame_was_shown(rig: Rig) -> None:
    rig.source.feed(0, 1)
    rig.source.end()
    assert rig.rest()[-1] == (1, 1)
    assert rig.source.closed
    assert rig.capture.status().state == "ended"


def test_waiting_ends_with_a_tick(rig: Rig) -> None:
    rig.source.feed(0)
    rig.live.wait(timeout=30)
    assert rig.live.ready()


def test_a_source_that_fails_is_told_after_its_last_frame() -> None:
    rig = Rig()
    rig.slow_after()
    rig.source.feed(0)
    rig.source.end(SourceError("camera 0: lost"))
    with rig.live:
        until(lambda: rig.capture.slot.closed and rig.model.seen == [0])
        assert not rig.live.ready()  # the last frame is still on its way through the network
        rig.model.gate.release()
        assert rig.shown() == (0, 0)
        with pytest.raises(SourceError, match="camera 0: lost"):
            rig.rest()
        assert rig.capture.status().state == "lost"


@pytest.mark.parametrize(
    ("model", "frames", "error"),
    [
        (Model(), [], SourceError("fed: ended without a picture")),
        (Model(error=ModelError("weights melted")), [0], ModelError("weights melted")),
        (Model(at_start=ModelError("weights melted")), [0], ModelError("weights melted")),
    ],
    ids=["no picture", "pass", "start"],
)
def test_what_ends_a_loop_is_told(model: Model, frames: list[int], error: Exception) -> None:
    rig = Rig(model)
    rig.source.feed(*frames)
    rig.source.end()
    with rig.live, pytest.raises(type(error), match=str(error)):
        until(lambda: rig.live.over)


@pytest.mark.parametrize("fault", [None, ZeroDivisionError("oops")])
def test_threads_and_hooks_are_gone_afterwards(fault: Exception | None) -> None:
    before = set(threading.enumerate())
    rig = Rig()
    rig.source.feed(0)
    with nullcontext() if fault is None else pytest.raises(ZeroDivisionError, match="oops"), rig.live:
        assert rig.shown() == (0, 0)
        assert rig.model.open
        rig.source.end(fault)
        if fault is not None:
            raise fault
    assert set(threading.enumerate()) == before
    assert not rig.model.open
    assert rig.source.closed


@pytest.fixture
def explained() -> Iterator[Rig]:
    """A live run with explanations."""
    rig = Rig(explaining=Explaining())
    with rig.live:
        yield rig
        rig.source.end()


def test_new_explanations_are_shown_although_the_picture_stands_still(explained: Rig) -> None:
    explained.source.feed(0)
    assert explained.next().findings is None
    assert not explained.live.ready()
    findings = explained.explaining.publish()
    assert explained.next().findings is findings
    assert not explained.live.ready()
    explained.source.feed(1)
    scene = explained.next()
    assert (scene.frame.seq, scene.findings) == (1, findings)
    until(lambda: explained.explaining.seen == [0, 1])


def test_new_explanations_go_along_with_pictures_that_come(explained: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "ALONG", 3600.0)
    explained.source.feed(0)
    explained.next()
    findings = explained.explaining.publish()
    assert not explained.live.ready()
    explained.source.feed(1)
    assert explained.next().findings is findings


def test_explanations_before_the_first_picture_are_not_shown(explained: Rig) -> None:
    explained.explaining.publish()
    assert not explained.live.ready()
    explained.source.feed(0)
    assert explained.next().findings is not None


def test_explanations_that_fail_are_told_at_once(explained: Rig) -> None:
    explained.source.feed(0)
    explained.explaining.error = ModelError("weights melted")
    with pytest.raises(ModelError, match="weights melted"):
        explained.live.ready()


@pytest.mark.parametrize("fault", [None, ZeroDivisionError("oops")])
def test_explaining_begins_and_ends_with_the_loops(fault: Exception | None, monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig(explaining=Explaining())
    if fault is None:
        with rig.live:
            assert rig.explaining.open
            rig.source.end()
    else:
        monkeypatch.setattr(Capture, "start", after(0, fault, Capture.start))
        with pytest.raises(ZeroDivisionError, match="oops"):
            rig.live.__enter__()
    assert not rig.explaining.open

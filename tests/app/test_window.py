"""The window's logic, on a canvas without a toolkit; tests/integration/windows drives real windows."""

import signal
import sys
import time
import types
from collections.abc import Callable, Iterator

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.backend_bases import CloseEvent, KeyEvent, MouseEvent, ResizeEvent, TimerBase
from matplotlib.backends.backend_agg import FigureCanvasAgg

from livecnn.app.screen.figure import FigureView
from livecnn.app.toolkit.backend import new_manager
from livecnn.app.window import CoalescingTimer, Window
from livecnn.errors import SourceError, UsageError
from livecnn.types import Scene
from tests.helpers import scenes


class Timer(TimerBase):
    """Fires when the test says so."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        self.running = False

    def _timer_start(self) -> None:
        self.running = True

    def _timer_stop(self) -> None:
        self.running = False

    def fire(self) -> None:
        if self.running:
            self._on_timer()


class Canvas(FigureCanvasAgg):
    """A window that nobody sees. Its event loop fires the timer and plays a script: one action a round, then it ends."""

    script: Iterator[Callable[[], object]] = iter(())

    def new_timer(self, interval: int | None = None, callbacks: object = None) -> Timer:
        self.timer = Timer(interval, callbacks)
        return self.timer

    def start_event_loop(self, timeout: float = 0) -> None:
        self.looping = True
        self.draw()
        while self.looping:
            next(self.script)()
            self.timer.fire()

    def stop_event_loop(self) -> None:
        self.looping = False


class Live:
    """Loops of which the test says what is new."""

    def __init__(self, scene: Scene) -> None:
        self.over = False
        self.waiting = 1
        self.refreshed = 0
        self.error: Exception | None = None
        self.scenes = 0
        self._scene = scene

    def refresh(self) -> None:
        self.refreshed += 1

    def ready(self) -> bool:
        if self.error is not None:
            raise self.error
        return self.waiting > 0

    def scene(self) -> Scene:
        self.waiting = max(0, self.waiting - 1)
        self.scenes += 1
        return self._scene


class Rig:
    """A window around a small screen, with a script of what happens to it."""

    def __init__(self) -> None:
        layout = scenes.layout({"cam": {"kind": "camera"}, "conv": {"kind": "feature_maps", "layer": "conv"}}, "cam conv")
        self.screen = FigureView(layout, scenes.context())
        self.live = Live(scenes.scene(self.screen))
        self.worked: list[float] = []
        self.pressed: list[str] = []
        self.clicked: list[tuple[float, float, bool]] = []
        self.window = Window(self.screen, self.live, "silent", self.worked.append)  # type: ignore[arg-type]
        self.window.controls = types.SimpleNamespace(  # type: ignore[assignment]
            press=self.pressed.append,
            point=lambda x, y, *, right, **_held: self.clicked.append((x, y, right)),
            poll=lambda: None,
            close=lambda: self.pressed.append("closed"),
        )
        self.canvas: Canvas = self.screen.figure.canvas  # type: ignore[assignment]

    def run(self, *script: Callable[[], object]) -> None:
        self.canvas.script = iter(script)
        self.window.run()

    def click(self, x: float = 1, y: float = 1) -> Callable[[], object]:
        """Click there, in pixels from the bottom left."""
        return lambda: MouseEvent("button_press_event", self.canvas, x, y, button=1)._process()

    def key(self, key: str) -> Callable[[], object]:
        return lambda: KeyEvent("key_press_event", self.canvas, key)._process()


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    module = types.ModuleType("backend_silent")
    module.FigureCanvas = Canvas  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "livecnn.app.toolkit.silent", module)
    with mpl.rc_context():
        yield Rig()


def nothing() -> None:
    pass


def test_a_tick_is_drawn_when_there_is_something_new(rig: Rig) -> None:
    shown = []
    rig.run(nothing, lambda: shown.append(rig.screen.pixels()), nothing, rig.window.quit)
    assert rig.live.scenes == len(rig.worked) == 1  # later polls found nothing new
    assert rig.worked[0] > 0
    still = FigureView(rig.screen.layout, scenes.context())
    still.draw()
    assert not np.array_equal(shown[0], still.pixels())


def test_every_new_tick_is_drawn(rig: Rig) -> None:
    rig.live.waiting = 5
    rig.run(*[nothing] * 7, rig.window.quit)
    assert len(rig.worked) == 5


def test_the_first_full_draw_has_the_panels(rig: Rig) -> None:
    pictures = []
    rig.run(nothing, lambda: (pictures.append(rig.screen.pixels()), rig.window.redraw(), pictures.append(rig.screen.pixels())),
            rig.window.quit)  # fmt: skip
    np.testing.assert_array_equal(pictures[0], pictures[1])


def test_a_message_comes_and_goes_though_nothing_moves(rig: Rig) -> None:
    pictures = []
    keep = lambda: pictures.append(rig.screen.pixels())  # noqa: E731

    def expire() -> None:
        rig.screen.toast._until = time.monotonic()

    rig.run(nothing, keep, lambda: rig.screen.say("saved x.png", 60), keep, expire, keep, rig.window.quit)
    assert rig.live.scenes == 3
    assert not np.array_equal(pictures[0], pictures[1])
    np.testing.assert_array_equal(pictures[0], pictures[2])


def test_a_message_before_the_first_tick_waits_for_it(rig: Rig) -> None:
    rig.live.waiting = 0
    rig.run(lambda: rig.screen.say("hello"), nothing, rig.window.quit)
    assert rig.live.scenes == 0


def test_keys_and_clicks_reach_the_controls(rig: Rig) -> None:
    height = rig.screen.figure.bbox.height
    rig.run(nothing, rig.key("v"), rig.key("q"), rig.click(10, height - 20), rig.window.quit)
    assert rig.pressed == ["v", "q", "closed"]
    assert rig.clicked == [(10, 20, False)]


def test_keys_of_matplotlib_itself_are_off(rig: Rig) -> None:
    assert [key for key, value in mpl.rcParams.items() if key.startswith("keymap.") and value] == []


def test_a_new_size_is_a_new_pass_through_the_network(rig: Rig) -> None:
    rig.run(nothing, lambda: ResizeEvent("resize_event", rig.canvas)._process(), rig.window.quit)
    assert rig.live.refreshed == 1


def test_closing_the_window_ends_it(rig: Rig) -> None:
    rig.run(nothing, lambda: CloseEvent("close_event", rig.canvas)._process(), nothing, nothing)


def test_it_ends_after_the_last_tick_that_was_asked_for(rig: Rig) -> None:
    rig.live.waiting = 5
    rig.window._after_tick = lambda _: rig.live.scenes == 3
    rig.run(*[nothing] * 4)
    assert rig.live.scenes == 3


def test_it_ends_when_the_source_is_over(rig: Rig) -> None:
    rig.run(nothing, lambda: setattr(rig.live, "over", True), nothing)
    assert not rig.canvas.timer.running


def failing(error: BaseException) -> Callable[..., None]:
    def fail(*_: object) -> None:
        raise error

    return fail


@pytest.mark.parametrize("place", ["ready", "show", "draw", "after_tick", "key", "click"])
def test_an_exception_anywhere_closes_the_window(rig: Rig, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fail = failing(SourceError("it broke"))
    act: dict[str, Callable[[], object]] = {"key": rig.key("v"), "click": rig.click()}
    rig.live.waiting = 100
    if place == "ready":
        rig.live.error = SourceError("it broke")
    elif place == "show":
        monkeypatch.setattr(rig.screen.drawers["conv"], "show", fail)
    elif place == "draw":
        act["draw"] = lambda: monkeypatch.setattr(rig.screen.stage, "draw", fail)
    elif place == "after_tick":
        rig.window._after_tick = fail
    else:
        rig.window.controls = types.SimpleNamespace(  # type: ignore[assignment]
            press=fail, point=lambda *_, **__: fail(), poll=lambda: None, close=lambda: None
        )
    with pytest.raises(SourceError, match="it broke"):
        rig.run(nothing, act.get(place, nothing), nothing, nothing)
    assert not rig.canvas.timer.running


def test_the_first_of_two_exceptions_is_told(rig: Rig) -> None:
    def both() -> None:
        rig.window._fail(SourceError("the cause"))
        rig.window._fail(ZeroDivisionError("a consequence"))

    with pytest.raises(SourceError, match="the cause"):
        rig.run(nothing, both)


def test_ctrl_c_ends_it_and_the_handler_is_put_back(rig: Rig) -> None:
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        rig.run(nothing, lambda: signal.raise_signal(signal.SIGINT), nothing)
    assert signal.getsignal(signal.SIGINT) is before


def test_ctrl_c_before_the_loop_begins(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    def show() -> None:
        rig.canvas.draw()
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(rig.window.manager, "show", show)
    with pytest.raises(KeyboardInterrupt):
        rig.run()


def test_fullscreen_from_the_start(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    toggled: list[bool] = []
    monkeypatch.setattr(rig.window.manager, "full_screen_toggle", lambda: toggled.append(True))
    rig.canvas.script = iter([nothing, rig.window.quit])
    rig.window.run(fullscreen=True)
    assert toggled == [True]


def test_the_timer_asks_often_and_fires_seldom() -> None:
    base, ready, failures = Timer(), iter([False, True, False, True]), []
    calls: list[str] = []
    seconds: list[float] = []
    timer = CoalescingTimer(base, lambda: next(ready), seconds.append, failures.append, lambda: False)
    one, two = (lambda: calls.append("one")), (lambda: calls.append("two"))
    timer.add_callback(one)
    timer.add_callback(two)
    timer.start()
    base.fire()
    assert calls == []
    base.fire()
    assert calls == ["one", "two"]
    timer.remove_callback(one)
    base.fire()
    base.fire()
    assert calls == ["one", "two", "two"]
    assert len(seconds) == 2
    base.fire()  # nothing left to say: the exception is handed on, the toolkit never sees it
    assert isinstance(failures[0], StopIteration)
    timer.stop()
    assert not base.running


def test_a_window_that_goes_away_in_the_middle_of_a_tick_is_no_error() -> None:
    base, seconds, failures = Timer(), list[float](), list[BaseException]()
    gone = list[bool]()
    timer = CoalescingTimer(base, lambda: True, seconds.append, failures.append, lambda: bool(gone))

    def draw() -> None:
        gone.append(True)
        timer.end()  # as the close event does
        timer.start()  # as the animation does after a resize
        raise AttributeError("no canvas")

    timer.add_callback(draw)
    timer.start()
    base.fire()
    assert (seconds, failures) == ([], [])
    timer.start()
    assert not base.running


def test_a_tick_that_fails_while_the_window_is_there_is_an_error() -> None:
    base, failures = Timer(), list[BaseException]()
    timer = CoalescingTimer(base, lambda: True, lambda _: None, failures.append, lambda: False)

    def draw() -> None:
        timer.stop()  # as the animation does before it draws anew for a resize
        raise AttributeError("no canvas")

    timer.add_callback(draw)
    timer.start()
    base.fire()
    assert isinstance(failures[0], AttributeError)


def test_a_display_that_does_not_answer(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPLAY", ":77")
    monkeypatch.setattr(Canvas, "new_manager", failing(RuntimeError("Invalid DISPLAY variable")))
    with pytest.raises(UsageError, match="no window on display :77: Invalid DISPLAY variable; --headless runs without one"):
        new_manager(rig.screen.figure, "silent")

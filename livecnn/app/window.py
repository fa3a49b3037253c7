"""Show a screen in a window: matplotlib's own, in Qt or else in Tk, with a FuncAnimation that ticks when there is news."""

import time
from collections.abc import Callable, Hashable
from typing import Any

import matplotlib as mpl
from matplotlib.animation import FuncAnimation
from matplotlib.artist import Artist
from matplotlib.backend_bases import MouseButton, MouseEvent, TimerBase

from livecnn.app.controls.controller import Controls
from livecnn.app.live.loops import LiveLoop
from livecnn.app.screen.figure import FigureView
from livecnn.app.toolkit.backend import new_manager
from livecnn.signals import raise_on_signals

POLL = 3  # milliseconds between two questions whether there is something new; it costs some microseconds


class CoalescingTimer:
    """Event source of the animation: it asks often and fires only when there is something to show.

    FuncAnimation's own timer fires at an interval counted from the end of the last tick, and redraws whether or not anything
    has changed; this one leaves the pace to the source and costs next to nothing while nothing moves.
    """

    def __init__(
        self,
        timer: TimerBase,
        ready: Callable[[], bool],
        done: Callable[[float], None],
        failed: Callable[[BaseException], None],
        gone: Callable[[], bool],
    ) -> None:
        """Prepare the timer; `done` gets the seconds of a tick until its pixels were on the window, `failed` every exception."""
        self.interval = POLL  # FuncAnimation sets it; the poll interval stays
        self._timer, self._ready, self._done, self._failed, self._gone = timer, ready, done, failed, gone
        self._callbacks: list[Callable[[], Any]] = []
        self._over = False
        timer.add_callback(self._poll)

    def add_callback(self, callback: Callable[[], Any]) -> None:
        """Call a function at each tick."""
        self._callbacks.append(callback)

    def remove_callback(self, callback: Callable[[], Any]) -> None:
        """Call it no more."""
        self._callbacks.remove(callback)

    def start(self) -> None:
        """Start ticking."""
        if not self._over:  # the animation starts its event source again after every resize
            self._timer.start()

    def stop(self) -> None:
        """Stop ticking."""
        self._timer.stop()

    def end(self) -> None:
        """Stop for ever."""
        self._over = True
        self.stop()

    def _fire(self) -> bool:
        """Tick; return False if the toolkit closed the window, and took the canvas away, in the middle of it."""
        try:
            for callback in list(self._callbacks):
                callback()
        except Exception:
            if self._gone():
                return False
            raise
        return True

    def _poll(self) -> bool:
        # Toolkits swallow an exception in a callback or freeze on it; it is kept, and raised when the window has closed.
        try:
            if not self._gone() and self._ready():
                start = time.perf_counter()
                if self._fire():
                    self._done(time.perf_counter() - start)
        except BaseException as error:
            self._failed(error)
        return True


class Window:
    """Show a screen until the window is closed, `quit` is called, or something fails; on the main thread."""

    controls: Controls  # to be set before `run`

    def __init__(self, screen: FigureView, live: LiveLoop, toolkit: str, after_tick: Callable[[float], bool | None]) -> None:
        """Open the window; `after_tick` is called with the seconds of a tick whose pixels are on it, and closes it with True."""
        self.screen, self.live, self._after_tick = screen, live, after_tick
        self._state: Hashable = None  # of the screen when it was last drawn
        self._closed = False
        self._error: BaseException | None = None
        # A key that means something here must not also open matplotlib's own dialogues.
        mpl.rcParams.update({key: [] for key in mpl.rcParams if key.startswith("keymap.")})
        mpl.rcParams["toolbar"] = "None"
        self.manager = new_manager(screen.figure, toolkit)
        self.manager.set_window_title("livecnn")
        self._canvas = canvas = screen.figure.canvas
        canvas.mpl_connect("key_press_event", self._guarded(lambda event: self.controls.press(event.key)))
        canvas.mpl_connect("button_press_event", self._guarded(self._press))
        canvas.mpl_connect("button_release_event", self._guarded(lambda _: self.controls.lift()))
        canvas.mpl_connect("motion_notify_event", self._guarded(lambda event: self.controls.drag(*self._place(event))))
        canvas.mpl_connect("scroll_event", self._guarded(lambda event: self.controls.turn(*self._place(event), event.step)))
        # The panels ask for grids that fit them; while the picture is frozen nothing else would pass it through once more.
        canvas.mpl_connect("resize_event", self._guarded(lambda _: self.live.refresh()))
        screen.failed = self._fail
        canvas.mpl_connect("close_event", self._close)
        self._timer = CoalescingTimer(canvas.new_timer(interval=POLL), self._something_new, self._done, self._fail, self._gone)

    def run(self, *, fullscreen: bool = False) -> None:
        """Block until the window is closed; raise whatever ended it, KeyboardInterrupt included."""
        self._animation = FuncAnimation(
            self.screen.figure,
            self._tick,
            init_func=lambda: [self.screen.stage],
            blit=True,
            cache_frame_data=False,
            interval=POLL,
            event_source=self._timer,
        )
        try:
            # Toolkits end differently on Ctrl-C, and Tk may print a KeyboardInterrupt and go on.
            with raise_on_signals(self._fail):
                self.manager.show()
                if fullscreen:
                    self.toggle_fullscreen()
                if self._error is None:
                    self._canvas.start_event_loop()
        finally:
            self._timer.end()
            self.controls.close()
            if not self._closed:  # Tk would stumble over a second time
                self.manager.destroy()
        if self._error is not None:
            raise self._error

    def redraw(self) -> None:
        """Draw everything anew, what stands still as well."""
        self.screen.canvas.draw()

    def resize(self, width: int, height: int) -> None:
        """Make the picture so many pixels of the screen wide and high."""
        ratio = self.screen.canvas.device_pixel_ratio
        self.manager.resize(round(width / ratio), round(height / ratio))

    def toggle_fullscreen(self) -> None:
        """Fill the screen, or go back."""
        self.manager.full_screen_toggle()

    def quit(self) -> None:
        """Close the window; `run` then returns."""
        self._timer.end()
        self._canvas.stop_event_loop()

    def _gone(self) -> bool:
        """Return whether the window is closed; Tk takes the canvas from the figure some time before it says so."""
        return self._closed or self.screen.figure.canvas is not self._canvas

    def _something_new(self) -> bool:
        if self.live.over:
            self.quit()
            return False
        self.controls.poll()
        return self.live.ready() or (self.screen.scene is not None and self._state != self.screen.state)

    def _done(self, seconds: float) -> None:
        if self._after_tick(seconds):
            self.quit()

    def _tick(self, _frame: int) -> list[Artist]:
        self._state = self.screen.state
        self.screen.show(self.live.scene())
        return [self.screen.stage]

    def _press(self, event: MouseEvent) -> None:
        held = {key: key in event.modifiers for key in ("ctrl", "shift")}
        right, double = event.button == MouseButton.RIGHT, bool(event.dblclick)
        self.controls.point(*self._place(event), right=right, double=double, **held)

    def _place(self, event: MouseEvent) -> tuple[float, float]:
        """Return the place of the mouse in device pixels from the top left."""
        return event.x, self.screen.figure.bbox.height - event.y

    def _close(self, _event: object) -> None:
        self._closed = True
        self.quit()

    def _guarded(self, handler: Callable[[Any], None]) -> Callable[[Any], None]:
        def guarded(event: Any) -> None:
            try:
                handler(event)
            except BaseException as error:
                self._fail(error)

        return guarded

    def _fail(self, error: BaseException) -> None:
        self._error = self._error or error
        self.quit()

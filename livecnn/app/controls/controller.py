"""Carry out what keys and the mouse say. A host does what only a window can do; the toolkit is not known here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from livecnn.app.controls.background import FileWatcher, LiveRecording, SourceSwitcher
from livecnn.app.controls.explorer_controller import SelectionController
from livecnn.app.keys import ACTIONS
from livecnn.app.live.loops import LiveLoop
from livecnn.app.plan import Plan, input_box_share
from livecnn.app.screen.figure import FigureView
from livecnn.errors import LivecnnError
from livecnn.io.files import free_path, write_png
from livecnn.layout.layout import Layout
from livecnn.panels.base.spec import COLORMAPS
from livecnn.panels.base.targets import ButtonTarget
from livecnn.selection import Action

BOX_STEP = 0.05


class ControlsHost(Protocol):
    """The services that only a window has."""

    def redraw(self) -> None:
        """Draw everything anew, what stands still as well."""

    def resize(self, width: int, height: int) -> None:
        """Make the picture so many pixels of the screen wide and high."""

    def toggle_fullscreen(self) -> None:
        """Fill the screen, or go back."""

    def quit(self) -> None:
        """Close the window."""


class Controls:
    """Carries out every Action and what the mouse does; `poll` looks for what comes by itself."""

    def __init__(self, live: LiveLoop, screen: FigureView, host: ControlsHost, plan: Plan, film: LiveRecording) -> None:
        self._live, self._screen, self._host, self._film = live, screen, host, film
        self._plan = plan
        self._desk = SourceSwitcher(live, lambda source: input_box_share(self._plan.layout, source))
        self._watch = FileWatcher(plan.files)
        self.explorer = SelectionController(live, screen)
        self._sorted_by: int | None = None
        self._note = ""

    def press(self, key: str | None) -> None:
        """Carry out a key, by matplotlib's name for it; while a note is written all keys go into it."""
        key = key or ""
        if self.explorer.typed is not None:
            self.explorer.type(key)
            return
        key = key.lower() if len(key) == 1 else key  # with caps lock on, too
        if key in ACTIONS:
            self.act(ACTIONS[key], key)

    def act(self, action: Action, argument: str = "") -> None:
        """Do what a key or a word of a panel stands for; for `argument` see Action, most ignore it."""
        explorer = self.explorer
        carry_out: dict[Action, Callable[[], None]] = {
            Action.FREEZE: self._freeze,
            Action.SORT: lambda: self._sort(int(argument)),
            Action.NEXT_VIEW: self._next_view,
            Action.NEXT_COLORMAP: self._next_colormap,
            Action.GROW_BOX: lambda: self._resize_box(BOX_STEP),
            Action.SHRINK_BOX: lambda: self._resize_box(-BOX_STEP),
            Action.NEXT_CAMERA: lambda: self._screen.say(self._desk.next_camera()),
            Action.PAD: lambda: self._screen.say(self._desk.toggle_pad()),
            Action.CLEAR_PAD: self._clear_pad,
            Action.MIRROR: self._mirror,
            Action.SNAPSHOT: self._snapshot,
            Action.RECORD: self._record,
            Action.FULLSCREEN: self._host.toggle_fullscreen,
            Action.HELP: self._help,
            Action.QUIT: self._host.quit,
            Action.NEXT_LAYER: lambda: explorer.change_layer(1),
            Action.PREVIOUS_LAYER: lambda: explorer.change_layer(-1),
            Action.RIGHT: lambda: explorer.step(1, 0),
            Action.LEFT: lambda: explorer.step(-1, 0),
            Action.DOWN: lambda: explorer.step(0, 1),
            Action.UP: lambda: explorer.step(0, -1),
            Action.NEXT_PAGE: lambda: explorer.turn_page(1),
            Action.PREVIOUS_PAGE: lambda: explorer.turn_page(-1),
            Action.NEXT_ORDER: explorer.next_order,
            Action.GRID_METHOD: explorer.grid_method,
            Action.NEXT_METHOD: explorer.next_method,
            Action.MORE_METHODS: explorer.more_methods,
            Action.PIN_CLASS: explorer.pin_class,
            Action.MUTE: explorer.mute,
            Action.RESTORE: explorer.restore,
            Action.FOLD: explorer.fold,
            Action.MARK_MODE: explorer.mark_mode,
            Action.MARK_GOOD: lambda: explorer.mark("good"),
            Action.MARK_BAD: lambda: explorer.mark("bad"),
            Action.UNMARK: lambda: explorer.mark(None),
            Action.WRITE_NOTE: explorer.write_note,
            Action.EARLIER: lambda: explorer.step_in_time(-1),
            Action.LATER: lambda: explorer.step_in_time(1),
            Action.CHOOSE_METHOD: lambda: explorer.choose_method(argument),
            Action.TOGGLE_METHOD: lambda: explorer.toggle_method(argument),
            Action.CHOOSE_SHOTS: lambda: explorer.choose_shots(argument),
        }
        carry_out[action]()

    def poll(self) -> None:
        """Look for what has happened meanwhile: a layout was saved, another source has opened, a film is finished."""
        news = self._desk.poll() or self._film.news() or self._device_news()
        if news:
            self._screen.say(news)
        self._screen.mark.since = self._film.since  # a full disk ends a film, too
        if self._watch.changed():
            self._reread()

    def close(self) -> None:
        """Give back what was opened here."""
        self._desk.close()

    def point(
        self, x: float, y: float, *, right: bool = False, ctrl: bool = False, shift: bool = False, double: bool = False
    ) -> None:
        """Press a button of the mouse at device pixels from the top left: choose what is there, or draw; the right one erases."""
        for place, name in self._screen.header.tabs:
            if place.contains(x, y):
                self.show_view(next(view for view in self._plan.views if view.name == name))
                return
        place_in_frame = self._screen.frame_at(x, y)
        target = None if right else self._screen.point(x, y)
        if isinstance(target, ButtonTarget):
            self.act(target.action, target.argument)
        elif target is not None:
            self.explorer.click(target, ctrl=ctrl, shift=shift, double=double)
        elif self._desk.pad is not None and place_in_frame is not None:
            self._desk.pad.press(*place_in_frame, erase=right)

    def drag(self, x: float, y: float) -> None:
        """Move the mouse, whether or not a button is down."""
        self.explorer.hover(self._screen.point(x, y))
        if self._desk.pad is not None:
            place = self._screen.frame_at(x, y)
            if place is None:
                self._desk.pad.release()  # else coming back elsewhere would draw a line
            else:
                self._desk.pad.move(*place)

    def lift(self) -> None:
        """Let the button go."""
        if self._desk.pad is not None:
            self._desk.pad.release()

    def turn(self, x: float, y: float, steps: float) -> None:
        """Turn the wheel at device pixels from the top left, away from the user where steps > 0."""
        if self._screen.scroll(x, y, steps):
            self._live.refresh()
        elif self._screen.pages_at(x, y):
            self.explorer.turn_page(-1 if steps > 0 else 1)
        elif self._desk.pad is not None:
            self._screen.say(f"pen: {self._desk.pad.thicker(1 if steps > 0 else -1)} pixels", 1.5)

    def _freeze(self) -> None:
        self._live.freeze(not self._live.frozen)
        self.explorer.forget_moment()
        self._live.refresh()

    def _sort(self, index: int) -> None:
        """Choose a class, and sort neurons by their weight to it; once more: none."""
        classes = self._screen.context.classes
        if index >= len(classes):
            self._screen.say(f"no class {index}: there are {len(classes)}")
            return
        explores = self._screen.explores
        wanted = None if index == (self.explorer.focus.target if explores else self._screen.sorted_by) else index
        if explores:
            self.explorer.choose_class(wanted)
        if self._screen.sort_by(wanted):
            self._sorted_by = wanted
            self._changed()
        elif not explores:
            self._screen.say("nothing to sort: this view shows no neurons with weights to the classes")

    def _next_view(self) -> None:
        views = self._plan.views
        if len(views) < 2:
            self._screen.say("this layout names no other views")
            return
        names = [view.name for view in views]
        here = names.index(self._screen.layout.name) if self._screen.layout.name in names else -1
        self.show_view(views[(here + 1) % len(names)])

    def show_view(self, layout: Layout) -> None:
        """Open a view."""
        self._screen.open(layout)
        self._screen.prompt.write("")
        self.explorer.typed = None
        if self._sorted_by is not None:
            self._screen.sort_by(self._sorted_by)
        self._changed()

    def _next_colormap(self) -> None:
        """Show all maps in the next colours, after the last as the layout has them."""
        shown = {drawer.colormap for drawer in self._screen.drawers.values() if drawer.has_maps}
        if not shown:
            self._screen.say("this view shows no maps")
            return
        choices = (None, *COLORMAPS)
        later = choices[choices.index(self._screen.colormap) + 1 :]
        chosen = next((name for name in later if shown != {name}), None)
        self._screen.colormap = chosen
        self._screen.say(f"colours: {chosen or 'as the layout has them'}", 1.5)
        if chosen is None:
            self.show_view(self._screen.layout)
        else:
            self._changed()

    def _resize_box(self, step: float) -> None:
        self._screen.say(self._live.observer.cropper.resize(step), 1.5)
        self._live.refresh()

    def _clear_pad(self) -> None:
        if self._desk.pad is None:
            self._screen.say("c clears the sheet that you draw on; key p brings it")
        else:
            self._desk.pad.clear()

    def _mirror(self) -> None:
        self._live.mirrored = not self._live.mirrored
        self._live.refresh()

    def _snapshot(self) -> None:
        path = free_path(self._film.folder, ".png")
        try:
            write_png(path, self._screen.pixels())
            self._screen.say(f"saved {path}")
        except LivecnnError as error:
            self._screen.say(str(error))

    def _record(self) -> None:
        try:
            if self._film.since is None:
                self._film.start()
            else:
                self._film.stop()
        except LivecnnError as error:
            self._screen.say(str(error))
        self._screen.mark.since = self._film.since
        self._live.refresh()

    def _help(self) -> None:
        overlay = self._screen.help
        overlay.set_visible(not overlay.get_visible())
        self._live.refresh()

    def _device_news(self) -> str:
        """Return, once, that the GPU has failed."""
        before, self._note = self._note, self._live.observer.note
        return self._note if self._note != before else ""

    def _reread(self) -> None:
        """Show a layout that was saved; while something is wrong with it, the old one stays and the window says what."""
        before = self._plan.layout
        try:
            self._plan = plan = self._plan.reread()
        except LivecnnError as error:
            self._screen.banner.write(str(error))
            return
        self._watch.follow(plan.files)
        self._screen.banner.write("")
        self._screen.views = tuple(view.name for view in plan.views)
        if plan.layout.box != before.box:
            box, share = plan.layout.box, input_box_share(plan.layout, self._live.capture.source)
            self._live.observer.cropper.settle(share, box.finder, box.margin)
        if plan.layout.focus != before.focus:
            self.explorer.mute_only(())
            self.explorer.attend(plan.focus)
        if plan.layout.figure.size != before.figure.size:
            self._host.resize(*plan.layout.figure.size)
        here = next((view for view in plan.views if view.path == self._screen.layout.path), plan.layout)
        self.show_view(here)
        self._screen.say(f"{here.path.name}: read anew", 2.0)

    def _changed(self) -> None:
        """Draw everything anew and ask the network for what the panels want now."""
        self._host.redraw()
        self.explorer.follow()

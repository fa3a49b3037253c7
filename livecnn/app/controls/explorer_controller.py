"""Carry out keys and mouse in the explorer: selection, muted units, marks and notes, moments of the past."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from livecnn.analysis.annotations.store import Annotations, Verdict
from livecnn.app.live.loops import LiveLoop
from livecnn.app.screen.figure import FigureView
from livecnn.engine.reducers import Reducer
from livecnn.errors import LivecnnError
from livecnn.explain.methods import kinds, method_class
from livecnn.panels.base.targets import ClassTarget, GroupTarget, LayerTarget, Target, TimePoint
from livecnn.selection import INPUT, ORDERS, OUTPUT, Selection, Unit
from livecnn.types import Frame

T = TypeVar("T")

NO_EXPLORER = "nothing of the network can be chosen in this view; the explorer can (key v)"
MOST_METHODS = 3  # side by side
BRIEF = 1.5  # seconds that a message stays


class SelectionController:
    """Carries out the explorer's actions, and the mouse on layers and units.

    Attributes:
        typed: The text of a note that is being written; None if none is.
    """

    def __init__(self, live: LiveLoop, screen: FigureView) -> None:
        self._live, self._screen = live, screen
        self._session = screen.context.session
        self._watched: Mapping[str, Reducer] = screen.reducers
        self.typed: str | None = None
        self._looked: Frame | None = None  # the moment that was last asked for

    @property
    def focus(self) -> Selection:
        """Return the current selection."""
        return self._screen.focus

    def attend(self, focus: Selection) -> None:
        """Look at something else."""
        if focus != self.focus:
            self._screen.attend(focus)
            self.follow()

    def follow(self) -> None:
        """Make the loops do what the panels want now."""
        reducers = self._screen.reducers
        if not _same(reducers, self._watched):
            self._watched = reducers
            self._live.observer.watch(reducers)
        self._screen.ask(self._live.explaining)
        self._live.refresh()

    def hover(self, target: Target | None) -> None:
        """Move the mouse over something else."""
        self.attend(replace(self.focus, hover=target if isinstance(target, Unit) and target.layer == self.focus.layer else None))

    def click(self, target: Target, *, ctrl: bool, shift: bool, double: bool) -> None:
        """Press the mouse on a layer, unit, group, class or moment."""
        match target:
            case Unit(layer, index):
                self._click_unit(layer, index, ctrl=ctrl, shift=shift, double=double)
            case LayerTarget(name):
                self.attend(self.focus.at_layer(name))
            case GroupTarget(name):
                self._fold(name)
            case ClassTarget(index):
                self.choose_class(None if index == self.focus.target else index)
            case TimePoint(time):
                self._look_back(time)

    def _click_unit(self, layer: str, index: int, *, ctrl: bool, shift: bool, double: bool) -> None:
        if ctrl:
            self._toggle_mute(layer, index)
            return
        self.attend(replace(self.focus.at_layer(layer), unit=index))
        if self.focus.marking:
            self.mark(None if shift else "bad" if double else "good")

    def change_layer(self, by: int) -> None:
        """Go to another layer."""
        if self._explores():
            names = [INPUT, *(node.name for node in self._screen.context.architecture().nodes), OUTPUT]
            here = names.index(self.focus.layer)
            self.attend(self.focus.at_layer(names[min(max(here + by, 0), len(names) - 1)]))

    def step(self, across: int, down: int) -> None:
        """Go to a unit beside the present one."""
        stepped = (drawer.step(self.focus.unit, across, down) for drawer in self._screen.drawers.values())
        unit = next((unit for unit in stepped if unit is not None), None)
        if unit is None:
            self._screen.say("there are no units here to choose from" if self._explores() else NO_EXPLORER, BRIEF)
        else:
            self.attend(replace(self.focus, unit=unit, hover=None))

    def turn_page(self, by: int) -> None:
        """Go to other units of the layer."""
        pages = (drawer.turn_page(by) for drawer in self._screen.drawers.values())
        page = next((page for page in pages if page is not None), None)
        if page is not None:
            self.attend(replace(self.focus, page=page, hover=None))
        elif self._explores():
            self._screen.say("all of this layer is on show", BRIEF)

    def next_order(self) -> None:
        """Order the units of the grid in the next way."""
        if self._explores():
            order = _after(ORDERS, self.focus.order)
            self.attend(replace(self.focus, order=order, page=0))
            self._screen.say(f"units by {order}", BRIEF)

    def grid_method(self) -> None:
        """Show the grid by the next method."""
        if self._explores():
            methods = {kind: method_class(kind) for kind in sorted(kinds())}
            fit = [kind for kind, method in methods.items() if method.of_units and method.quick]
            self.attend(replace(self.focus, grid=_after(fit, self.focus.grid)))
            self._screen.say(f"the grid: {self.focus.grid.replace('_', ' ')}", BRIEF)

    def next_method(self) -> None:
        """Put another method in the last place."""
        if self._explores():
            *kept, last = self.focus.methods
            self.attend(replace(self.focus, methods=(*kept, _after(self._methods_beside(kept), last))))

    def more_methods(self) -> None:
        """Show one method more; after the third, one again."""
        if self._explores():
            shown = self.focus.methods
            more = (*shown, self._methods_beside(shown)[0]) if len(shown) < MOST_METHODS else shown[:1]
            self.attend(replace(self.focus, methods=more))

    def choose_method(self, kind: str) -> None:
        """Put the next method in the place of this one."""
        shown = self.focus.methods
        others = self._methods_beside([each for each in shown if each != kind])
        self.attend(replace(self.focus, methods=tuple(_after(others, kind) if each == kind else each for each in shown)))

    def toggle_method(self, kind: str) -> None:
        """Show a method or not; one always stays, and of four the first goes."""
        shown = self.focus.methods
        if kind not in shown:
            self.attend(replace(self.focus, methods=(*shown, kind)[-MOST_METHODS:]))
        elif len(shown) > 1:
            self.attend(replace(self.focus, methods=tuple(each for each in shown if each != kind)))

    def _methods_beside(self, taken: Iterable[str]) -> list[str]:
        return [kind for kind in sorted(kinds()) if kind not in set(taken)]

    def choose_shots(self, place: str) -> None:
        """Show the strongest images of the "collection" or of the "session"."""
        self.attend(replace(self.focus, collection=place == "collection"))

    def choose_class(self, index: int | None) -> None:
        """Choose a class; None for the one that the network predicts."""
        self.attend(replace(self.focus, target=index))
        if self._screen.explores:
            self._screen.say("class: as predicted" if index is None else f"class: {self._screen.context.classes[index]}", BRIEF)

    def pin_class(self) -> None:
        """Keep the predicted class chosen, or let go."""
        if self._explores():
            scene = self._screen.scene
            pinned = self.focus.target is not None or scene is None or scene.tick.patch.prepared.empty
            self.choose_class(None if pinned or scene is None else int(scene.tick.scores.argmax()))

    def mute(self) -> None:
        """Mute the unit, or let it work again."""
        if self._explores():
            self._toggle_mute(self.focus.layer, self.focus.unit)

    def _toggle_mute(self, layer: str, index: int) -> None:
        try:
            self.mute_only(self._session.muted.units ^ {(layer, index)})
        except LivecnnError as error:  # the network itself may have to refuse
            self._screen.say(str(error))

    def mute_only(self, units: Collection[tuple[str, int]]) -> None:
        """Mute these units and no others; raise ModelError if the network cannot."""
        version = self._session.muted.version
        self._live.observer.mute(units)
        if self._session.muted.version != version:
            self._screen.attend(self.focus)
            self.follow()

    def restore(self) -> None:
        """Let all units work again."""
        count = len(self._session.muted.units)
        self.mute_only(())
        self._screen.say(f"{count} units work again" if count else "no unit is muted", BRIEF)

    def fold(self) -> None:
        """Fold or unfold the group of the layer."""
        if self._explores():
            self._fold(self.focus.layer)

    def _fold(self, name: str) -> None:
        for drawer in self._screen.drawers.values():
            drawer.fold(name)
        self.follow()

    def mark_mode(self) -> None:
        """Annotate with the mouse, or not."""
        if self._annotations() is not None:
            marking = not self.focus.marking
            self.attend(replace(self.focus, marking=marking))
            words = "annotating: click is good, double click bad, Shift + click neither; key a ends it"
            self._screen.say(words if marking else "clicks choose units again")

    def mark(self, verdict: Verdict | None) -> None:
        """Mark the unit as good or bad; None for neither."""
        annotations = self._annotations()
        if annotations is not None:
            self._kept(lambda: annotations.mark(self.focus.layer, self.focus.unit, verdict), verdict or "neither")

    def write_note(self) -> None:
        """Begin a note to the unit."""
        annotations = self._annotations()
        if annotations is not None:
            self.typed = annotations.of(self.focus.layer, self.focus.unit).note
            self._ask()

    def type(self, key: str) -> None:
        """Press a key while a note is being written: Enter keeps it, Esc leaves the old one."""
        annotations = self._annotations()
        if annotations is None or self.typed is None:
            return
        text, self.typed = self.typed, None
        if key == "enter":
            self._kept(lambda: annotations.note(self.focus.layer, self.focus.unit, text.strip()), "note kept")
        elif key != "escape":
            self.typed = text[:-1] if key == "backspace" else text + key if len(key) == 1 else text
        self._ask()

    def _ask(self) -> None:
        where = f"{self.focus.layer} {self.focus.unit}"
        self._screen.prompt.write("" if self.typed is None else f"note to {where}: {self.typed}▏   Enter keeps it, Esc leaves it")
        self._live.refresh()

    def _kept(self, write: Callable[[], None], told: str) -> None:
        try:
            write()
            self._screen.say(f"{self.focus.layer} {self.focus.unit}: {told}", BRIEF)
        except LivecnnError as error:
            self._screen.say(str(error))
        self._live.refresh()

    def _annotations(self) -> Annotations | None:
        if not self._explores():
            return None
        if self.focus.layer in (INPUT, OUTPUT):
            self._screen.say("units of layers can be annotated; choose one", BRIEF)
            return None
        return self._session.annotations

    def step_in_time(self, by: int) -> None:
        """Show an earlier or a later moment."""
        if not self._explores():
            return
        scene, past = self._screen.scene, self._session.past
        if scene is None or past is None or not self._live.frozen:
            self._screen.say("freeze the picture first (space), then look back", BRIEF)
            return
        now = (self._looked or scene.tick.frame).time  # what is asked for may not be on show yet
        frame = past.before(now) if by < 0 else past.after(now)
        if frame is not None:
            self._show_past(frame)
        elif by < 0:
            self._screen.say("nothing before that is kept", BRIEF)
        elif present := self._live.come_back():
            self._looked = present
        else:
            self._screen.say("that is the newest picture", BRIEF)

    def forget_moment(self) -> None:
        """Begin to look back anew at what is on show."""
        self._looked = None

    def _look_back(self, time: float) -> None:
        frame = None if self._session.past is None else self._session.past.at(time)
        if frame is not None:
            self._live.freeze(True)
            self._show_past(frame)

    def _show_past(self, frame: Frame) -> None:
        self._looked = frame
        self._live.look_back(frame)

    def _explores(self) -> bool:
        if not self._screen.explores:
            self._screen.say(NO_EXPLORER, BRIEF)
        return self._screen.explores


def _after(choices: Sequence[T], present: T) -> T:
    """Return the next of the choices, after the last one the first."""
    return choices[(choices.index(present) + 1) % len(choices)] if present in choices else choices[0]


def _same(ours: Mapping[str, Reducer], theirs: Mapping[str, Reducer]) -> bool:
    return ours.keys() == theirs.keys() and all(ours[name] is theirs[name] for name in ours)

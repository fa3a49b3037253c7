"""Explanations beside the loops: what panels ask, of the newest tick, on threads of their own that mostly rest."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from threading import Condition, Thread
from typing import Any, TypeAlias, TypeVar

import numpy as np
import torch
from torch import nn

from livecnn.engine.engine import on_device
from livecnn.errors import LivecnnError, ModelError, UsageError
from livecnn.explain.base import (
    ForwardPass,
    activation_of,
    class_objective,
    detached_input,
    layer_gradient,
    set_gradients,
    to_array,
)
from livecnn.explain.methods import method_class
from livecnn.explain.methods.occlusion import COARSEST, Occlusion
from livecnn.networks.bundle import Bundle
from livecnn.networks.device import copy_sharing_weights
from livecnn.networks.inspection.ablation import Ablation
from livecnn.networks.outputs import Output
from livecnn.selection import INPUT, OUTPUT, Ask, MutedUnits, Selection, Unit
from livecnn.types import ExplanationUpdate, Floats, PreferredInput, Tick

T = TypeVar("T")


@dataclass(frozen=True)
class Refused:
    """Stands where an explanation would be that cannot be had; `reason` is one short line for the user."""

    reason: str


ENDS = {
    INPUT: Refused("the input has no units; choose a layer"),
    OUTPUT: Refused("the scores are no layer; choose one"),
}
REFINEMENTS = COARSEST.bit_length()  # of occlusion: patches 8, 4, 2 strides and 1 stride apart
DUTIES = {"explain": 0.5, "occlusion": 0.1, "preferred": 0.15}  # of a core, by thread, so that the loops do not feel it
LONG = 0.1  # seconds of work after which a change of focus is not kept waiting
DWELL = 0.3  # seconds that a unit stays selected before its preferred input is looked for
EVERY = 4  # steps of that search between two pictures
KEPT = 64  # of its results
FIRST = 8  # units of a grid that are explained together until it is known how long that takes
REST = 0.004  # seconds; shorter ones are saved up
LAST_STEP = 5.0  # seconds that the end waits for a step that is under way

CPU = torch.device("cpu")

# Of the network, a layer and a unit, step by step; the last has `step` == `steps`.
Dreaming: TypeAlias = Callable[[nn.Module, str, int], Iterator[PreferredInput]]
# Maps float32 (C, H, W), or of a grid (U, C, H, W); of occlusion with how far it is, 0..1, of contributions with the score.
Answer: TypeAlias = Floats | tuple[Floats, float] | PreferredInput | Refused
Answers: TypeAlias = Mapping[str, Answer]  # by kind of method, or by what was asked for


def copy_to_explain(module: nn.Module) -> nn.Module:
    """Copy the network over the same weights: one that explains must run nothing else. Raises ModelError."""
    try:
        return copy_sharing_weights(module)
    except Exception as error:  # whatever a network holds that cannot be copied
        reason = str(error).partition("\n")[0]
        raise ModelError(f"explanations need a copy of the network: {type(error).__name__}: {reason}") from error


class LiveExplainer:
    """Explains inputs by one network, in a `with` and on one thread; no other may run the network meanwhile.

    Answers are arrays on the host or, where a method cannot be used, the reason in a line. A reason that lies in the network
    or the layer is remembered.
    """

    def __init__(self, module: nn.Module, output: Output | None = None) -> None:
        self.module, self._output = module, output
        self._ablation = Ablation(module)
        self._ablated: frozenset[tuple[str, int]] = frozenset()
        self._methods: dict[tuple[str, str], Any] = {}
        self._refused: dict[tuple[str, str], Refused] = {}

    def __enter__(self) -> LiveExplainer:
        self._ablation.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._ablation.__exit__(None, None, None)

    def mute(self, units: Collection[tuple[str, int]]) -> None:
        """Explain the network without these units from now on. Raises ModelError."""
        if self._ablated != units:
            self._ablation.set(units)
            self._ablated = frozenset(units)
            self._refused.clear()

    def picture(self, kind: str, x: torch.Tensor, unit: Unit, target: int) -> Floats | Refused:
        """Explain the unit or, by a method of classes, the class `target`: float32 (C, H, W) or (1, H, W)."""

        def explain() -> Floats:
            method = self._method(kind, unit.layer)
            wanted: dict[str, Any] = {"units": [unit.index]} if method.of_units else {"target": target}
            return to_array(method.explain(x, **wanted)[0])

        return self.run_or_refuse(kind, unit.layer, explain)

    def pictures(self, kind: str, x: torch.Tensor, layer: str, units: Sequence[int]) -> Floats | Refused:
        """Explain units of a layer: float32 (U, C, H, W) or (U, 1, H, W)."""

        def explain() -> Floats:
            method = self._method(kind, layer)
            if not method.of_units:
                raise UsageError(f"{kind} explains classes, not units")
            return to_array(method.explain(x, units))

        return self.run_or_refuse(kind, layer, explain)

    def contributions(self, x: torch.Tensor, layer: str, target: int) -> tuple[Floats, float] | Refused:
        """Return what each unit adds to the score of a class before a softmax, float32 (units,), and that score.

        To first order: the sum over positions of a ds/da, where a are the unit's activations and s is the score. One pass
        forward and one back serve all units. Where the score is linear in the layer, as after the last hidden one, they sum up
        to the score without the bias.
        """

        def explain() -> tuple[Floats, float]:
            forward: ForwardPass = self._made("contributions", layer, lambda: ForwardPass(self.module, layer, self._output))
            with set_gradients():
                seen = forward(detached_input(x).requires_grad_().clone())
                activation = activation_of(seen, (), layer)
                score = class_objective(seen, target)(seen).sum()
                slopes = layer_gradient(seen, score, "contributions need", layer)
            products = activation.detach()[0] * slopes[0]
            return to_array(products.flatten(1).sum(1) if products.ndim > 1 else products), score.item()

        return self.run_or_refuse("contributions", layer, explain)

    def refine(self, x: torch.Tensor, unit: Unit) -> Iterator[tuple[Floats, float] | Refused]:
        """Yield occlusion from coarse to fine, float32 (1, H, W), each with its progress, 0..1."""

        def refine() -> Iterator[torch.Tensor]:
            method: Occlusion = self._method("occlusion", unit.layer)
            return method.refine(x, [unit.index])

        for done, found in enumerate(self.steps("occlusion", unit.layer, refine), 1):
            yield found if isinstance(found, Refused) else (to_array(found[0]), done / REFINEMENTS)

    def steps(self, kind: str, layer: str, make: Callable[[], Iterator[T]]) -> Iterator[T | Refused]:
        """Yield all that an iterator gives as `run_or_refuse` does; a refusal is the last."""
        given = self.run_or_refuse(kind, layer, make)
        while not isinstance(given, Refused):
            found = self.run_or_refuse(kind, layer, partial(next, given, None))
            if found is None:
                return
            yield found
            if isinstance(found, Refused):
                return
        yield given

    def run_or_refuse(self, kind: str, layer: str, explain: Callable[[], T]) -> T | Refused:
        """Return what `explain` returns or why it is refused. Whatever the network raises, the program goes on."""
        known = ENDS.get(layer) or self._refused.get((kind, layer))
        if known is not None:
            return known
        try:
            return explain()
        except Exception as error:
            reason = Refused(_reason(kind, error))
            if not isinstance(error, UsageError):  # which lies in the unit or the class
                self._refused[kind, layer] = reason
            return reason

    def _method(self, kind: str, layer: str) -> Any:
        return self._made(kind, layer, lambda: method_class(kind)(self.module, layer, self._output))

    def _made(self, kind: str, layer: str, make: Callable[[], Any]) -> Any:
        """Make something once for a layer, as it may have to trace the network."""
        if (kind, layer) not in self._methods:
            self._methods[kind, layer] = make()
        return self._methods[kind, layer]


def _reason(kind: str, error: Exception) -> str:
    """Describe an error in one short line, without the method's name."""
    line = str(error).partition("\n")[0].removeprefix(f"{kind} ")
    return line if isinstance(error, LivecnnError) else f"{type(error).__name__}: {line}"


class RequestSuperseded(BaseException):
    """The work is not wanted any more. It is no Exception, so that no network or method catches it."""


class WorkerStopped(BaseException):
    """The threads are to end. It is no Exception either."""


@dataclass(frozen=True)
class ExplainRequest:
    """A request for explanations: `units` are those of the grid, `muted` those that are muted meanwhile."""

    focus: Selection = field(default_factory=Selection)
    asks: frozenset[Ask] = frozenset()
    units: tuple[int, ...] = ()
    muted: frozenset[tuple[str, int]] = frozenset()

    @property
    def methods(self) -> tuple[str, ...]:
        """Return the methods that explain the unit and take work."""
        return tuple(kind for kind in self.focus.methods if kind != "activation") if "unit" in self.asks else ()

    @property
    def grid(self) -> str:
        """Return the method of the grid if it takes work, else ""."""
        return self.focus.grid if "grid" in self.asks and self.focus.grid != "activation" and self.units else ""

    @property
    def answer_names(self) -> tuple[str, ...]:
        """Return the names of all answers that there may be."""
        asked = [ask for ask in ("contributions", "preferred") if ask in self.asks]
        return (*self.methods, *(["grid"] if self.grid else []), *asked)

    def cache_key(self, what: str, target: int = 0) -> Hashable:
        """Return what the answer of that name depends on; `target` is the class."""
        focus = self.focus
        of: dict[str, Hashable] = {
            "occlusion": focus.unit_shown.index,
            "grid": (focus.grid, self.units),
            "contributions": target,
            "preferred": focus.unit,
        }
        return focus.layer, self.muted, of.get(what, (focus.unit_shown.index, target))

    def key_if_asked(self, what: str) -> Hashable:
        """Return the same, None if that answer is not asked for."""
        return self.cache_key(what) if what in self.answer_names else None

    def findings(self, seq: int, target: int, answers: Answers) -> ExplanationUpdate:
        """Put the answers together."""
        refused = {what: answer.reason for what, answer in answers.items() if isinstance(answer, Refused)}
        given: dict[str, Any] = {what: answer for what, answer in answers.items() if what not in refused}
        if "grid" in refused:
            refused.setdefault(self.grid, refused.pop("grid"))
        progress = {}
        if "occlusion" in given:
            given["occlusion"], progress["occlusion"] = given["occlusion"]
        grid, (contributions, logit) = given.get("grid"), given.get("contributions", (None, None))
        return ExplanationUpdate(
            seq,
            self.focus,
            target,
            {kind: given[kind] for kind in self.methods if kind in given},
            refused,
            progress,
            () if grid is None else self.units[: len(grid)],
            grid,
            contributions,
            logit,
            given.get("preferred"),
        )


class WorkerState:
    """The meeting point of threads and loops: the newest wish, tick and answers."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._answers: dict[str, tuple[Hashable, Any]] = {}  # each with what it is about
        self._explained = -1, 0  # number of the frame, class
        self._newest: tuple[int, ExplanationUpdate | None] = 0, None
        self._over = False
        self.wish = ExplainRequest()
        self.tick: Tick | None = None  # the newest with something in the box
        self.passes = 0  # number of all ticks, with something in the box or without
        self.error: Exception | None = None  # what ended the threads

    def want(self, wish: ExplainRequest) -> None:
        """Note what is to be explained."""
        with self._changed:
            self.wish = wish
            self._changed.notify_all()

    def passed(self, tick: Tick) -> None:
        """Note that a frame went through the network."""
        with self._changed:
            self.passes += 1
            if not tick.patch.prepared.empty:
                self.tick = tick
            self._changed.notify_all()

    def put(self, wish: ExplainRequest, answers: Answers, explained: tuple[int, int] | None = None) -> None:
        """Publish answers to a wish; `explained` is the frame's number and the class of the quick ones."""
        with self._changed:
            self._explained = seq, target = explained or self._explained
            self._answers |= {what: (wish.cache_key(what, target), answer) for what, answer in answers.items()}
            found = {what: self.answer(self.wish, what) for what in self.wish.answer_names}
            told = self.wish.findings(seq, target, {what: answer for what, answer in found.items() if answer is not None})
            self._newest = self._newest[0] + 1, told

    def answer(self, wish: ExplainRequest, what: str) -> Any:
        """Return the newest answer if it is about what is wished, else None."""
        about, answer = self._answers.get(what, (None, None))
        return answer if about == wish.cache_key(what, self._explained[1]) else None

    def newest(self) -> tuple[int, ExplanationUpdate | None]:
        """Return how often there was something new, and all that is known of the newest wish."""
        with self._changed:
            return self._newest

    def wait(self, ready: Callable[[], object], timeout: float | None = None) -> bool:
        """Wait until `ready()`; return False after `timeout` seconds. Raises WorkerStopped."""
        with self._changed:
            found = self._changed.wait_for(lambda: self._over or ready(), timeout)
            if self._over:
                raise WorkerStopped
            return bool(found)

    def end(self, error: Exception | None = None) -> None:
        """End the threads, because of an error if one is given."""
        with self._changed:
            self._over = True
            self.error = self.error or error
            self._changed.notify_all()


class Throttle:
    """Keeps a thread from working too much; call it often, as before every pass of its network.

    `duty` is the share of its time that it may work; `wanted` is asked every time whether to go on.
    """

    def __init__(self, board: WorkerState, duty: float) -> None:
        self._board, self._duty = board, duty
        self.wanted: Callable[[], object] = lambda: True
        self._since = time.thread_time()

    def __call__(self, *_: object) -> None:
        """Rest for what was worked since the last rest. Raises RequestSuperseded, WorkerStopped."""
        rest = (time.thread_time() - self._since) * (1 / self._duty - 1)
        if self._board.wait(lambda: not self.wanted(), rest if rest > REST else 0):
            raise RequestSuperseded
        if rest > REST:
            self._since = time.thread_time()


class ExplainWorker:
    """Explanations of the newest tick; in the `with` the threads "explain", "occlusion" and "preferred" run.

    The first answers what is quick, for every tick that it can keep up with. Occlusion is refined from coarse to fine on one
    tick, then on the newest. The preferred input of the selected unit is found step by step, by `dream`, and remembered. All
    are of the network without its muted units. While nothing is in the box, the last findings stay. Raises ModelError if the
    network cannot be copied.
    """

    def __init__(
        self, bundle: Bundle, dream: Dreaming | None = None, device: torch.device = CPU, muted: MutedUnits | None = None
    ) -> None:
        module = on_device(bundle.module, device)
        # Passes of one and the same must not overlap.
        self._explainers = {name: LiveExplainer(copy_to_explain(module), bundle.output) for name in DUTIES}
        works = {"explain": self._explain, "occlusion": self._occlude, "preferred": self._prefer}
        self._threads = [Thread(target=self._run, args=job, name=job[0], daemon=True) for job in works.items()]
        self._dream, self._device = dream, device
        self._muted = MutedUnits() if muted is None else muted
        self._board = WorkerState()
        self._done: dict[str, Any] = {}  # by thread, what it did last
        self._dreamt: dict[Hashable, PreferredInput | Refused] = {}  # by what it is about, the oldest first
        self._together: dict[tuple[str, str], int] = {}  # units of a grid, by method and layer
        self._last: ExplanationUpdate | None = None

    @property
    def error(self) -> Exception | None:
        """Return what ended the threads before their time."""
        return self._board.error

    def want(self, focus: Selection, asks: Collection[Ask], units: Sequence[int] = ()) -> None:
        """Ask for something from now on, from any thread; `units` are those of the grid."""
        wish = ExplainRequest(focus, frozenset(asks), tuple(units), self._muted.units)
        if wish != self._board.wish:
            self._board.want(wish)

    def on_tick(self, tick: Tick) -> None:
        """Note a tick, from any thread."""
        self._board.passed(tick)

    def newest(self) -> tuple[int, ExplanationUpdate | None]:
        """Return a number that grows with everything new, and what is known so far of all that is asked for."""
        return self._board.newest()

    def now(self, tick: Tick) -> ExplanationUpdate:
        """Answer everything for this tick on this thread: the same ticks give the same bytes."""
        wish, explainer, target = self._board.wish, self._explainers["explain"], _target(self._board.wish, tick)
        if tick.patch.prepared.empty:
            return self._last or wish.findings(tick.frame.seq, target, {})
        with explainer:
            explainer.mute(wish.muted)
            x = self._input(tick)
            answers = _quick(explainer, wish, x, target)
            if "occlusion" in wish.methods:
                *_, answers["occlusion"] = explainer.refine(x, wish.focus.unit_shown)
            if wish.grid:
                answers["grid"] = explainer.pictures(wish.grid, x, wish.focus.layer, wish.units)
            if "preferred" in wish.asks:
                for answers["preferred"] in self._dreams(explainer, wish):
                    pass
        self._last = wish.findings(tick.frame.seq, target, answers)
        return self._last

    def __enter__(self) -> ExplainWorker:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End the threads, once or twice; wait for a step that is under way, within reason."""
        self._board.end()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(LAST_STEP)
        torch.set_num_threads(torch.get_num_threads())  # a new thread starts with what was last set by any

    def _run(self, name: str, work: Callable[[LiveExplainer, Throttle], None]) -> None:
        board, explainer = self._board, self._explainers[name]
        pace = Throttle(board, DUTIES[name])
        hook = explainer.module.register_forward_pre_hook(pace)
        try:
            with explainer:
                board.wait(lambda: board.passes)  # by now the model's thread has counted on all cores
                torch.set_num_threads(1)
                while True:
                    try:
                        work(explainer, pace)
                    except RequestSuperseded:
                        self._done.pop(name, None)  # what was there before may be wanted again
                    pace.wanted = lambda: True
        except WorkerStopped:
            pass
        except Exception as error:
            board.end(error)
        finally:
            hook.remove()

    def _explain(self, explainer: LiveExplainer, pace: Throttle) -> None:
        """Do one round of what is quick, and the grid."""
        board = self._board
        board.wait(lambda: board.tick and board.wish.asks and self._done.get("explain") != (board.wish, board.tick))
        wish, tick = self._done["explain"] = board.wish, board.tick
        assert tick is not None
        start = time.thread_time()
        pace.wanted = lambda: board.wish is wish or time.thread_time() - start < LONG
        explainer.mute(wish.muted)
        x, target = self._input(tick), _target(wish, tick)
        board.put(wish, _quick(explainer, wish, x, target), (tick.frame.seq, target))
        if wish.grid:
            self._fill_grid(explainer, pace, wish, x)
        pace()

    def _fill_grid(self, explainer: LiveExplainer, pace: Throttle, wish: ExplainRequest, x: torch.Tensor) -> None:
        """Explain in short parts, from where a round was given up; units of an earlier tick stay meanwhile."""
        about = wish.grid, wish.focus.layer
        before = self._board.answer(wish, "grid")
        grid = before if isinstance(before, np.ndarray) else None
        done = 0 if grid is None else len(grid) % len(wish.units)
        while done < len(wish.units):
            size, start = self._together.get(about, FIRST), time.thread_time()
            part = explainer.pictures(wish.grid, x, wish.focus.layer, wish.units[done : done + size])
            if isinstance(part, Refused):
                self._board.put(wish, {"grid": part})
                return
            taken = max(time.thread_time() - start, LONG / 2)
            if len(part) == size or taken > LONG:
                self._together[about] = max(1, round(len(part) * LONG / taken))
            after = done + len(part)
            grid = part if grid is None else np.concatenate([grid[:done], part, grid[after:]])
            done = after
            self._board.put(wish, {"grid": grid})
            pace()

    def _occlude(self, explainer: LiveExplainer, pace: Throttle) -> None:
        """Refine one tick from coarse to fine."""
        board = self._board

        def due() -> bool:
            wanted = board.wish.key_if_asked("occlusion")
            return bool(board.tick and wanted) and self._done.get("occlusion") != (wanted, board.tick)

        board.wait(due)
        wish, tick = board.wish, board.tick
        assert tick is not None
        wanted = wish.key_if_asked("occlusion")
        pace.wanted = lambda: board.wish.key_if_asked("occlusion") == wanted
        explainer.mute(wish.muted)
        for answer in explainer.refine(self._input(tick), wish.focus.unit_shown):
            board.put(wish, {"occlusion": answer})
            pace()
        self._done["occlusion"] = wanted, tick

    def _prefer(self, explainer: LiveExplainer, pace: Throttle) -> None:
        """Find the preferred input of a unit that has stayed selected."""
        board = self._board
        board.wait(lambda: board.wish.key_if_asked("preferred") not in (None, self._done.get("preferred")))
        wish = board.wish
        wanted = wish.key_if_asked("preferred")
        if wanted not in self._dreamt and board.wait(lambda: board.wish.key_if_asked("preferred") != wanted, DWELL):
            return
        pace.wanted = lambda: board.wish.key_if_asked("preferred") == wanted
        for answer in self._dreams(explainer, wish):
            board.put(wish, {"preferred": answer})
            pace()
        self._done["preferred"] = wanted

    def _dreams(self, explainer: LiveExplainer, wish: ExplainRequest) -> Iterator[PreferredInput | Refused]:
        """Yield every few steps, and the last, which is remembered."""
        about, layer, unit, dream = wish.cache_key("preferred"), wish.focus.layer, wish.focus.unit, self._dream
        if about in self._dreamt:
            yield self._dreamt[about]
        elif dream is not None:
            explainer.mute(wish.muted)
            for found in explainer.steps("preferred", layer, lambda: dream(explainer.module, layer, unit)):
                if isinstance(found, Refused) or found.step == found.steps:
                    self._dreamt[about] = found
                    if len(self._dreamt) > KEPT:
                        del self._dreamt[next(iter(self._dreamt))]
                elif found.step % EVERY:
                    continue
                yield found

    def _input(self, tick: Tick) -> torch.Tensor:
        prepared = tick.patch.prepared
        with torch.no_grad():
            x = prepared.tensor.to(self._device)
            return x if prepared.device_transform is None else prepared.device_transform(x)


def _target(wish: ExplainRequest, tick: Tick) -> int:
    return int(tick.scores.argmax()) if wish.focus.target is None else wish.focus.target


def _quick(explainer: LiveExplainer, wish: ExplainRequest, x: torch.Tensor, target: int) -> dict[str, Answer]:
    """Answer all but what takes its time."""
    focus = wish.focus
    answers: dict[str, Answer] = {
        kind: explainer.picture(kind, x, focus.unit_shown, target) for kind in wish.methods if kind != "occlusion"
    }
    if "contributions" in wish.asks:
        answers["contributions"] = explainer.contributions(x, focus.layer, target)
    return answers

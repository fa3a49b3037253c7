"""Explanations beside the loops: what panels ask, of the newest tick, on threads of their own that mostly rest."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Hashable, Iterator, Sequence
from threading import Thread
from types import TracebackType
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import nn

from livecnn.engine.engine import on_device
from livecnn.explain.live.explainer import LiveExplainer, copy_to_explain
from livecnn.explain.live.worker_state import Answer, ExplainRequest, RequestSuperseded, Throttle, WorkerState, WorkerStopped
from livecnn.explain.results import Refused
from livecnn.networks.bundle import Bundle
from livecnn.selection import Ask, MutedUnits, Selection
from livecnn.types import ExplanationUpdate, PreferredInput, Tick

DUTIES = {"explain": 0.5, "occlusion": 0.1, "preferred": 0.15}  # of a core, by thread, so that the loops do not feel it
LONG = 0.1  # seconds of work after which a change of focus is not kept waiting
DWELL = 0.3  # seconds that a unit stays selected before its preferred input is looked for
EVERY = 4  # steps of that search between two pictures
KEPT = 64  # of its results
FIRST = 8  # units of a grid that are explained together until it is known how long that takes
LAST_STEP = 5.0  # seconds that the end waits for a step that is under way

CPU = torch.device("cpu")

# Of the network, a layer and a unit, step by step; the last has `step` == `steps`.
Dreaming: TypeAlias = Callable[[nn.Module, str, int], Iterator[PreferredInput]]


class ExplainWorker:
    """Explanations of the newest tick; in the `with` the threads "explain", "occlusion" and "preferred" run.

    The first answers what is quick, for every tick that it can keep up with. Occlusion is refined from coarse to fine on one
    tick, then on the newest. The preferred input of the selected unit is found step by step, by `dream`, and remembered. All
    are of the network without its muted units. While nothing is in the box, the last findings stay.

    device: where the network is explained. muted: the units that are muted.
    Raises ModelError for a network that cannot be copied.
    """

    def __init__(
        self, bundle: Bundle, dream: Dreaming | None = None, device: torch.device = CPU, muted: MutedUnits | None = None
    ) -> None:
        module = on_device(bundle.module, device)
        self._explainers = {
            name: LiveExplainer(copy_to_explain(module)) for name in DUTIES
        }  # passes of one and the same must not overlap
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
        """What ended the threads before their time."""
        return self._board.error

    def want(self, focus: Selection, asks: Collection[Ask], units: Sequence[int] = ()) -> None:
        """What is asked for from now on; from any thread. units: those of which the grid shows a picture each."""
        wish = ExplainRequest(focus, frozenset(asks), tuple(units), self._muted.units)
        if wish != self._board.wish:
            self._board.want(wish)

    def on_tick(self, tick: Tick) -> None:
        """The network has seen something; from any thread."""
        self._board.passed(tick)

    def newest(self) -> tuple[int, ExplanationUpdate | None]:
        """A number that grows with everything new, and what is known of all that is asked for; parts may still be missing."""
        return self._board.newest()

    def now(self, tick: Tick) -> ExplanationUpdate:
        """All that is asked for, of this tick, to the end and on this thread: the same ticks give the same bytes."""
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

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        """Idempotent; a step that is under way is waited for, within reason."""
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
        """One round of what is quick, and the grid."""
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
        """In parts that do not take long, and on from where a round was given up; units of an earlier tick stay meanwhile."""
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
        """One tick, from coarse to fine."""
        board = self._board

        def about(wish: ExplainRequest) -> Hashable:
            return wish.cache_key("occlusion") if "occlusion" in wish.methods else None

        board.wait(lambda: board.tick and about(board.wish) and self._done.get("occlusion") != (about(board.wish), board.tick))
        wish, tick = board.wish, board.tick
        assert tick is not None
        wanted = about(wish)
        pace.wanted = lambda: about(board.wish) == wanted
        explainer.mute(wish.muted)
        for answer in explainer.refine(self._input(tick), wish.focus.unit_shown):
            board.put(wish, {"occlusion": answer})
            pace()
        self._done["occlusion"] = wanted, tick

    def _prefer(self, explainer: LiveExplainer, pace: Throttle) -> None:
        """One unit, once it has stayed the selected one."""
        board = self._board

        def about(wish: ExplainRequest) -> Hashable:
            return wish.cache_key("preferred") if "preferred" in wish.asks else None

        board.wait(lambda: about(board.wish) not in (None, self._done.get("preferred")))
        wish = board.wish
        wanted = about(wish)
        if wanted not in self._dreamt and board.wait(lambda: about(board.wish) != wanted, DWELL):
            return
        pace.wanted = lambda: about(board.wish) == wanted
        for answer in self._dreams(explainer, wish):
            board.put(wish, {"preferred": answer})
            pace()
        self._done["preferred"] = wanted

    def _dreams(self, explainer: LiveExplainer, wish: ExplainRequest) -> Iterator[PreferredInput | Refused]:
        """Every few steps, and the last, which is remembered."""
        about, layer, unit, dream = wish.cache_key("preferred"), wish.focus.layer, wish.focus.unit, self._dream
        if about in self._dreamt:
            yield self._dreamt[about]
        elif dream is not None:
            explainer.mute(wish.muted)
            for found in explainer.steps("preferred", layer, lambda: dream(explainer.module, layer, unit)):
                if isinstance(found, Refused) or found.step == found.steps:
                    self._remember(about, found)
                elif found.step % EVERY:
                    continue
                yield found

    def _remember(self, about: Hashable, found: PreferredInput | Refused) -> None:
        self._dreamt[about] = found
        if len(self._dreamt) > KEPT:
            del self._dreamt[next(iter(self._dreamt))]

    def _input(self, tick: Tick) -> torch.Tensor:
        prepared = tick.patch.prepared
        with torch.no_grad():
            x = prepared.tensor.to(self._device)
            return x if prepared.device_transform is None else prepared.device_transform(x)


def _target(wish: ExplainRequest, tick: Tick) -> int:
    return int(tick.scores.argmax()) if wish.focus.target is None else wish.focus.target


def _quick(explainer: LiveExplainer, wish: ExplainRequest, x: torch.Tensor, target: int) -> dict[str, Answer]:
    """Answers to all but what takes its time."""
    focus = wish.focus
    answers: dict[str, Answer] = {
        kind: explainer.picture(kind, x, focus.unit_shown, target) for kind in wish.methods if kind != "occlusion"
    }
    if "contributions" in wish.asks:
        answers["contributions"] = explainer.contributions(x, focus.layer, target)
    return answers

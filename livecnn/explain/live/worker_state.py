"""Where the threads that explain meet the loops: what is asked for, of which tick, what was found, and when to rest."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from threading import Condition
from typing import Any, TypeAlias

from livecnn.explain.results import Refused
from livecnn.selection import Ask, Selection
from livecnn.types import ExplanationUpdate, Floats, PreferredInput, Tick

REST = 0.004  # seconds; shorter ones are saved up

# Maps float32 (C, H, W), or of a grid (U, C, H, W); of occlusion with how far it is, 0..1, of contributions with the score.
Answer: TypeAlias = Floats | tuple[Floats, float] | PreferredInput | Refused
Answers: TypeAlias = Mapping[str, Answer]  # by kind of method, or by what was asked for


class RequestSuperseded(BaseException):
    """What is being worked on is not wanted any more. No error: whatever a network or a method catches, this goes through."""


class WorkerStopped(BaseException):
    """The threads are to end; the same."""


@dataclass(frozen=True)
class ExplainRequest:
    """What is asked for. units: of which the grid shows a picture each. muted: units that are muted meanwhile."""

    focus: Selection = field(default_factory=Selection)
    asks: frozenset[Ask] = frozenset()
    units: tuple[int, ...] = ()
    muted: frozenset[tuple[str, int]] = frozenset()

    @property
    def methods(self) -> tuple[str, ...]:
        """Those of the unit that have to be worked out."""
        return tuple(kind for kind in self.focus.methods if kind != "activation") if "unit" in self.asks else ()

    @property
    def grid(self) -> str:
        """The method of the grid, if it has to be worked out, else ""."""
        return self.focus.grid if "grid" in self.asks and self.focus.grid != "activation" and self.units else ""

    @property
    def answer_names(self) -> tuple[str, ...]:
        """Names of all answers that there may be."""
        asked = [ask for ask in ("contributions", "preferred") if ask in self.asks]
        return (*self.methods, *(["grid"] if self.grid else []), *asked)

    def cache_key(self, what: str, target: int = 0) -> Hashable:
        """What the answer of that name has to be about; target: the class, for what depends on it."""
        focus = self.focus
        of: dict[str, Hashable] = {
            "occlusion": focus.unit_shown.index,
            "grid": (focus.grid, self.units),
            "contributions": target,
            "preferred": focus.unit,
        }
        return focus.layer, self.muted, of.get(what, (focus.unit_shown.index, target))

    def findings(self, seq: int, target: int, answers: Answers) -> ExplanationUpdate:
        """The answers put together."""
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
    """The newest of everything. tick: the newest with something in the box; passes: how many there were, with or without."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._answers: dict[str, tuple[Hashable, Any]] = {}  # each with what it is about
        self._explained = -1, 0  # number of the frame, class
        self._newest: tuple[int, ExplanationUpdate | None] = 0, None
        self._over = False
        self.wish = ExplainRequest()
        self.tick: Tick | None = None
        self.passes = 0
        self.error: Exception | None = None

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
        """Answers to a wish; explained: the number of the frame and the class that the quick ones are of."""
        with self._changed:
            self._explained = seq, target = explained or self._explained
            self._answers |= {what: (wish.cache_key(what, target), answer) for what, answer in answers.items()}
            found = {what: self.answer(self.wish, what) for what in self.wish.answer_names}
            told = self.wish.findings(seq, target, {what: answer for what, answer in found.items() if answer is not None})
            self._newest = self._newest[0] + 1, told

    def answer(self, wish: ExplainRequest, what: str) -> Any:
        """The newest, if it is about what is wished, else None."""
        about, answer = self._answers.get(what, (None, None))
        return answer if about == wish.cache_key(what, self._explained[1]) else None

    def newest(self) -> tuple[int, ExplanationUpdate | None]:
        """How often there was something new, and all that is known of the newest wish."""
        with self._changed:
            return self._newest

    def wait(self, ready: Callable[[], object], timeout: float | None = None) -> bool:
        """Until that is so; False if it was not within `timeout` seconds. Raises Over."""
        with self._changed:
            found = self._changed.wait_for(lambda: self._over or ready(), timeout)
            if self._over:
                raise WorkerStopped
            return bool(found)

    def end(self, error: Exception | None = None) -> None:
        """error: what ends it."""
        with self._changed:
            self._over = True
            self.error = self.error or error
            self._changed.notify_all()


class Throttle:
    """Keeps a thread from working too much: to be called often, as before every pass of its network.

    duty: share of its time that it may work.  wanted: asked every time whether to go on.
    """

    def __init__(self, board: WorkerState, duty: float) -> None:
        self._board, self._duty = board, duty
        self.wanted: Callable[[], object] = lambda: True
        self._since = time.thread_time()

    def __call__(self, *_: object) -> None:
        """Rest for what was worked since the last rest. Raises Overtaken, Over."""
        rest = (time.thread_time() - self._since) * (1 / self._duty - 1)
        if self._board.wait(lambda: not self.wanted(), rest if rest > REST else 0):
            raise RequestSuperseded
        if rest > REST:
            self._since = time.thread_time()

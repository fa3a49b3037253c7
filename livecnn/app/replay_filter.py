"""Which pictures a replay shows, and in which order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal, get_args

import numpy as np

from livecnn.analysis.scorer import ScoredImage
from livecnn.errors import UsageError, nearest

Order = Literal["name", "score", "class"]
ORDERS: tuple[str, ...] = get_args(Order)


@dataclass(frozen=True)
class ReplayFilter:
    """only_class: the class that the network sees. min_score, max_score: of that class, 0..1. wrong: it is not the true one.

    limit: at most so many. shuffle: chosen at random, the same for the same seed. order: of those shown; by default by name or,
    shuffled, as they were chosen. `score` begins with the highest.
    """

    only_class: str | None = None
    min_score: float = 0.0
    max_score: float = 1.0
    wrong: bool = False
    limit: int | None = None
    shuffle: bool = False
    seed: int = 0
    order: Order | None = None

    def check(self, classes: Sequence[str]) -> None:
        """Raise UsageError for what cannot be."""
        if self.only_class is not None and self.only_class not in classes:
            raise UsageError(f"--only-class: unknown class {self.only_class!r}; {nearest(self.only_class, classes, most=10)}")
        for option, score in (("--min-score", self.min_score), ("--max-score", self.max_score)):
            if not 0 <= score <= 1:
                raise UsageError(f"{option}: found {score:g}; allowed: 0 to 1")
        if self.min_score > self.max_score:
            raise UsageError(f"--min-score {self.min_score:g} is above --max-score {self.max_score:g}: no picture can pass")
        if self.limit is not None and self.limit < 1:
            raise UsageError(f"--limit: found {self.limit}; allowed: 1 or more")
        if self.seed < 0:
            raise UsageError(f"--seed: found {self.seed}; allowed: 0 or more")
        if self.order not in (None, *ORDERS):
            raise UsageError(f"--order: found {self.order!r}; {nearest(str(self.order), ORDERS)}")

    def places(self, count: int) -> list[int]:
        """Of `count` pictures, in the order in which they are looked at."""
        return np.random.default_rng(self.seed).permutation(count).tolist() if self.shuffle else list(range(count))

    def among(self, scored: Iterable[ScoredImage], classes: Sequence[str]) -> list[ScoredImage]:
        """Those to be shown, in order. Asks for no more than it needs."""
        stop = self.limit if self.shuffle or self.order in (None, "name") else None
        passing = islice((each for each in scored if self._passes(each, classes)), stop)
        if self.order == "score":
            chosen = sorted(passing, key=lambda each: (-each.score, each.index))
        elif self.order == "class":
            chosen = sorted(passing, key=lambda each: (len(classes) if each.top is None else each.top, each.index))
        elif self.order == "name":
            chosen = sorted(passing, key=lambda each: each.index)
        else:
            chosen = list(passing)
        return chosen[: self.limit]

    def _passes(self, each: ScoredImage, classes: Sequence[str]) -> bool:
        seen = "" if each.top is None else classes[each.top]
        if self.only_class is not None and (each.top is None or seen != self.only_class):
            return False
        if self.wrong and (not each.label or seen == each.label):
            return False
        return self.min_score <= round(each.score, 6) <= self.max_score  # as the table of scores tells it

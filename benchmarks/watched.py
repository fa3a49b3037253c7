"""The command `livecnn run`, watched: somebody is told of every scene that is on screen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from livecnn.types import Scene


def run(words: list[str], shown: Callable[[Scene], None]) -> int:
    """`livecnn run` in this process; returns its exit code. What `shown` raises ends it."""
    from livecnn.app.live.stats import Stats

    own = Stats.shown

    def told(stats: Stats, scene: Scene, *args: Any, **options: Any) -> None:
        own(stats, scene, *args, **options)
        shown(scene)

    Stats.shown = told  # type: ignore[method-assign]

    from livecnn.cli import main

    return main(["run", *words])

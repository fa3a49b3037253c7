"""livecnn's own figure and window with its own timer and animation; of the three loops behind it only the scenes are left."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

from ticking import Clock

from livecnn.app.controls.controller import Controls
from livecnn.app.live.loops import LiveLoop
from livecnn.app.screen.figure import FigureView
from livecnn.app.window import Window
from livecnn.types import Scene


class Player:
    """In the place of livecnn.app.live.loops.Live: the next scene is ready as soon as the last one is on the window."""

    def __init__(self, scenes: Sequence[Scene]) -> None:
        self.clock: Clock | None = None
        self._scenes = scenes

    @property
    def over(self) -> bool:
        return self._timer.over

    def ready(self) -> bool:
        """The window enters its update when this says so."""
        if self._timer.running:
            return False
        self._timer.start()
        return True

    def scene(self) -> Scene:
        return self._scenes[len(self._timer.seconds)]

    def refresh(self) -> None:
        """The window asks for it when its size has changed; the scenes are ready as they are."""

    def shown(self, _work: float) -> None:
        self._timer.stop()

    @property
    def _timer(self) -> Clock:
        assert self.clock is not None
        return self.clock


class NobodyThere:
    """In the place of livecnn.app.controls.controller.Controls: no key is pressed, nothing comes by itself."""

    def poll(self) -> None: ...

    def close(self) -> None: ...


def play(screen: FigureView, scenes: Sequence[Scene], shot: Path | None) -> Clock:
    """Every scene through the window; it closes after the last."""
    player = Player(scenes)
    window = Window(screen, cast(LiveLoop, player), "qtagg", player.shown)
    window.controls = cast(Controls, NobodyThere())
    player.clock = Clock(screen.figure.canvas, len(scenes), shot)
    window.run()
    return player.clock

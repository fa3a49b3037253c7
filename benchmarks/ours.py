"""livecnn's own figure and window, driven by its own timer; only the loops behind it are replaced by ready scenes."""

from __future__ import annotations

from collections.abc import Sequence

from ticking import Clock

from livecnn.figure import Screen
from livecnn.types import Scene
from livecnn.window import Window


class Player:
    """Stands in for livecnn.live.Live: has the next scene ready as soon as the last one is on the window."""

    def __init__(self, scenes: Sequence[Scene]) -> None:
        self._scenes = list(scenes)
        self.clock: Clock | None = None

    @property
    def over(self):
        return len(self.clock.seconds) == len(self._scenes)

    def ready(self) -> bool:
        if not self.clock.running:
            self.clock.start()
            return True
        return False

    def scene(self) -> Scene:
        return self._scenes[len(self.clock.seconds)]


def play(screen, scenes):
    player = Player(scenes)
    window = Window(screen, player, "qtagg", lambda _: player.clock.stop())
    player.clock = Clock(screen.figure.canvas)
    window.run()
    return player.clock


if __name__ == "__main__":
    import sys, statistics, time
    from ticking import content, scenes
    layout, screen = content()
    t=time.time()
    s = scenes(layout, screen, 140)
    print("scenes", time.time()-t)
    if len(sys.argv)>1:
        import cProfile, pstats
        p=cProfile.Profile()
        p.enable()
        c=play(screen, s)
        p.disable()
        pstats.Stats(p).sort_stats("tottime").print_stats(40)
    else:
        c=play(screen, s)
    print(statistics.median(c.milliseconds()), min(c.milliseconds()))

"""What is remembered from tick to tick while the program runs, whichever view is open. The display's thread alone touches it."""

from __future__ import annotations

from dataclasses import dataclass, field

from livecnn.analysis.annotations.store import Annotations
from livecnn.panels.base.frame_buffer import FrameBuffer
from livecnn.panels.base.strongest_shots import StrongestImages
from livecnn.selection import MutedUnits
from livecnn.types import Image, Scene

EXAMPLE_SCORE = 0.5  # a class's example is a shot that the network was at least so sure of


@dataclass(frozen=True, slots=True, eq=False)
class ScoredShot:
    """A shot, uint8 (h, w, 3), and the score, 0..1, that it had."""

    shot: Image
    score: float


@dataclass(eq=False)
class Session:
    """examples: by class, the shot that the network was surest of.  annotations: None where nothing can be annotated.

    strongest: the shots that each unit answered to most.  past: the last seconds; None where nobody can look back.
    muted: the units that are muted.
    """

    examples: dict[int, ScoredShot] = field(default_factory=dict)
    annotations: Annotations | None = None
    strongest: StrongestImages = field(default_factory=StrongestImages)
    past: FrameBuffer | None = None
    muted: MutedUnits = field(default_factory=MutedUnits)

    def on_scene(self, scene: Scene) -> None:
        """The newest scene; the same tick again changes nothing."""
        tick = scene.tick
        if self.past is not None and not scene.status.frozen:
            self.past.add(tick.frame, scene.status.source.name)
        if tick.patch.prepared.empty or not tick.scores.size:
            return
        top = int(tick.scores.argmax())
        score = float(tick.scores[top])
        known = self.examples.get(top)
        if score >= EXAMPLE_SCORE and (known is None or score > known.score):
            self.examples[top] = ScoredShot(tick.patch.shot, score)

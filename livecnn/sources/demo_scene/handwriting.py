"""Digits as pen strokes, each time in another hand."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Points = npt.NDArray[np.float64]

# By digit its strokes, by stroke the points that the pen passes smoothly, x to the right and y down, in a box of height 1
# around the origin. A point written twice is a corner.
_STROKES: dict[int, list[list[tuple[float, float]]]] = {
    0: [[(0.06, -0.49), (-0.17, -0.42), (-0.29, -0.05), (-0.22, 0.36), (0.02, 0.5), (0.24, 0.34), (0.3, -0.06),
         (0.2, -0.4), (0.03, -0.5), (-0.06, -0.46)]],
    1: [[(-0.13, -0.3), (0.0, -0.42), (0.06, -0.5), (0.06, -0.5), (0.05, -0.1), (0.03, 0.5)]],
    2: [[(-0.25, -0.27), (-0.16, -0.44), (0.04, -0.5), (0.22, -0.38), (0.2, -0.16), (0.0, 0.14), (-0.27, 0.46),
         (-0.27, 0.46), (0.0, 0.44), (0.31, 0.46)]],
    3: [[(-0.23, -0.38), (-0.06, -0.5), (0.16, -0.44), (0.21, -0.26), (0.1, -0.08), (-0.05, -0.03), (-0.05, -0.03),
         (0.14, 0.03), (0.25, 0.2), (0.18, 0.41), (-0.04, 0.5), (-0.25, 0.4)]],
    4: [[(-0.06, -0.47), (-0.17, -0.18), (-0.28, 0.1), (-0.28, 0.1), (0.0, 0.1), (0.3, 0.08)],
        [(0.13, -0.32), (0.12, 0.06), (0.1, 0.5)]],
    5: [[(-0.15, -0.47), (-0.18, -0.26), (-0.21, -0.07), (-0.21, -0.07), (-0.05, -0.13), (0.15, -0.06), (0.23, 0.15),
         (0.15, 0.38), (-0.05, 0.49), (-0.25, 0.41)],
        [(-0.15, -0.47), (0.04, -0.47), (0.26, -0.49)]],
    6: [[(0.13, -0.5), (-0.08, -0.3), (-0.23, 0.02), (-0.23, 0.3), (-0.06, 0.49), (0.16, 0.43), (0.25, 0.22),
         (0.12, 0.05), (-0.08, 0.07), (-0.22, 0.24)]],
    7: [[(-0.27, -0.43), (0.0, -0.45), (0.26, -0.46), (0.26, -0.46), (0.12, -0.1), (0.0, 0.2), (-0.08, 0.5)]],
    8: [[(0.2, -0.36), (0.03, -0.49), (-0.17, -0.4), (-0.17, -0.2), (0.03, -0.03), (0.23, 0.2), (0.17, 0.43),
         (-0.03, 0.5), (-0.22, 0.4), (-0.22, 0.19), (0.0, 0.0), (0.19, -0.18), (0.22, -0.34)]],
    9: [[(0.22, -0.33), (0.05, -0.49), (-0.17, -0.42), (-0.24, -0.22), (-0.14, -0.05), (0.06, -0.07), (0.22, -0.3),
         (0.22, -0.3), (0.21, 0.0), (0.15, 0.5)]],
}  # fmt: skip

_LIFT = 0.25  # time between two strokes, in units of the digit's height written


@dataclass(frozen=True)
class Writing:
    """A digit as it will be written, in pixels from the middle of the sheet.

    path: (N, 2) positions of the pen. drawn: (N,) whether the pen touches the paper on the way to that position.
    clock: (N,) when it is there, 0 to 1. thickness: of the line.
    """

    digit: int
    path: Points
    drawn: npt.NDArray[np.bool_]
    clock: Points
    thickness: float

    def tip(self, progress: float) -> tuple[float, float]:
        """Where the pen is."""
        return float(np.interp(progress, self.clock, self.path[:, 0])), float(np.interp(progress, self.clock, self.path[:, 1]))

    def lines(self, progress: float) -> list[Points]:
        """What is on the paper by then: one (M, 2) line per stroke."""
        done = int(np.searchsorted(self.clock, progress, side="right"))
        path, drawn = self.path[:done], self.drawn[:done]
        if done < len(self.path):
            path, drawn = np.vstack([path, self.tip(progress)]), np.append(drawn, self.drawn[done])
        starts = np.flatnonzero(~drawn)
        return [line for line in np.split(path, starts)[1:] if len(line) > 1]


def write(digit: int, rng: np.random.Generator) -> Writing:
    """A digit in a handwriting drawn from rng: height 140-175, lines 8-13 pixels, within 120 pixels of the middle."""
    height = rng.uniform(140, 175)
    strokes = [_smooth(np.array(stroke) + rng.normal(0, 0.012, (len(stroke), 2))) for stroke in _STROKES[digit]]
    lengths = [np.linalg.norm(np.diff(stroke, axis=0), axis=1) for stroke in strokes]
    steps = np.concatenate([np.append(_LIFT, length) for length in lengths])
    clock = np.cumsum(steps) - _LIFT
    drawn = np.concatenate([np.append(False, np.ones(len(length), bool)) for length in lengths])
    path = np.concatenate(strokes) @ _slant(rng) * height + rng.uniform(-10, 10, 2)
    return Writing(digit, path, drawn, clock / clock[-1], rng.uniform(8, 13))


def _slant(rng: np.random.Generator) -> Points:
    """Width, shear and turn of a handwriting as one matrix for row vectors."""
    width, shear, turn = rng.uniform(0.85, 1.1), rng.normal(0.08, 0.1), np.radians(rng.normal(0, 3))
    lean = np.array([[width, 0.0], [-np.clip(shear, -0.15, 0.3), 1.0]])
    turned: Points = lean @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    return turned


def _smooth(points: Points, steps: int = 12) -> Points:
    """A Catmull-Rom spline through the points (Catmull and Rom 1974), `steps` positions between two of them."""
    before = np.vstack([2 * points[0] - points[1], points, 2 * points[-1] - points[-2]])
    p0, p1, p2, p3 = (before[i : len(before) - 3 + i, None] for i in range(4))
    t = np.linspace(0, 1, steps, endpoint=False)[None, :, None]
    curve = p1 + 0.5 * t * (p2 - p0 + t * (2 * p0 - 5 * p1 + 4 * p2 - p3 + t * (3 * (p1 - p2) + p3 - p0)))
    return np.vstack([curve.reshape(-1, 2), points[-1]])

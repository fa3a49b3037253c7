"""A few colors in the place of many."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Packed = npt.NDArray[np.uint32]  # a colour a number: red + green << 8 + blue << 16
Points = npt.NDArray[np.float32]  # (N, 3), whole numbers 0..255
Sums = npt.NDArray[np.float64]  # (N,)
Counts = npt.NDArray[np.int64]

CHOOSING, USING = 1536, 8000  # colours that are told apart then; of more, those that are alike count as one
ROUNDS = 3  # of k-means at most, after a new palette has grown
MOVED = 24  # colours of a palette that may be given up in a round for better ones,
SETTLED = 6  # and when so few are, it is good


class Palette:
    """The colours that show a picture with the least squared error, found from those of the picture before.

    k-means on the histogram (Lloyd, 1982); each round gives colours that are hardly missed to those who are badly served. All
    values are whole numbers that the sums hold exactly, so the same pictures give the same colours on any machine.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.colors: Points = np.empty((0, 3), np.float32)

    def fit(self, colors: Packed, counts: Counts) -> npt.NDArray[np.uint8]:
        """Choose the palette for different colours (N,) that so many pixels have; the code of each, (N,)."""
        points, weights, _ = _alike(colors, counts, CHOOSING)
        if len(points) <= self.size:
            self.colors = points
        else:
            self._choose(points, weights)
        points, _, which = _alike(colors, counts, USING)
        return _nearest(points, self.colors)[0].astype(np.uint8)[which]

    def _choose(self, points: Points, weights: Sums) -> None:
        if not len(self.colors):
            self.colors = points[[weights.argmax()]]
        while len(self.colors) < self.size:
            count = min(len(self.colors), self.size - len(self.colors))
            self.colors = np.concatenate((self.colors, self._centre(points, weights)[2][:count]))
        for _ in range(ROUNDS):
            missed, gain, better = self._centre(points, weights)
            poor = np.argsort(missed, kind="stable")[:MOVED]
            moved = missed[poor] < gain[: len(poor)]
            self.colors[poor[moved]] = better[: len(poor)][moved]
            if moved.sum() <= SETTLED:
                break
        self._centre(points, weights)

    def _centre(self, points: Points, weights: Sums) -> tuple[Sums, Sums, Points]:
        """Put each colour in the middle of the points that it stands for.

        What losing each would cost; what would be gained by new colours, the most first; these.
        """
        codes, errors = _nearest(points, self.colors)
        losses, size = errors * weights, len(self.colors)
        counts = np.bincount(codes, weights, size)
        sums = np.stack([np.bincount(codes, weights * points[:, i], size) for i in range(3)], axis=1)
        used = counts > 0
        self.colors[used] = np.rint(sums[used] / counts[used, None])
        gain = np.bincount(codes, losses, size) / 2
        worst = np.zeros(size, np.intp)
        order = np.argsort(losses, kind="stable")
        worst[codes[order]] = order  # the last one stays
        rich = np.argsort(-gain, kind="stable")
        return np.asarray(counts * _gaps(self.colors), np.float64), gain[rich], points[worst[rich]]


def _alike(colors: Packed, counts: Counts, most: int) -> tuple[Points, Sums, Counts]:
    """At most so many colours as points, how many pixels have them, and which of them each colour belongs to."""
    groups, which = colors, np.arange(len(colors))
    for bits in range(1, 8):
        if len(groups) <= most:
            break
        cut = colors & np.uint32((0xFF << bits & 0xFF) * 0x010101)
        groups = np.unique(cut)
        which = np.searchsorted(groups, cut)
    weights = np.bincount(which, counts)
    sums = [np.bincount(which, counts * (colors >> shift & 0xFF)) for shift in (0, 8, 16)]
    points = np.rint(np.stack(sums, axis=1) / weights[:, None]).astype(np.float32)
    return points, weights.astype(np.float64, copy=False), which.astype(np.int64, copy=False)


def _nearest(points: Points, colors: Points) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float32]]:
    """Of each point, the nearest of the colours and the square of its distance."""
    distances = _squares(colors) - 2 * _products(points, colors)
    codes = distances.argmin(axis=1)
    return codes, np.take_along_axis(distances, codes[:, None], axis=1)[:, 0] + _squares(points)


def _gaps(colors: Points) -> npt.NDArray[np.float32]:
    """Of each colour, the square of the distance to the next one."""
    distances = _squares(colors)[:, None] + _squares(colors) - 2 * _products(colors, colors)
    np.fill_diagonal(distances, np.inf)
    return np.asarray(distances.min(axis=1))


def _products(points: Points, colors: Points) -> Points:
    """Scalar products. Threads that share so small a matrix product mostly wait for each other: einsum has none."""
    return np.asarray(np.einsum("ik,kj->ij", points, np.ascontiguousarray(colors.T)))


def _squares(points: Points) -> npt.NDArray[np.float32]:
    return np.asarray(np.einsum("ij,ij->i", points, points))

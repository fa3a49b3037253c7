"""Occlusion: Zeiler, Fergus 2013, https://arxiv.org/abs/1311.2901, section 4.2."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import KW_ONLY, dataclass

import torch
from torch.nn import functional

from livecnn.errors import UsageError
from livecnn.explain.base import Objective, TargetedMethod, detached_input, set_gradients

COARSEST = 8  # strides between the patches of the first, coarse result
MOST_VALUES = 1 << 24  # of the largest tensor of a pass: 64 MiB


@dataclass(frozen=True, eq=False)
class Occlusion(TargetedMethod):
    """The fall of a value when a patch of the input is covered; a pixel gets the mean over all patches that cover it.

    A position "max" is that of the whole input. The network has to take several pictures at once.
    For other fields see Method and TargetedMethod.
    """

    names = ("occlusion",)
    meaning = "what the value really needs: it drops where this is covered"
    shown_as = "overlay"
    quick = False

    _: KW_ONLY
    patch: int | None = None  # side of the square, in pixels; by default a seventh of the input's shorter side
    stride: int | None = None  # from patch to patch, by default half a patch; the last patches are cut off at the border
    fill: float = 0.0  # what the patch is covered with, in the network's units

    def __post_init__(self) -> None:
        super().__post_init__()
        if not math.isfinite(self.fill):
            raise UsageError(f"fill: found {self.fill}; a finite number is needed")
        if self.patch is not None:
            _check(self.patch, 1 if self.stride is None else self.stride)

    def explain(self, x: torch.Tensor, units: Sequence[int] = (), target: int | None = None) -> torch.Tensor:
        """Return drops (U, 1, H, W), or for a class (1, 1, H, W): positive where what is covered supports the value."""
        *_, finest = self.refine(x, units, target)
        return finest

    def refine(self, x: torch.Tensor, units: Sequence[int] = (), target: int | None = None) -> Iterator[torch.Tensor]:
        """Yield drops from coarse to fine: patches 8 strides apart, then 4, 2 and 1; until then a neighbor counts.

        The last is what `explain` returns. Between two results nothing of the network is changed.
        """
        whole = detached_input(x)
        grid = _Grid(whole, self.patch, self.stride, self.fill)
        with set_gradients(False):
            seen = self._forward(whole.clone())
            objective = self._objective(seen, units, target)
            values = objective(seen)[0]
        drops = values.new_zeros(len(values), *grid.size)
        known = torch.zeros(grid.size, dtype=torch.bool)
        apart = COARSEST
        while apart:
            wanted = torch.zeros_like(known)
            wanted[::apart, ::apart] = True
            missing = (wanted & ~known).nonzero()
            for places in missing.split(max(1, MOST_VALUES // seen.largest)) if len(missing) else ():
                rows, columns = places.T
                drops[:, rows, columns] = values[:, None] - self._values(grid.covered(places), objective).T
            known |= wanted
            yield grid.spread(drops, apart)
            apart //= 2

    def _values(self, pictures: torch.Tensor, objective: Objective) -> torch.Tensor:
        with set_gradients(False):
            try:
                return objective(self._forward(pictures))
            except (RuntimeError, ValueError, AssertionError, IndexError):
                if len(pictures) == 1:
                    raise
                return torch.cat([objective(self._forward(one)) for one in pictures.split(1)])  # it takes one at a time


class _Grid:
    """Return the corners of the patches: each at (row, column) times the stride, cut off at the border."""

    def __init__(self, x: torch.Tensor, patch: int | None, stride: int | None, fill: float) -> None:
        height, width = x.shape[2:]
        side = max(1, min(height, width) // 7) if patch is None else patch
        self._stride = max(1, side // 2) if stride is None else stride
        _check(side, self._stride)
        self._x, self._fill = x, fill
        self._sides = min(side, height), min(side, width)
        self.size = tuple(
            math.ceil((extent - side) / self._stride) + 1 for extent, side in zip((height, width), self._sides, strict=True)
        )

    def covered(self, places: torch.Tensor) -> torch.Tensor:
        """Make a picture for each of N places (row, column) with the patch there covered, (N, C, H, W)."""
        pictures = self._x.repeat(len(places), 1, 1, 1)
        height, width = self._sides
        for cover, (top, left) in zip(pictures, (places * self._stride).tolist(), strict=True):
            cover[:, top : top + height, left : left + width] = self._fill
        return pictures

    def spread(self, drops: torch.Tensor, apart: int) -> torch.Tensor:
        """Turn drops (U, rows, columns), every `apart`-th known, into (U, 1, H, W): each pixel's mean over its patches."""
        rows, columns = (torch.arange(count) // apart * apart for count in self.size)
        filled = drops[:, rows[:, None], columns][:, None]
        return self._sums(filled) / self._sums(torch.ones_like(filled[:1]))

    def _sums(self, values: torch.Tensor) -> torch.Tensor:
        patch = values.new_ones(1, 1, *self._sides)
        sums = functional.conv_transpose2d(values, patch, stride=self._stride)
        return sums[..., : self._x.shape[2], : self._x.shape[3]]


def _check(patch: int, stride: int) -> None:
    if patch < 1 or not 1 <= stride <= patch:
        found = f"found patch {patch} and stride {stride}"
        raise UsageError(f"{found}; allowed: a patch of 1 or more, a stride from 1 to the patch")

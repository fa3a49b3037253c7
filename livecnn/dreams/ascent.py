"""Gradient ascent, step by step: whoever takes the steps may stop, wait and go on at will."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import KW_ONLY, asdict, dataclass, field, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from livecnn.dreams.images import PARAMETERS, Parametrization, RandomTransforms, Regularizers
from livecnn.errors import UsageError, nearest
from livecnn.explain.backprop import autograd_nodes
from livecnn.explain.base import ForwardPass, ForwardResult, activation_of, class_objective, set_gradients
from livecnn.explain.live import EVERY, Dreaming
from livecnn.selection import Unit
from livecnn.types import PreferredInput

if TYPE_CHECKING:
    from livecnn.networks.bundle import Bundle
from livecnn.networks.outputs import Output

STEPS = 128
MOST_VALUES = 1 << 24  # of the largest tensor of a pass: 64 MiB
FIRST, SECOND = 0.9, 0.999  # how long Adam remembers: Kingma, Ba 2014, https://arxiv.org/abs/1412.6980
BARE = 0.3  # from the middle of the levels: a mean beyond is that of figures on a bare ground, black or white
TINY = 1e-8

Groups: TypeAlias = list[list[int]]  # units that go through the network together
Over: TypeAlias = Literal["mean", "max", "centre"]
# Of N pictures and N units, the value of each picture's own unit, (N,).
Objective: TypeAlias = Callable[[ForwardResult, Sequence[int]], torch.Tensor]


def layer_objective(over: Over) -> Objective:
    """Climb the activation of each unit: the mean of its map, its maximum, or its middle. Raises UsageError."""
    if over not in get_args(Over):
        raise UsageError(f"over: found {over!r}; allowed: {', '.join(get_args(Over))}")

    def values(seen: ForwardResult, units: Sequence[int]) -> torch.Tensor:
        assert seen.activation is not None
        own = seen.activation[torch.arange(len(units)), list(units)]
        if over == "centre":
            for extent in own.shape[1:]:
                own = own[:, extent // 2]
            return own
        flat = own.reshape(len(units), -1)
        return flat.mean(1) if over == "mean" else flat.amax(1)

    return values


def class_scores(seen: ForwardResult, classes: Sequence[int]) -> torch.Tensor:
    """Return the score of each class, before a softmax."""
    return seen.logits[torch.arange(len(classes)), list(classes)]


class RedirectedReLU(TorchFunctionMode):
    """Inside the `with`, a ReLU that no gradient passes lets back what would switch it on.

    Else a unit that is off, such as a neuron behind a ReLU, would have no slope to climb. Of a picture through which anything
    comes back, the gradient stays as it is (https://distill.pub/2017/feature-visualization, appendix).
    """

    RELUS = (functional.relu, torch.relu, torch.Tensor.relu)
    IN_PLACE = (torch.relu_, torch.Tensor.relu_)

    def __torch_function__(
        self, func: Callable[..., Any], types: Sequence[type], args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        given = dict(zip(("input", "inplace"), args, strict=False)) | (kwargs or {})
        x = given.get("input")
        if func not in (*self.RELUS, *self.IN_PLACE) or not isinstance(x, torch.Tensor):  # while a network is traced
            return func(*args, **(kwargs or {}))
        output: torch.Tensor = _RedirectedReLUFunction.apply(x)  # type: ignore[no-untyped-call]
        return x.copy_(output) if given.get("inplace") or func in self.IN_PLACE else output


class _RedirectedReLUFunction(torch.autograd.Function):
    """max(x, 0); for a picture whose whole gradient would be lost, its positive part comes back."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        output = x.clamp_min(0)
        ctx.save_for_backward(output)
        return output

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        (output,) = ctx.saved_tensors
        through = gradient * (output > 0)
        lost = (through.flatten(1) == 0).all(1) if through.ndim > 1 else through == 0
        return torch.where(lost.view(-1, *[1] * (through.ndim - 1)), gradient.clamp_min(0), through)


@dataclass(frozen=True, eq=False)
class State:
    """All that an ascent needs to go on: steps taken, the pictures' parameters (U, …), and Adam's two means of the same shape."""

    step: int
    values: torch.Tensor
    slope: torch.Tensor
    square: torch.Tensor

    def on(self, device: torch.device) -> State:
        """Return the state on a device."""
        return State(self.step, self.values.to(device), self.slope.to(device), self.square.to(device))


@dataclass(frozen=True, eq=False)
class Ascent:
    """The state of an ascent after `step` steps."""

    step: int  # number of steps taken
    images: torch.Tensor  # float32 (U, C, H, W), in the network's units
    values: torch.Tensor  # float32 (U,), the value of each unit for its image
    state: State  # what the ascent goes on from


@dataclass(frozen=True, eq=False)
class Dream:
    """Looks for inputs that units of a network's layer, or its classes, like best.

    Hooks live during a pass only, and are gone after an exception too. Mode, parameters, their gradients and the global random
    numbers stay as they are. While a step is taken, no other thread may run the same network: give it a copy over the same
    weights. Dropout and normalisation by batch want `module.eval()` first. Raises UsageError, ModelError.

    Attributes:
        module: The network.
        layer: A name as a Probe takes it; None for the classes.
        shape: (C, H, W) of the input.
        limits: What the darkest and brightest pixels give, each (C, 1, 1) or a number, in the network's units; images stay
            between them.
        over: Which value of a unit's map counts: that in its "centre", its "max" or its "mean".
        parameters: How images are written as numbers, "fourier" or "pixels".
        moves: Random transforms before each pass.
        regularisers: What keeps images natural.
        ground: Level of the even picture that an ascent starts from, 0 black to 1 white. None: what is 0 to the network, or
            gray if its input is not normalised; a ground that is nearly black or white, as that of MNIST, is made quite so.
        rate: Size of a step, by default that of the parameters.
        output: What the network's scores are; None: a score a class.
    """

    module: nn.Module
    layer: str | None
    shape: tuple[int, ...]
    _: KW_ONLY
    limits: tuple[torch.Tensor | float, torch.Tensor | float] = (0.0, 1.0)
    over: Over = "centre"
    parameters: Literal["fourier", "pixels"] = "fourier"
    moves: RandomTransforms = field(default_factory=RandomTransforms)
    regularisers: Regularizers = field(default_factory=Regularizers)
    ground: float | None = None
    rate: float | None = None
    output: Output | None = None

    @classmethod
    def from_bundle(cls, bundle: Bundle, layer: str | None, **options: Any) -> Dream:
        """Dream of a bundle's network, whose input pipeline knows shape and limits.

        The options are fields of Dream, RandomTransforms and Regularizers; None stands for the default.
        """
        given = {name: value for name, value in options.items() if value is not None}
        parts = {"moves": RandomTransforms, "regularisers": Regularizers}
        for part, kind in parts.items():
            own = {each.name: given.pop(each.name) for each in fields(kind) if each.name in given}
            given.setdefault(part, kind(**own))
        own = {"limits": bundle.pipeline.limits, "output": bundle.output}
        return cls(bundle.module, layer, bundle.pipeline.shape, **own, **given)

    @property
    def settings(self) -> dict[str, Any]:
        """Return what decides on the images besides network, units and seed, ready for JSON."""
        names = "layer", "over", "parameters", "ground", "rate"
        return {name: getattr(self, name) for name in names} | asdict(self.moves) | asdict(self.regularisers)

    def ascend(
        self, units: Sequence[int], steps: int = STEPS, seed: int = 0, *, state: State | None = None, every: int = 1
    ) -> Iterator[Ascent]:
        """Yield an image a unit, all in one batch: after every so many steps, and at the end, at `steps` steps in all.

        The same seed gives the same images on a CPU, and goes with a state that an earlier ascent of these units left: then the
        images are those that it would have come to. Nothing is done before the first is asked for, nor between two.
        """
        together, seen = self.check(units)
        groups = _grouped(units, together)
        if state is None:
            with set_gradients(False):
                start = torch.cat([self._way.start(_generator(seed, 0))] * len(units))
                state = State(0, start, torch.zeros_like(start), torch.zeros_like(start))
        state = state.on(self._way.rest.device)
        if state.step == steps:
            yield self._reached(state, groups)
        while state.step < steps:
            state = self._stepped(state, groups, seen, seed)
            if state.step % every == 0 or state.step == steps:
                yield self._reached(state, groups)

    def check(self, units: Sequence[int]) -> tuple[int, tuple[int, int]]:
        """Raise UsageError or ModelError if an ascent is impossible, after one pass there and back.

        Returns:
            How many units go through the network at once, and what a unit sees: height and width in pixels.
        """
        if len(self.shape) != 3:
            raise UsageError(f"shape: found {self.shape}; (C, H, W) is needed")
        if self.regularisers.on_pixels and self.parameters != "pixels":
            raise UsageError(f"decay, blur, norm and contribution act on pixels; found parameters {self.parameters!r}")
        with set_gradients(), RedirectedReLU():
            leaf = self._images(self._way.levels(self._way.start(_generator(0, 0)))).detach().requires_grad_()
            passed = self._passing(leaf.clone())
            self._check_targets(passed, units)
            value = self._objective(passed, [0])  # the same for all units, so that no image depends on which others are asked for
            autograd_nodes(value, leaf, "dream")
            slopes = torch.autograd.grad(value.sum(), leaf)[0]
        return max(1, MOST_VALUES // passed.largest), _extent(slopes[0].abs().sum(0))

    def _check_targets(self, seen: ForwardResult, units: Sequence[int]) -> None:
        """Raise UsageError if the layer has not all these units, or the network not all these classes."""
        if not units:
            raise UsageError("units: found none; one or more are needed")
        if self.layer is not None:
            activation_of(seen, units, self.layer)
            return
        for number in units:
            class_objective(seen, number)

    def unmoved(self, units: Sequence[int], state: State) -> list[int]:
        """Return the units that cannot be climbed from where they are: no gradient reaches their image."""
        together, _ = self.check(units)
        groups = _grouped(units, together)
        still = replace(self, moves=RandomTransforms(0, 0, 0))
        with set_gradients():
            levels = self._way.levels(state.on(self._way.rest.device).values).detach()
            slopes = still._slopes(levels, groups, (0, 0), _generator(0, 0))
        return [unit for unit, slope in zip(units, slopes, strict=True) if not slope.any()]

    def _stepped(self, state: State, groups: Groups, seen: tuple[int, int], seed: int) -> State:
        step, way = state.step + 1, self._way
        with set_gradients():
            values = state.values.clone().requires_grad_()
            levels = way.levels(values)
            slopes = self._slopes(levels.detach(), groups, seen, _generator(seed, step))
            gain = (slopes * levels).sum() - self.regularisers.penalty(levels, way.rest)
            slope = torch.autograd.grad(gain, values)[0]
        with set_gradients(False):
            first, second = torch.lerp(slope, state.slope, FIRST), torch.lerp(slope**2, state.square, SECOND)
            size = (second / (1 - SECOND**step)).sqrt() + TINY
            rate = way.rate if self.rate is None else self.rate
            found = state.values + rate * first / (1 - FIRST**step) / size
            if self.parameters == "pixels":
                found = self.regularisers(found, slopes, way.rest, step).clamp(0, 1)
        if not found.isfinite().all():
            raise UsageError(f"step {step}: the ascent came to what is no number; a smaller rate, or smaller weights, are needed")
        return State(step, found, first, second)

    def _slopes(self, levels: torch.Tensor, groups: Groups, seen: tuple[int, int], generator: torch.Generator) -> torch.Tensor:
        """Return the gradient of each unit's value by its own picture, (U, C, H, W), each with a mean square of 1."""
        whole = levels.clone().requires_grad_()
        moved = self.moves(whole, seen, generator)
        found = []
        for part, units in zip(moved.detach().split(len(groups[0])), groups, strict=True):
            leaf = part.clone().requires_grad_()
            with RedirectedReLU():
                values = self._objective(self._passing(self._images(leaf)), units)
            found.append(torch.autograd.grad(values.sum(), leaf)[0])
        slopes = torch.autograd.grad(moved, whole, torch.cat(found).nan_to_num(0))[0]
        return slopes / slopes.square().mean((1, 2, 3), keepdim=True).sqrt().clamp_min(TINY)

    def _reached(self, state: State, groups: Groups) -> Ascent:
        with set_gradients(False):
            images = self._images(self._way.levels(state.values))
            parts = zip(images.split(len(groups[0])), groups, strict=True)
            values = torch.cat([self._objective(self._passing(part.clone()), units) for part, units in parts]).float()
        return Ascent(state.step, images, values, state)

    def _images(self, levels: torch.Tensor) -> torch.Tensor:
        low, high = self._limits
        return low + (high - low) * levels

    @cached_property
    def _limits(self) -> tuple[torch.Tensor, torch.Tensor]:
        like = next(self.module.parameters(), torch.empty(0))
        low, high = (torch.as_tensor(limit, dtype=torch.float32, device=like.device) for limit in self.limits)
        return low.expand(self.shape[0], 1, 1), high.expand(self.shape[0], 1, 1)

    @cached_property
    def _way(self) -> Parametrization:
        if self.parameters not in PARAMETERS:
            raise UsageError(f"parameters: found {self.parameters!r}; {nearest(self.parameters, PARAMETERS)}")
        low, high = self._limits
        rest = torch.full_like(low, 0.5)
        if self.ground is not None:
            rest = torch.full_like(low, self.ground)
        elif (low < 0).all() and (high > 0).all():  # normalised: 0 is the mean of what the network was trained with
            mean = -low / (high - low)
            rest = torch.where((mean - 0.5).abs() > BARE, mean.round(), mean)
        return PARAMETERS[self.parameters](rest, (self.shape[1], self.shape[2]))

    @cached_property
    def _passing(self) -> ForwardPass:
        return ForwardPass(self.module, self.layer, self.output)

    @cached_property
    def _objective(self) -> Objective:
        return class_scores if self.layer is None else layer_objective(self.over)


def _grouped(units: Sequence[int], together: int) -> Groups:
    return [list(units[start : start + together]) for start in range(0, len(units), together)]


def _extent(sizes: torch.Tensor) -> tuple[int, int]:
    """Return height and width of what is not 0 of (H, W); all of it if nothing is."""
    rows, columns = (sizes.amax(axis).nonzero() for axis in (1, 0))
    if not len(rows):
        return sizes.shape[0], sizes.shape[1]
    return int(rows[-1] - rows[0]) + 1, int(columns[-1] - columns[0]) + 1


def _generator(seed: int, step: int) -> torch.Generator:
    """Make the random numbers of one step; they do not depend on earlier steps, so no state has to hold them."""
    mixed = np.random.SeedSequence([seed, step]).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(mixed[0]))


def live_dreams(bundle: Bundle) -> Dreaming:
    """Return the default ascent for a copy of the bundle's network, a few steps at a time while the loops run."""
    pipeline = bundle.pipeline

    def dream(module: nn.Module, layer: str, unit: int) -> Iterator[PreferredInput]:
        ascending = Dream(module, layer, pipeline.shape, limits=pipeline.limits)
        for ascent in ascending.ascend([unit], every=EVERY):
            picture, value = pipeline.picture(ascent.images[0]), float(ascent.values[0])
            yield PreferredInput(Unit(layer, unit), picture, value, ascent.step, STEPS)

    return dream

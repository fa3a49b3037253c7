"""The base classes of all methods, and the forward passes that keep what they need."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass, fields
from functools import cached_property
from typing import Any, ClassVar, Literal, TypeAlias

import numpy as np
import torch
from torch import nn
from torch.autograd.graph import GradientEdge, get_gradient_edge
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from livecnn.errors import ModelError, UsageError
from livecnn.networks.inspection.probe import LayerHooks
from livecnn.networks.outputs import Output
from livecnn.types import Floats

LAST_ACTIVATIONS = (
    functional.softmax,
    functional.log_softmax,
    torch.softmax,
    torch.log_softmax,
    torch.sigmoid,
    torch.Tensor.softmax,
    torch.Tensor.log_softmax,
    torch.Tensor.sigmoid,
)
At: TypeAlias = Literal["max", "sum"] | tuple[int, int]


@dataclass(frozen=True, eq=False)
class ForwardResult:
    """The result of one forward pass."""

    activation: torch.Tensor | None  # (N, K, …), as the layer gave it; None without a layer
    edge: GradientEdge | None  # where its gradient passes, if there is one
    logits: torch.Tensor  # (N, classes), the scores, or what went into a softmax or sigmoid that made them
    largest: int  # number of values in the largest tensor


Objective: TypeAlias = Callable[[ForwardResult], torch.Tensor]  # (N, U): a value a picture and unit


class ForwardPass:
    """Forward passes of a network, for one of its layers or none. Its hooks live during a pass only."""

    def __init__(self, module: nn.Module, layer: str | None, output: Output | None = None) -> None:
        self._output = output
        name = "" if output is None else output.name
        self._tap = LayerHooks(module, [] if layer is None else [layer], self._keep, name)
        self._kept: tuple[torch.Tensor | None, GradientEdge | None] = None, None

    def __call__(self, x: torch.Tensor) -> ForwardResult:
        """Run one pass of (N, C, H, W), with gradients where they are recorded."""
        self._kept = None, None
        with self._tap, _Functions() as functions:
            scores = self._tap.run(x)
        (activation, edge), self._kept = self._kept, (None, None)
        logits = functions.before_last_activation(scores)
        if logits.ndim > 2:  # of maps, their means
            logits = logits.flatten(2).mean(2)
        if self._output is not None:
            logits = self._output.by_class(logits)
        return ForwardResult(activation, edge, logits, functions.largest)

    def _keep(self, _layer: str, output: torch.Tensor) -> None:
        # Later steps may write over the output: then its values are gone, and its gradient is that of what was written.
        self._kept = output.clone(), get_gradient_edge(output) if output.requires_grad else None


class _Functions(TorchFunctionMode):
    """Watches every function of torch that a forward pass calls, those within modules too."""

    def __init__(self) -> None:
        super().__init__()
        self.largest = 1
        self._last: tuple[torch.Tensor, torch.Tensor] | None = None

    def __torch_function__(
        self, func: Callable[..., Any], types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor):
            self.largest = max(self.largest, result.numel())
            if func in LAST_ACTIVATIONS:
                self._last = args[0] if args else (kwargs or {})["input"], result
        return result

    def before_last_activation(self, scores: torch.Tensor) -> torch.Tensor:
        """Return what went into the last softmax or sigmoid if it made the scores, whatever their axes; else the scores."""
        if self._last is None:
            return scores
        logits, result = self._last
        same = result.data_ptr() == scores.data_ptr() and result.numel() == scores.numel()
        return logits.reshape(scores.shape) if same else scores


def class_objective(seen: ForwardResult, target: int) -> Objective:
    """Explain the class's score before the last activation. Raises UsageError for an unknown class."""
    if seen.logits.ndim != 2:
        raise UsageError(f"class {target}: the network gives scores of shape {tuple(seen.logits.shape)}; (N, classes) are needed")
    _check("class", [target], seen.logits.shape[1], "the network")
    return lambda seen: seen.logits[:, target : target + 1]


def units_objective(seen: ForwardResult, units: Sequence[int], at: At, layer: str | None) -> Objective:
    """Explain the units' activations, each at the place that `at` means in what was seen, and there in later passes too.

    `at` is "max", the strongest position of each map; "sum", over all positions; or a position (row, column). Raises UsageError
    if there is no such unit or position.
    """
    activation = activation_of(seen, units, layer)
    chosen = list(units)

    def values(seen: ForwardResult) -> torch.Tensor:
        assert seen.activation is not None
        return seen.activation[:, chosen].flatten(2) if seen.activation.ndim > 2 else seen.activation[:, chosen, None]

    if at == "sum":
        return lambda seen: values(seen).sum(2)
    places = values(seen)[0].argmax(1) if at == "max" else torch.tensor([flat_index(at, activation.shape, layer)] * len(chosen))
    order = torch.arange(len(chosen))
    return lambda seen: values(seen)[:, order, places]


def activation_of(seen: ForwardResult, units: Sequence[int], layer: str | None) -> torch.Tensor:
    """Return the layer's output (N, K, …). Raises UsageError if it lacks one of the units."""
    if seen.activation is None:
        raise UsageError("units are those of a layer; found none")
    if seen.activation.ndim < 2:
        raise UsageError(f"layer {layer!r} gives the shape {tuple(seen.activation.shape)}; a tensor (N, units, …) is needed")
    _check("unit", units, seen.activation.shape[1], str(layer))
    return seen.activation


def flat_index(at: tuple[int, int], shape: Sequence[int], layer: str | None) -> int:
    """Turn a position (row, column) of maps of shape (N, K, h, w) into an index of a flat map. Raises UsageError."""
    if len(shape) != 4:
        raise UsageError(f"at: found {at}, and layer {layer!r} gives no maps; allowed: 'max', 'sum'")
    height, width = shape[2:]
    if not (0 <= at[0] < height and 0 <= at[1] < width):
        raise UsageError(f"at: found {at}; maps of {layer!r} have rows 0-{height - 1} and columns 0-{width - 1}")
    return at[0] * width + at[1]


def _check(what: str, numbers: Sequence[int], count: int, where: str) -> None:
    for number in numbers:
        if not 0 <= number < count:
            raise UsageError(f"{what} {number}: {where} has {count} (0-{count - 1})")


@dataclass(frozen=True, eq=False)
class Method(ABC):
    """The contract of all methods: explain units of a layer, or classes, by one input.

    A new method is a file in `explain/methods/` with a frozen dataclass of its name in CamelCase; its keyword-only fields are
    its options. The class attributes say how it is called and shown, so nothing else has to name it.

    Hooks and patches exist during a call only, and are gone after an exception too. Mode, parameters and their gradients stay as
    they are. While it explains, no other thread may run the same network.

    Attributes:
        names: What it is called, from the longest wording to the shortest; by default the file's name with spaces.
        meaning: What it shows, in a few words.
        shown_as: "signed", red for and blue against; "color", a picture around gray where the input has three channels;
            "overlay", red and blue over the input; "gray", from the lowest to the highest value.
        signed: Whether zero is a middle between two sides; False: files hold each map from its lowest to its highest value.
        of_units: Whether it explains units; False: classes, by the maps of a layer.
        of_classes: Whether it explains classes.
        quick: Whether the grid of a layer can have it for every unit while the window is live.
        module: The network.
        layer: A name as a Probe takes it; None where only classes are explained.
        output: What the network's scores are; None: a score a class.

    Example:
        >>> import torch
        >>> from livecnn.explain.methods.gradient import Gradient
        >>> net = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), torch.nn.ReLU())
        >>> Gradient(net, "0").explain(torch.rand(1, 1, 8, 8), units=[0, 2]).shape
        torch.Size([2, 1, 8, 8])
    """

    names: ClassVar[tuple[str, ...]] = ()
    meaning: ClassVar[str] = ""
    shown_as: ClassVar[Literal["signed", "color", "overlay", "gray"]] = "signed"
    signed: ClassVar[bool] = True
    of_units: ClassVar[bool] = True
    of_classes: ClassVar[bool] = True
    quick: ClassVar[bool] = True

    module: nn.Module
    layer: str | None = None
    output: Output | None = None

    @abstractmethod
    def explain(self, x: torch.Tensor, units: Sequence[int] = (), target: int | None = None) -> torch.Tensor:
        """Explain units of the layer or, instead, a class.

        Args:
            x: The network's input, (1, C, H, W).
            units: Numbers of units of the layer.
            target: The number of a class.

        Returns:
            A map a unit, or one of the class: (U, C, H, W), or (U, 1, H, W) where the method does not tell channels apart.

        Raises:
            UsageError: There is no such unit or class, or the method does not explain it.
            ModelError: The method cannot serve this network; the text says why.
        """

    @classmethod
    def options(cls) -> dict[str, Any]:
        """Return the options besides network and layer, with their defaults."""
        return {field.name: field.default for field in fields(cls) if field.kw_only}

    @property
    def kind(self) -> str:
        """Return the name of its file."""
        return type(self).__module__.rpartition(".")[2]

    @cached_property
    def _forward(self) -> ForwardPass:
        return ForwardPass(self.module, self.layer, self.output)


@dataclass(frozen=True, eq=False)
class TargetedMethod(Method):
    """A method that explains one value: that of a unit, or the score of a class before the last activation.

    Attributes:
        at: Which value of a unit's map: "max", its strongest position; "sum", over all positions; or a position (row, column),
            whose receptive field alone can be explained.
    """

    _: KW_ONLY
    at: At = "max"

    def __post_init__(self) -> None:
        at: object = self.at
        position = isinstance(at, tuple) and len(at) == 2 and all(isinstance(step, int) for step in at)
        if not position and at not in ("max", "sum"):
            raise UsageError(f"at: found {at!r}; allowed: 'max', 'sum', (row, column)")

    def _objective(self, seen: ForwardResult, units: Sequence[int], target: int | None) -> Objective:
        if target is not None and not units:
            return class_objective(seen, target)
        if target is not None or not units:
            found = "both" if units else "neither"
            raise UsageError(f"units of a layer, or a class, are needed; found {found}")
        return units_objective(seen, units, self.at, self.layer)


def detached_input(x: torch.Tensor) -> torch.Tensor:
    """Copy an input (1, C, H, W) without its history. Raises UsageError for another shape."""
    if x.ndim != 4 or x.shape[0] != 1:
        raise UsageError(f"x: found the shape {tuple(x.shape)}; one picture (1, C, H, W) is needed")
    return x.detach().clone()


@contextmanager
def set_gradients(recorded: bool = True) -> Iterator[None]:
    """Record gradients or not inside the `with`, wherever it is used."""
    with torch.inference_mode(False), torch.set_grad_enabled(recorded):
        yield


def layer_maps(seen: ForwardResult, kind: str, layer: str | None) -> torch.Tensor:
    """Return the layer's maps (N, K, h, w). Raises ModelError if it gives something else."""
    activation = seen.activation
    if activation is None:
        raise ModelError(f"{kind} needs a layer that gives maps")
    if activation.ndim != 4 or activation.shape[2:].numel() == 1:
        told = " x ".join(map(str, activation.shape[1:]))
        raise ModelError(f"{kind} needs a layer that gives maps; {layer!r} gives {told} values")
    return activation


def layer_gradient(seen: ForwardResult, score: torch.Tensor, needing: str, layer: str | None) -> torch.Tensor:
    """Return the gradient of a score by the layer's output. Raises ModelError if none leads there; `needing` begins its text."""
    slopes = None
    if seen.edge is not None and score.requires_grad:
        (slopes,) = torch.autograd.grad(score.sum(), [seen.edge], allow_unused=True)
    if slopes is None:
        raise ModelError(f"{needing} a way from the layer to the scores; {layer!r} has none")
    return slopes


def to_array(values: torch.Tensor) -> Floats:
    """Copy values to the host as float32."""
    return np.ascontiguousarray(values.detach().float().cpu().numpy())


def resize_maps(maps: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """Resize maps (U, 1, h, w) to the input's size, (U, 1, H, W), by bilinear interpolation."""
    return functional.interpolate(maps, size=x.shape[2:], mode="bilinear", align_corners=False)

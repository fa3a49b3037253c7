"""Define the base classes of all methods."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass, fields
from functools import cached_property
from typing import Any, ClassVar, Literal

import torch
from torch import nn
from torch.nn import functional

from livecnn.errors import ModelError, UsageError
from livecnn.explain.forward_pass import (
    At,
    ForwardPass,
    ForwardResult,
    Objective,
    check_position,
    class_objective,
    units_objective,
)


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
        return ForwardPass(self.module, self.layer)


@dataclass(frozen=True, eq=False)
class TargetedMethod(Method):
    """A method that explains one value: that of a unit, or the score of a class before a softmax.

    Attributes:
        at: Which value of a unit's map: "max", its strongest position; "sum", over all positions; or a position (row, column),
            whose receptive field alone can be explained.
    """

    _: KW_ONLY
    at: At = "max"

    def __post_init__(self) -> None:
        check_position(self.at)

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


def resize_maps(maps: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """Resize maps (U, 1, h, w) to the input's size, (U, 1, H, W), by bilinear interpolation."""
    return functional.interpolate(maps, size=x.shape[2:], mode="bilinear", align_corners=False)

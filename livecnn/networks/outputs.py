"""What a network's output means: one distribution over the classes, labels that hold side by side, or plain numbers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, cast, get_args

import torch

from livecnn.types import Reading

Kind: TypeAlias = Literal["softmax", "log_softmax", "logits", "sigmoid", "sigmoid_logits", "numbers", "class_maps", "maps"]
KINDS: tuple[Kind, ...] = get_args(Kind)
_READINGS: dict[Kind, Reading] = {
    "softmax": "distribution",
    "log_softmax": "distribution",
    "logits": "distribution",
    "sigmoid": "labels",
    "sigmoid_logits": "labels",
    "numbers": "numbers",
    "class_maps": "distribution",
    "maps": "numbers",
}

# Names of autograd's nodes, https://github.com/pytorch/pytorch/blob/main/tools/autograd/derivatives.yaml, without their end.
_LAST: dict[str, Kind] = {"Softmax": "softmax", "LogSoftmax": "log_softmax", "Sigmoid": "sigmoid", "Hardsigmoid": "sigmoid"}
_WEIGHTED = {"Addmm", "Addmv", "Mm", "Mv", "Bmm", "Baddbmm", "Dot", "Linear", "MkldnnLinear", "Convolution", "MkldnnConvolution"}
# What only moves values; and what may follow the weights of a head that is trained with a softmax in its loss.
_MOVES = {
    "View", "Reshape", "ReshapeAlias", "UnsafeView", "Squeeze", "Unsqueeze", "Alias", "Clone", "ToCopy", "Copy", "Expand",
    "Transpose", "T", "Permute", "Select", "Slice", "Split", "SplitWithSizes", "Unbind", "Cat", "UpsampleBilinear2D",
    "UpsampleNearest2D", "UpsampleBicubic2D",
}  # fmt: skip
_SCALES = {"Add", "Sub", "Mul", "Div", "Neg", "NativeBatchNorm", "CudnnBatchNorm"}
_POOLS = {"Mean", "Sum", "Max", "Amax", "AvgPool2D", "AdaptiveAvgPool2D", "AdaptiveMaxPool2D", "MaxPool2DWithIndices"}
POOLED = "pooled features"
# Of several outputs the first of these is the answer.
PREFERRED: tuple[str, ...] = ("softmax", "log_softmax", "sigmoid", "logits")


@dataclass(frozen=True)
class Output:
    """The meaning of what a network gives.

    Attributes:
        kind: "softmax", "log_softmax" and "logits" (a softmax is missing) are one distribution over the classes; "sigmoid" and
            "sigmoid_logits" (a sigmoid is missing) are labels, each by itself, and of a single unit the two sides of a
            question; "numbers" are no probabilities. Of maps (N, K, H, W), "class_maps" have a map a class, the largest of which
            is the class of a pixel, and the scores are the shares of the picture; "maps" are pictures or features, and the
            scores are their means.
        units: How many values, or maps, it gives.
        name: Where it stands among several outputs, "" for the first that has the shape of scores.

    Example:
        >>> Output("sigmoid", 1).scores(torch.tensor([[0.25]]))
        tensor([[0.7500, 0.2500]])
    """

    kind: Kind
    units: int
    name: str = ""

    @property
    def two_sides(self) -> bool:
        """Return whether its only unit stands for two classes: the first where it is near 0, the second where it is near 1."""
        return self.units == 1 and _READINGS[self.kind] == "labels"

    @property
    def reading(self) -> Reading:
        """Return how scores are to be read."""
        return "distribution" if self.two_sides else _READINGS[self.kind]

    def class_names(self, names: Sequence[str] | None) -> tuple[str, ...]:
        """Return the names of the classes: their numbers without any; "not x" and "x" for two sides with one name."""
        if names is None or (self.two_sides and tuple(names) == ("0",)):
            return tuple(map(str, range(2 if self.two_sides else self.units)))
        return (f"not {names[0]}", names[0]) if self.two_sides and len(names) == 1 else tuple(names)

    def scores(self, given: torch.Tensor) -> torch.Tensor:
        """Turn what the network gives, (N, units) or (N, units, …), into scores, float32 (N, classes)."""
        values = given.float()
        if self.kind == "class_maps":
            return torch.stack([(values.argmax(1) == index).float().flatten(1).mean(1) for index in range(self.units)], 1)
        if values.ndim > 2:
            values = values.flatten(2).mean(2)
        if self.kind == "logits":
            return values.softmax(1)
        if self.kind == "log_softmax":
            return values.exp()
        if self.kind == "sigmoid_logits":
            values = values.sigmoid()
        return torch.cat([1 - values, values], 1) if self.two_sides else values

    @property
    def pictured(self) -> bool:
        """Return whether its maps make a picture: the class of each pixel, gray or colors."""
        return self.kind == "class_maps" or (self.kind == "maps" and self.units in (1, 3))

    def picture(self, given: torch.Tensor) -> torch.Tensor | None:
        """Return what maps (1, units, H, W) show: the class of each pixel, uint8 (H, W), or a picture, float32 (H, W, 1 or 3)."""
        if given.ndim != 4 or not self.pictured:
            return None
        return given[0].argmax(0).to(torch.uint8) if self.kind == "class_maps" else given[0].float().permute(1, 2, 0)

    def by_class(self, logits: torch.Tensor) -> torch.Tensor:
        """Turn what goes into the last activation, (N, units), into values (N, classes); of two sides the first is -z."""
        return torch.cat([-logits, logits], 1) if self.two_sides else logits


def kind_of(scores: torch.Tensor, last: str, *, named: bool) -> tuple[Kind, str]:
    """Tell the kind of a network's scores.

    Args:
        scores: (N, units) or maps (N, units, …) of any pass.
        last: What `last_function` says of them.
        named: Whether the network's classes have names.

    Returns:
        The kind, and why it could not be told, so that plain numbers are assumed; "" where it was told.
    """
    if scores.ndim > 2:
        return _kind_of_maps(scores.shape, last, named=named), ""
    several, values = scores.shape[1] > 1, scores.float()
    if last == "sigmoid" or (several and last in PREFERRED):
        return cast(Kind, last), ""
    if several and named and last == POOLED:
        return "logits", ""
    if several and bool((values >= 0).all()) and bool(((values.sum(1) - 1).abs() < 1e-3).all()):
        return "softmax", ""  # written with other functions
    return "numbers", _why_unknown(last, several=several)


def _why_unknown(last: str, *, several: bool) -> str:
    if not several:
        return "it gives a single number" + (", which may be a score before a sigmoid" if last == "logits" else "")
    return "its last function is not known" if last in ("", POOLED) else f"its last function is {last}"


def _kind_of_maps(shape: torch.Size, last: str, *, named: bool) -> Kind:
    """Tell classes of pixels from features, and from pictures, which have one map or three."""
    of_classes = len(shape) == 4 and last in PREFERRED and last != "sigmoid" and shape[1] < 256
    return "class_maps" if of_classes and (named or shape[1] not in (1, 3)) else "maps"


def last_function(scores: torch.Tensor) -> str:
    """Return what made scores of a pass of which autograd knows the functions.

    It is the kind if the function tells it; POOLED of features; else the name of the function, "" if there is none.
    """
    return _last(scores.grad_fn, {})


def _last(node: Any, known: dict[Any, str]) -> str:
    if node in known:
        return known[node]
    name = "" if node is None else node.name().split("Backward")[0].split("::")[-1]
    unknown = name == "WarnNotImplemented"  # as of quantized weights
    found: str = "logits" if name in _WEIGHTED else "" if unknown else _LAST.get(name, name.lower())
    if name in _MOVES | _SCALES | _POOLS:
        given = {_last(each, known) for each, _ in node.next_functions if each is not None and each.next_functions}
        only = given.pop() if len(given) == 1 else ""
        if name in _MOVES or (only == "logits" and name in _SCALES | _POOLS):
            found = only
        elif name in _POOLS:
            found = POOLED if only == "relu" else ""
    known[node] = found
    return found

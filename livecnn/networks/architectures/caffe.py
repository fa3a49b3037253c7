"""A network as Caffe wires it: layers that read and write named blobs."""

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, TypeVar

import torch
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError
from torch import nn

from livecnn.errors import ModelError, first_line, nearest
from livecnn.io.validation import explain
from livecnn.networks.architectures.caffe_layers import LARGEST, LAYERS, CaffeLayer, Count, Number, Shape, shape_text

M = TypeVar("M", bound=BaseModel)


class NetworkSpec(BaseModel):
    """The arguments of Caffe, checked."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    layers: Annotated[tuple[dict[str, JsonValue], ...], Field(min_length=1, max_length=10_000)]
    inputs: Annotated[
        dict[str, Annotated[tuple[Count, ...], Field(min_length=2, max_length=8)]], Field(min_length=1, max_length=1)
    ]
    mean_scale: Number | None = None


class Caffe(nn.Module):
    """A network that maps (N, …) to the output of its last layer; maps of one pixel are flattened to (N, C).

    Every layer is a module by its name, with its type in Caffe as `kind`. Nothing works in place, so that every layer's own
    output can be watched. Weights are not initialized.

    Args:
        layers: In the order in which they run: name, type, bottom, top, and the parameters that are not Caffe's defaults, by
            their names in caffe.proto.
        inputs: The input blob and its shape (1, …), such as {"data": [1, 3, 227, 227]}.
        mean_scale: If given, a mean picture is part of the weights, and the first layer gets (x - mean) * mean_scale.

    Attributes:
        options: The arguments again, without anything that is a default.
        blobs: By layer, the layer whose output its blob finally holds, where others work in place on it in Caffe.

    Example:
        >>> flat = {"name": "flat", "type": "Flatten", "bottom": "data", "top": "flat"}
        >>> Caffe([flat], {"data": [1, 3, 8, 8]})(torch.zeros(2, 3, 8, 8)).shape
        torch.Size([2, 192])
    """

    blobs: Mapping[str, str] = {}
    mean: torch.Tensor

    def __init__(
        self,
        layers: Sequence[Mapping[str, JsonValue]],
        inputs: Mapping[str, Sequence[int]],
        mean_scale: float | None = None,
    ) -> None:
        super().__init__()
        wiring = _validated("", NetworkSpec, {"layers": list(layers), "inputs": inputs, "mean_scale": mean_scale})
        ((self._input, shape),) = wiring.inputs.items()
        self._mean_scale = wiring.mean_scale
        self._steps = tuple(_layer(fields, number) for number, fields in enumerate(wiring.layers, 1))
        self._output = self._steps[-1].top[-1]
        _check_size(shape, f"input {self._input!r}")
        with torch.device("meta"):  # shapes without numbers
            if mean_scale is not None:
                self.register_buffer("mean", torch.empty(shape))
            self._build(shape)
        _check_size((sum(tensor.numel() for tensor in self.state_dict().values()),), "all weights")
        self.blobs = _overwriters(self._steps)
        self.options: dict[str, JsonValue] = {
            "layers": [layer.fields() for layer in self._steps],
            **wiring.model_dump(mode="json", include={"inputs", "mean_scale"}, exclude_defaults=True),
        }
        self.to_empty(device=torch.get_default_device())

    def _build(self, shape: Shape) -> None:
        """Build one layer after the other, as soon as the shapes of its inputs are known."""
        blobs = {self._input: torch.empty(shape)}
        for layer in self._steps:
            if module_name(layer.name) != layer.name:
                raise ModelError(f"layer {layer.name!r}: the name of a module is needed: without dots, and no attribute's")
            if layer.name in self._modules:
                raise ModelError(f"layer {layer.name!r}: another is called so; every layer needs a name of its own")
            try:
                bottoms = _bottoms(layer, blobs)
                module = layer.build(*(tuple(bottom.shape) for bottom in bottoms)).eval()
                tops = _tops(layer, module(*bottoms))
            except Exception as error:  # whatever a module raises when its input does not suit it
                raise ModelError(f"{where(layer.name, layer.type)}: {first_line(error)}") from error
            module.kind = layer.type  # type: ignore[assignment]  # a word, where torch expects a tensor
            self.add_module(layer.name, module)
            blobs.update(tops)
        scores = blobs[self._output]
        self._one_pixel = scores.ndim > 2 and scores.shape[2:].numel() == 1

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self._mean_scale is not None:
            x = (x - self.mean) * self._mean_scale
        blobs = {self._input: x}
        for layer in self._steps:
            output = self._modules[layer.name](*(blobs[name] for name in layer.bottom))  # type: ignore[misc]
            blobs.update(zip(layer.top, output if isinstance(output, tuple) else (output,), strict=True))
        scores = blobs[self._output]
        return scores.flatten(1) if self._one_pixel else scores


def module_name(name: str) -> str:
    """Return the name that a layer can have as a module: without dots, and not that of an attribute of every module."""
    name = name.replace(".", "_")
    return f"{name}_" if hasattr(nn.Module(), name) or name in ("blobs", "mean", "options") else name


def where(name: str, kind: str) -> str:
    """Return the words by which messages name a layer."""
    return f"layer {name!r} ({kind})"


def _layer(fields: Mapping[str, JsonValue], number: int) -> CaffeLayer:
    name, kind = fields.get("name"), fields.get("type")
    if not isinstance(kind, str) or kind not in LAYERS:
        raise ModelError(f"{where(str(name), str(kind))}: this type is not supported; {nearest(str(kind), LAYERS, len(LAYERS))}")
    return _validated(where(str(name or number), kind), LAYERS[kind], fields)


def _validated(place: str, model: type[M], data: Any) -> M:
    """Validate through JSON, whose lists are the only sequences: what a bundle's card can hold."""
    try:
        return model.model_validate_json(json.dumps(data), strict=True)
    except ValidationError as error:
        problem = explain(error, model, data)[0]
        key = ".".join(map(str, problem.location))
        raise ModelError(": ".join(filter(None, (place, key, problem.message)))) from error


def _bottoms(layer: CaffeLayer, blobs: Mapping[str, torch.Tensor]) -> list[torch.Tensor]:
    least, most = layer.bottoms
    if not least <= len(layer.bottom) <= most:
        allowed = str(least) if least == most else f"{least} to {most}"
        raise ModelError(f"found {len(layer.bottom)} bottoms; allowed: {allowed}")
    for name in layer.bottom:
        if name not in blobs:
            raise ModelError(f"bottom {name!r}: no layer before gives it; {nearest(name, blobs)}")
    return [blobs[name] for name in layer.bottom]


def _tops(layer: CaffeLayer, output: torch.Tensor | tuple[torch.Tensor, ...]) -> dict[str, torch.Tensor]:
    outputs = output if isinstance(output, tuple) else (output,)
    if len(outputs) != len(layer.top):
        raise ModelError(f"found {len(layer.top)} tops; it gives {len(outputs)}")
    for tensor in outputs:
        _check_size(tuple(tensor.shape), "its output")
    return dict(zip(layer.top, outputs, strict=True))


def _check_size(shape: Shape, what: str) -> None:
    if torch.Size(shape).numel() > LARGEST:
        raise ModelError(f"{what}: {shape_text(shape)} are more than {LARGEST} numbers")


def _overwriters(layers: Sequence[CaffeLayer]) -> dict[str, str]:
    """Return, by layer, the last of those that work in place on what it wrote."""
    writer: dict[str, str] = {}
    last: dict[str, str] = {}
    for layer in layers:
        for top in layer.top:
            if top in layer.bottom and top in writer:
                last[writer[top]] = layer.name
            else:
                writer[top] = layer.name
    return last

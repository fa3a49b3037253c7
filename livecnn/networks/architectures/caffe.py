"""A network as Caffe wires it: layers that read and write named blobs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, TypeVar

import torch
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError
from torch import nn

from livecnn.errors import ModelError, nearest
from livecnn.io.validation import explain
from livecnn.networks.architectures.caffe_layers import elementwise as _caffe_units
from livecnn.networks.architectures.caffe_layers import pooling as _caffe_pooling
from livecnn.networks.architectures.caffe_layers import reshaping as _caffe_shapes
from livecnn.networks.architectures.caffe_layers import weighted as _caffe_filters
from livecnn.networks.architectures.caffe_layers.base import LARGEST, CaffeLayer, Count, Number, Shape, shape_text

M = TypeVar("M", bound=BaseModel)

LAYERS: dict[str, type[CaffeLayer]] = {
    kind.__name__: kind
    for room in (_caffe_filters, _caffe_pooling, _caffe_units, _caffe_shapes)
    for kind in room.LAYERS
}  # fmt: skip


class NetworkSpec(BaseModel):
    """The arguments of Caffe."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    layers: Annotated[tuple[dict[str, JsonValue], ...], Field(min_length=1, max_length=10_000)]
    inputs: Annotated[
        dict[str, Annotated[tuple[Count, ...], Field(min_length=2, max_length=8)]], Field(min_length=1, max_length=1)
    ]
    mean_scale: Number | None = None


class Caffe(nn.Module):
    """(N, …) -> what the last layer gives, (N, C) if that is maps of one pixel.

    Every layer is a module by its name; its `kind` is its type in Caffe.

    layers: in the order in which they run: name, type, bottom, top, and the parameters that are not Caffe's defaults, by their
    names in caffe.proto.  inputs: the input blob and its shape (1, …), such as {"data": [1, 3, 227, 227]}.
    mean_scale: if given, a mean picture is part of the weights, and the first layer gets (x - mean) * mean_scale.

    options: the same arguments again, with nothing that is a default.
    `blobs` says whose output a layer's blob finally holds, where others work on it in place. Nothing here works in place, so
    every layer's own output can be had as well. Weights are not initialised. Raises ModelError, naming the layer.
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
        """One layer after the other, as soon as the shapes of its inputs are known."""
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
                raise ModelError(f"{where(layer.name, layer.type)}: {str(error).partition(chr(10))[0]}") from error
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
    """The name that a layer can have as a module: without dots, and none that every module's attribute has."""
    name = name.replace(".", "_")
    return f"{name}_" if hasattr(_BLANK, name) or name in ("blobs", "mean", "options") else name


_BLANK = nn.Module()


def where(name: str, kind: str) -> str:
    """How messages name a layer."""
    return f"layer {name!r} ({kind})"


def _layer(fields: Mapping[str, JsonValue], number: int) -> CaffeLayer:
    name, kind = fields.get("name"), fields.get("type")
    if not isinstance(kind, str) or kind not in LAYERS:
        raise ModelError(f"{where(str(name), str(kind))}: this type is not supported; {nearest(str(kind), LAYERS, len(LAYERS))}")
    return _validated(where(str(name or number), kind), LAYERS[kind], fields)


def _validated(place: str, model: type[M], data: Any) -> M:
    """Through JSON, whose lists are the only sequences: what a bundle's card can hold."""
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
    """By layer, the last of those that work in place on what it wrote."""
    writer: dict[str, str] = {}
    last: dict[str, str] = {}
    for layer in layers:
        for top in layer.top:
            if top in layer.bottom and top in writer:
                last[writer[top]] = layer.name
            else:
                writer[top] = layer.name
    return last

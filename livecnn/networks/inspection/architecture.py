"""What a network is made of, as data: its layers in the order in which they work, what feeds them, what each of them sees."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn

from livecnn.networks.inspection.forward_record import PICTURE, FunctionCall, record
from livecnn.networks.inspection.receptive_field import FIRST, ReceptiveField, output_field
from livecnn.networks.inspection.windows import WindowSpec, layer_kind, layer_window


@dataclass(frozen=True)
class Node:
    """A call of a layer, or of a function between layers.

    Attributes:
        name: As a Probe takes it; "relu:2" is the second call.
        type: What the program that the layer comes from calls it, "Conv2d" or "Convolution"; of a function its name.
        inputs: Names of the nodes that feed it; "" is the network's input.
        output: Size without the batch axis, (C, H, W) or (units,).
        parameters: How many, counted in the layer's first call.
        window: Of a convolution or pooling.
        field: The receptive field; None where it cannot be found.
    """

    name: str
    type: str
    inputs: tuple[str, ...]
    output: tuple[int, ...]
    parameters: int
    window: WindowSpec | None
    field: ReceptiveField | None


@dataclass(frozen=True)
class Architecture:
    """A network at work on an input of one size: its layers, what feeds them, and what each of them sees.

    Attributes:
        name: Of the network.
        input: Size of the input, (C, H, W).
        nodes: In the order in which they work.
        layers: How many layers run; a layer that is called twice counts once.
        parameters: Of the whole network.

    Example:
        >>> import livecnn
        >>> net = nn.Sequential(nn.Conv2d(1, 4, 3, stride=2), nn.ReLU())
        >>> found = livecnn.Architecture.of(net, torch.zeros(1, 1, 9, 9))
        >>> [(node.name, node.type, node.output, node.parameters) for node in found.nodes]
        [('0', 'Conv2d', (4, 4, 4), 40), ('1', 'ReLU', (4, 4, 4), 0)]
        >>> found.nodes[0].field.size
        (3, 3)
    """

    name: str
    input: tuple[int, ...]
    nodes: tuple[Node, ...]
    layers: int
    parameters: int

    @classmethod
    def of(cls, module: nn.Module, x: torch.Tensor, name: str = "") -> Architecture:
        """Find the architecture of a network by one forward pass.

        Functions between layers are nodes where torch.fx can trace the network; elsewhere their inputs feed the next layer.
        Mode, device and hooks stay as they are; whatever the network raises comes through.

        Args:
            module: The network.
            x: An input (1, C, H, W) on the network's device, whatever its values.
            name: Of the network; by default that of its class.

        Returns:
            The architecture for an input of this size.

        Example:
            >>> import livecnn
            >>> livecnn.Architecture.of(nn.Sequential(nn.Linear(4, 2)), torch.zeros(1, 4)).parameters
            10
        """
        calls = record(module, x)
        modules = [inner for inner in dict.fromkeys(call.module for call in calls) if inner is not None]
        total = sum(parameter.numel() for parameter in module.parameters())
        return cls(name or type(module).__name__, tuple(x.shape[1:]), _nodes(calls, tuple(x.shape)), len(modules), total)

    def data(self) -> dict[str, Any]:
        """Return everything as `livecnn layers --json` writes it.

        Returns:
            Dicts, lists, texts and numbers, ready for JSON; docs/layers.md describes the keys.

        Example:
            >>> import livecnn
            >>> found = livecnn.Architecture.of(nn.Sequential(nn.Linear(4, 2)), torch.zeros(1, 4), "tiny")
            >>> found.data()["model"], found.data()["nodes"][0]["output"]
            ('tiny', (2,))
        """
        return {
            "model": self.name,
            "input": list(self.input),
            "layers": self.layers,
            "parameters": self.parameters,
            "nodes": [_data(node) for node in self.nodes],
        }


def _nodes(calls: list[FunctionCall], picture: tuple[int, ...]) -> tuple[Node, ...]:
    fields: dict[int, ReceptiveField | None] = {PICTURE: FIRST}
    feeding: dict[int, tuple[str, ...]] = {PICTURE: ("",)}  # by call, the names under which it feeds others
    counted: set[nn.Parameter] = set()
    nodes = []
    for number, call in enumerate(calls):
        inputs = tuple(dict.fromkeys(name for before in call.inputs for name in feeding[before]))
        fields[number] = output_field(call, (fields[before] for before in call.inputs), picture)
        feeding[number] = (call.name,) if call.name else inputs
        if call.name:
            own = set(call.module.parameters()) - counted if call.module else set()
            counted |= own
            size = sum(parameter.numel() for parameter in own)
            nodes.append(Node(call.name, _type(call), inputs, call.shape[1:], size, layer_window(call), fields[number]))
    return tuple(nodes)


def _type(call: FunctionCall) -> str:
    return call.function if call.module is None else layer_kind(call.module) or type(call.module).__name__


def _data(node: Node) -> Mapping[str, Any]:
    window = dict.fromkeys(WindowSpec.__dataclass_fields__) if node.window is None else asdict(node.window)
    return {
        "name": node.name,
        "type": node.type,
        "inputs": node.inputs,
        "output": node.output,
        "parameters": node.parameters,
        **window,
        "receptive_field": None if node.field is None else asdict(node.field),
    }

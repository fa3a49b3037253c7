"""Architectures for tests of charts: drawn by hand, and those of real networks without their numbers."""

from collections.abc import Callable, Iterable
from functools import cache

import torch
from torch import nn

from livecnn.networks.architectures.alexnet import Alexnet
from livecnn.networks.architectures.lenet import Lenet
from livecnn.networks.architectures.resnet import Resnet
from livecnn.networks.architectures.squeezenet import Squeezenet
from livecnn.networks.architectures.tiny_xception import TinyXception
from livecnn.networks.architectures.vgg import Vgg
from livecnn.networks.inspection.architecture import Architecture, Node, WindowSpec

NETS: dict[str, tuple[Callable[[], nn.Module], tuple[int, int, int]]] = {
    "lenet": (Lenet, (1, 28, 28)),
    "alexnet": (Alexnet, (3, 224, 224)),
    "vgg16": (lambda: Vgg(16), (3, 224, 224)),
    "resnet18": (Resnet, (3, 224, 224)),
    "squeezenet": (Squeezenet, (3, 224, 224)),
    "xception": (TinyXception, (3, 112, 112)),
}


@cache
def real(name: str) -> Architecture:
    make, shape = NETS[name]
    with torch.device("meta"):
        return Architecture.of(make().eval(), torch.empty(1, *shape), name)


def node(name: str, *inputs: str, kind: str = "Conv2d") -> Node:
    """A layer, a pooling that halves its map if it is called so, or a function."""
    window = WindowSpec((2, 2), (2, 2)) if "Pool" in kind else WindowSpec((3, 3), (1, 1)) if kind == "Conv2d" else None
    return Node(name, kind, inputs, (4, 8, 8), 0, window, None)


def drawn(nodes: Iterable[Node]) -> Architecture:
    made = tuple(nodes)
    return Architecture("drawn", (1, 8, 8), made, len(made), 0)


def chain(count: int, pool: int = 0) -> Architecture:
    """So many layers in a row, n0, n1, …; every `pool`-th is a pooling."""
    kinds = ("MaxPool2d" if pool and i % pool == pool - 1 else "Conv2d" for i in range(count))
    return drawn(node(f"n{i}", f"n{i - 1}" if i else "", kind=kind) for i, kind in enumerate(kinds))

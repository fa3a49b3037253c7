"""Small networks whose ReLUs and poolings are wired in the ways that explanations have to cope with."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F


class Doubled(torch.autograd.Function):
    """Twice its input, by a step whose way back takes one gradient at a time."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        return x * 2

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        return torch.from_numpy(gradient.numpy() * 2)


class Reused(nn.Module):
    """ReLUs in place, one of them used twice, overlapping pooling; every layer's input changes sign."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(2, 6, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)
        self.pool = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.conv2 = nn.Conv2d(6, 8, 3, padding=1)
        self.conv3 = nn.Conv2d(8, 5, 3)
        self.last = nn.ReLU()
        self.fc = nn.Linear(5, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.pool(self.relu(self.conv1(x)))
        x = self.last(self.conv3(self.relu(self.conv2(x))))
        scores: torch.Tensor = self.fc(x.mean((2, 3)))
        return scores


class Functional(nn.Module):
    """Two ReLUs, the first a module, the second a function; a pooling that is a function."""

    def __init__(self, rectify: Callable[[torch.Tensor], torch.Tensor] = F.relu) -> None:
        super().__init__()
        self.rectify = rectify
        self.conv1 = nn.Conv2d(2, 4, 3)
        self.act = nn.ReLU()
        self.conv2 = nn.Conv2d(4, 4, 3)
        self.conv3 = nn.Conv2d(4, 4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv2(self.act(self.conv1(x)))
        return F.max_pool2d(self.conv3(self.rectify(x)), 2).flatten(1)


class Tiny(nn.Sequential):
    """A network of one's own, with its classes and its input pipeline."""

    input = {"kind": "plain", "size": [9, 12], "channels": 3, "mean": [0.5], "std": [0.25]}  # noqa: RUF012

    def __init__(self, *classes: str) -> None:
        self.classes = classes or ("cat", "dog")
        count = len(self.classes)
        super().__init__(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 5, 2), nn.Flatten(), nn.Linear(270, count), nn.Softmax(1))


def seeded(build: Callable[[], nn.Module]) -> nn.Module:
    torch.manual_seed(0)
    return build().eval()


def picture(*shape: int) -> torch.Tensor:
    return torch.randn(1, *shape, generator=torch.Generator().manual_seed(1))


def hooks(module: nn.Module) -> int:
    """How many hooks there are in it."""
    return sum(len(inner._forward_hooks) + len(inner._forward_pre_hooks) for inner in module.modules())


def untouched(module: nn.Module) -> bool:
    """Neither hooks nor patches, nor gradients of parameters."""
    patches = sum("forward" in vars(inner) for inner in module.modules())
    return hooks(module) == patches == 0 and all(parameter.grad is None for parameter in module.parameters())

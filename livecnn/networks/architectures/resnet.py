"""ResNet with 18 or 34 layers of weights (He et al., https://arxiv.org/abs/1512.03385), named as torchvision's."""

import torch
from torch import nn

STAGES = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}  # blocks in each of the four stages


class Block(nn.Module):
    """Two 3x3 convolutions and a way around them: maps (N, inputs, H, W) to (N, maps, H / stride, W / stride)."""

    def __init__(self, inputs: int, maps: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, maps, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(maps)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(maps, maps, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(maps)
        self.downsample: nn.Module | None = None
        if stride != 1 or inputs != maps:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, maps, 1, stride, bias=False), nn.BatchNorm2d(maps))
        self.relu2 = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        change = self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x)))))
        kept = x if self.downsample is None else self.downsample(x)
        out: torch.Tensor = self.relu2(change + kept)
        return out


class Resnet(nn.Module):
    """ResNet: maps (N, 3, H, W), usually 224x224, to logits (N, classes).

    `conv1`, then the blocks `layer1.0` to `layer4.1` (of 18 layers), each with `conv1`, `relu1`, `conv2` and `relu2`; `fc`.
    """

    def __init__(self, depth: int = 18, classes: int = 1000) -> None:
        super().__init__()
        if depth not in STAGES:
            raise ValueError(f"depth {depth}; allowed: {', '.join(map(str, STAGES))}")
        one, two, three, four = STAGES[depth]
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU()
        self.maxpool = nn.MaxPool2d(3, 2, padding=1)
        self.layer1 = _stage(one, 64, 64, stride=1)
        self.layer2 = _stage(two, 64, 128, stride=2)
        self.layer3 = _stage(three, 128, 256, stride=2)
        self.layer4 = _stage(four, 256, 512, stride=2)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(512, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        logits: torch.Tensor = self.fc(self.avgpool(x).flatten(1))
        return logits


def _stage(blocks: int, inputs: int, maps: int, stride: int) -> nn.Sequential:
    return nn.Sequential(Block(inputs, maps, stride), *(Block(maps, maps, 1) for _ in range(blocks - 1)))

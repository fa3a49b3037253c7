"""TinyXception: age and gender of a face, as in face-api.js (https://github.com/justadudewhohacks/face-api.js, AgeGenderNet).

An eighth of Xception's size (Chollet, https://arxiv.org/abs/1610.02357), without batch normalization.
"""

import torch
from torch import nn


class SeparableConv(nn.Sequential):
    """A 3x3 convolution of each map on its own, then 1x1 over the maps."""

    def __init__(self, inputs: int, maps: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(inputs, inputs, 3, padding=1, groups=inputs, bias=False)
        self.pointwise = nn.Conv2d(inputs, maps, 1)


class Reduction(nn.Module):
    """Halves the sides: maps (N, inputs, H, W) to (N, maps, H / 2, W / 2). The input of the `first` one is past a ReLU."""

    def __init__(self, inputs: int, maps: int, first: bool = False) -> None:
        super().__init__()
        self.relu0 = nn.Identity() if first else nn.ReLU()
        self.separable_conv0 = SeparableConv(inputs, maps)
        self.relu1 = nn.ReLU()
        self.separable_conv1 = SeparableConv(maps, maps)
        self.pool = nn.MaxPool2d(3, 2, ceil_mode=True)  # of even sides, TensorFlow's SAME padding: at the far ends alone
        self.expansion_conv = nn.Conv2d(inputs, maps, 1, stride=2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        maps = self.separable_conv1(self.relu1(self.separable_conv0(self.relu0(x))))
        out: torch.Tensor = self.pool(maps) + self.expansion_conv(x)
        return out


class Main(nn.Module):
    """Three separable convolutions and a way around them; keeps the shape (N, maps, H, W)."""

    def __init__(self, maps: int) -> None:
        super().__init__()
        self.relu0 = nn.ReLU()
        self.separable_conv0 = SeparableConv(maps, maps)
        self.relu1 = nn.ReLU()
        self.separable_conv1 = SeparableConv(maps, maps)
        self.relu2 = nn.ReLU()
        self.separable_conv2 = SeparableConv(maps, maps)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        change = self.separable_conv1(self.relu1(self.separable_conv0(self.relu0(x))))
        out: torch.Tensor = self.separable_conv2(self.relu2(change)) + x
        return out


class Entry(nn.Sequential):
    """The first layers, which reduce 112 pixels to 14."""

    def __init__(self) -> None:
        super().__init__()
        self.pad = nn.ZeroPad2d((0, 1, 0, 1))  # of even sides, TensorFlow's SAME padding for a stride of 2
        self.conv_in = nn.Conv2d(3, 32, 3, stride=2)
        self.relu = nn.ReLU()
        self.reduction_block_0 = Reduction(32, 64, first=True)
        self.reduction_block_1 = Reduction(64, 128)


class Middle(nn.Sequential):
    """The layers that keep the shape."""

    def __init__(self) -> None:
        super().__init__()
        self.main_block_0 = Main(128)
        self.main_block_1 = Main(128)


class Exit(nn.Sequential):
    """The last layers, up to 512 maps."""

    def __init__(self) -> None:
        super().__init__()
        self.reduction_block = Reduction(128, 256)
        self.separable_conv = SeparableConv(256, 512)
        self.relu = nn.ReLU()


class TinyXception(nn.Module):
    """TinyXception: maps (N, 3, H, W), sides multiples of 16, usually 112, to probabilities of male and female (N, 2).

    The output of the layer `age` is the age in years, (N, 1).
    """

    def __init__(self) -> None:
        super().__init__()
        self.entry_flow = Entry()
        self.middle_flow = Middle()
        self.exit_flow = Exit()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.age = nn.Linear(512, 1)
        self.gender = nn.Linear(512, 2)
        self.prob = nn.Softmax(dim=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        features = self.pool(self.exit_flow(self.middle_flow(self.entry_flow(x)))).flatten(1)
        self.age(features)  # hooks on it get the age
        probabilities: torch.Tensor = self.prob(self.gender(features))
        return probabilities

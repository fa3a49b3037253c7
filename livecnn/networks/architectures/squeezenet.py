"""SqueezeNet 1.1 (Iandola et al., https://arxiv.org/abs/1602.07360, and its authors' later version), named as torchvision's."""

import torch
from torch import nn


class Fire(nn.Module):
    """Few maps by 1x1, then half of the many by 1x1, half by 3x3: maps (N, inputs, H, W) to (N, 2 * expand, H, W)."""

    def __init__(self, inputs: int, squeeze: int, expand: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(inputs, squeeze, 1)
        self.squeeze_activation = nn.ReLU()
        self.expand1x1 = nn.Conv2d(squeeze, expand, 1)
        self.expand1x1_activation = nn.ReLU()
        self.expand3x3 = nn.Conv2d(squeeze, expand, 3, padding=1)
        self.expand3x3_activation = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.squeeze_activation(self.squeeze(x))
        parts = self.expand1x1_activation(self.expand1x1(x)), self.expand3x3_activation(self.expand3x3(x))
        return torch.cat(parts, dim=1)


class Squeezenet(nn.Module):
    """SqueezeNet: maps (N, 3, H, W), sides of 17 or more, usually 224, to logits (N, classes).

    `features.0` is the first convolution, `features.3` to `features.12` hold the eight fire modules (`features.3.squeeze`,
    `.expand1x1`, `.expand3x3`), `classifier.1` has a map a class.
    """

    def __init__(self, classes: int = 1000) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 64, 3, stride=2),
            nn.ReLU(),
            _maximum(),
            Fire(64, 16, 64),
            Fire(128, 16, 64),
            _maximum(),
            Fire(128, 32, 128),
            Fire(256, 32, 128),
            _maximum(),
            Fire(256, 48, 192),
            Fire(384, 48, 192),
            Fire(384, 64, 256),
            Fire(512, 64, 256),
        )
        self.classifier = nn.Sequential(nn.Dropout(), nn.Conv2d(512, classes, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.classifier(self.features(x))
        return logits.flatten(1)


def _maximum() -> nn.MaxPool2d:
    return nn.MaxPool2d(3, 2, ceil_mode=True)

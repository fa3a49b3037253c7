"""VGG with 11, 13, 16 or 19 layers of weights (Simonyan, Zisserman, https://arxiv.org/abs/1409.1556), named as torchvision's."""

import torch
from torch import nn

# Maps of the 3x3 convolutions, block by block; after each block comes a 2x2 maximum.
BLOCKS = {
    11: ((64,), (128,), (256,) * 2, (512,) * 2, (512,) * 2),
    13: ((64,) * 2, (128,) * 2, (256,) * 2, (512,) * 2, (512,) * 2),
    16: ((64,) * 2, (128,) * 2, (256,) * 3, (512,) * 3, (512,) * 3),
    19: ((64,) * 2, (128,) * 2, (256,) * 4, (512,) * 4, (512,) * 4),
}


class Vgg(nn.Module):
    """VGG: maps (N, 3, H, W), sides of 32 or more, usually 224, to logits (N, classes).

    `features.0` is the first convolution, `features.28` (of 16 layers) the last; `classifier.0` and `classifier.3` have 4,096
    units.
    """

    def __init__(self, depth: int = 16, classes: int = 1000) -> None:
        super().__init__()
        if depth not in BLOCKS:
            raise ValueError(f"depth {depth}; allowed: {', '.join(map(str, BLOCKS))}")
        self.features = nn.Sequential(*_convolutions(BLOCKS[depth]))
        self.avgpool = nn.AdaptiveAvgPool2d(7)
        self.classifier = nn.Sequential(
            nn.Linear(512 * 7 * 7, 4096),
            nn.ReLU(),
            nn.Dropout(),
            nn.Linear(4096, 4096),
            nn.ReLU(),
            nn.Dropout(),
            nn.Linear(4096, classes),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.classifier(self.avgpool(self.features(x)).flatten(1))
        return logits


def _convolutions(blocks: tuple[tuple[int, ...], ...]) -> list[nn.Module]:
    layers: list[nn.Module] = []
    channels = 3
    for block in blocks:
        for maps in block:
            layers += [nn.Conv2d(channels, maps, 3, padding=1), nn.ReLU()]
            channels = maps
        layers.append(nn.MaxPool2d(2, 2))
    return layers

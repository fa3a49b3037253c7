"""Networks that give what others give, layer by layer, at next to no cost: to check layouts whose weights are not at hand."""

from collections.abc import Mapping, Sequence

import torch
from torch import nn
from torch.nn import functional as F

AGE_MAPS = {
    "entry_flow.conv_in": (32, 56),
    "entry_flow.reduction_block_0.separable_conv1": (64, 56),
    "entry_flow.reduction_block_1.separable_conv1": (128, 28),
    "exit_flow.separable_conv": (512, 7),
}
DEX_MAPS = {"conv1_2": (64, 224), "conv2_2": (128, 112), "conv3_3": (256, 56), "conv5_3": (512, 14)}


class StandIn(nn.Module):
    """Random 1x1 convolutions. maps: layer -> channels and side of its maps; its single values: `age`; classes: of the scores."""

    def __init__(self, maps: Mapping[str, tuple[int, int]], classes: Sequence[str], size: int) -> None:
        super().__init__()
        self.classes = tuple(classes)
        self.input = {"kind": "plain", "size": [size, size], "channels": 3}
        self._maps = dict(maps)
        channels = 3
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            for layer, (wanted, _) in maps.items():
                self._place(layer, nn.Conv2d(channels, wanted, 1))
                channels = wanted
            self.age, self.prob = nn.Linear(channels, 1), nn.Linear(channels, len(classes))

    def _place(self, layer: str, module: nn.Module) -> None:
        *path, last = layer.split(".")
        parent: nn.Module = self
        for name in path:
            if not hasattr(parent, name):
                parent.add_module(name, nn.Module())
            parent = getattr(parent, name)
        parent.add_module(last, module)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer, (_, side) in self._maps.items():
            x = self.get_submodule(layer)(F.adaptive_avg_pool2d(x, side)).relu()
        features = x.mean((2, 3))
        self.age(features)
        scores: torch.Tensor = self.prob(features).softmax(1)
        return scores


def age() -> StandIn:
    """Layers and classes of TinyXception."""
    return StandIn(AGE_MAPS, ("male", "female"), 112)


def dex() -> StandIn:
    """Layers and classes of DEX, a VGG-16 with a class a year."""
    return StandIn(DEX_MAPS, [str(year) for year in range(101)], 224)

"""LeNet as in Caffe's MNIST example (examples/mnist/lenet.prototxt): no non-linearity but the ReLU after ip1."""

from typing import ClassVar

import torch
from torch import nn


class Lenet(nn.Module):
    """LeNet: maps (N, 1, 28, 28) to probabilities (N, 10).

    Layers: conv1 20 x 24x24, pool1 12x12, conv2 50 x 8x8, pool2 4x4; ip1 500, ip2 10.
    """

    blobs: ClassVar[dict[str, str]] = {"ip1": "relu1"}  # Caffe's ReLU works in place on ip1

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 20, 5)
        self.pool1 = nn.MaxPool2d(2, 2)
        self.conv2 = nn.Conv2d(20, 50, 5)
        self.pool2 = nn.MaxPool2d(2, 2)
        self.ip1 = nn.Linear(800, 500)
        self.relu1 = nn.ReLU()
        self.ip2 = nn.Linear(500, 10)
        self.prob = nn.Softmax(dim=1)

    def logits(self, x: torch.Tensor) -> torch.Tensor:
        """Return the scores before the softmax, (N, 10), for training."""
        x = self.pool2(self.conv2(self.pool1(self.conv1(x))))
        scores: torch.Tensor = self.ip2(self.relu1(self.ip1(x.flatten(1))))
        return scores

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        probabilities: torch.Tensor = self.prob(self.logits(x))
        return probabilities

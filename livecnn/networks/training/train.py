"""The training loop. The same pictures, recipe, seed and number of threads give the same weights."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm import tqdm

from livecnn.networks.architectures.lenet import Lenet
from livecnn.networks.pipelines.ink import InkPipeline
from livecnn.networks.training.mnist import Labels
from livecnn.types import Image

Found = npt.NDArray[np.bool_]
BOX = 20  # pixels of the longest side, of 28: LeCun's
INKED = 0.25  # a pixel counts for a digit's extent from here on, as in the ink pipeline


@dataclass(frozen=True, slots=True)
class Augment:
    """Changes (N, 1, S, S) pictures, white ink 1 on black 0, each in its own way and by its own strength from none to full."""

    rotation: float = 18.0  # degrees
    shear: float = 0.25  # tangent of the slant
    stretch: float = 0.2  # log of the ratio of height to width
    thicken: float = 0.9  # how far strokes grow, in shares of a pixel on either side
    thin: float = 0.4  # how far they shrink
    # pixels by which a coarse random field shifts the strokes (Simard, Steinkraus, Platt, "Best Practices for Convolutional
    # Neural Networks Applied to Visual Document Analysis", 2003)
    bend: float = 1.2
    knots: int = 5  # points of that field, in either direction
    zoom: float = 0.08  # log of the size, after the digit was put in its box as the ink pipeline does
    shift: float = 0.8  # pixels, likewise
    blur: float = 0.8  # share of a 3x3 binomial blur
    light: float = 0.3  # slope of the light
    fade: float = 0.15  # loss of contrast
    noise: float = 0.08  # standard deviation of the camera's noise

    def __call__(self, images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Change a batch.

        Args:
            images: float32 (N, 1, S, S) in 0..1.
            generator: Makes the changes reproducible.

        Returns:
            The same shape and range.
        """
        draw = _RandomWarp(len(images), generator)
        images = self._stroke(images, draw)
        linear = self._linear(draw)
        grid = self._boxed(images, linear, draw) + self._field(images, draw)
        return self._camera(F.grid_sample(images, grid, align_corners=False), draw)

    def _stroke(self, images: torch.Tensor, draw: _RandomWarp) -> torch.Tensor:
        """Grow or shrink strokes by a share of a pixel: a mean of the picture and its 3x3 dilation or erosion."""
        wide = F.max_pool2d(images, 3, 1, 1)
        narrow = -F.max_pool2d(-images, 3, 1, 1)
        amount = draw.either(1, 1, 1)
        grown = self.thicken * amount.clamp(min=0) * (wide - images)
        shrunk = self.thin * (-amount).clamp(min=0) * (narrow - images)
        return images + grown + shrunk

    def _linear(self, draw: _RandomWarp) -> torch.Tensor:
        """Return (N, 2, 2), from the new picture's coordinates to the old one's: rotation, slant, stretch."""
        angle = math.radians(self.rotation) * draw.either()
        slant, ratio = self.shear * draw.either(), torch.exp(0.5 * self.stretch * draw.either())
        cos, sin, zero, one = angle.cos(), angle.sin(), torch.zeros_like(angle), torch.ones_like(angle)
        turn = torch.stack([cos, -sin, sin, cos], 1).view(-1, 2, 2)
        skew = torch.stack([one, slant, zero, one], 1).view(-1, 2, 2)
        scale = torch.stack([ratio, zero, zero, 1 / ratio], 1).view(-1, 2, 2)
        return turn @ skew @ scale

    def _boxed(self, images: torch.Tensor, linear: torch.Tensor, draw: _RandomWarp) -> torch.Tensor:
        """Return the grid (N, S, S, 2) that applies `linear`, then puts the digit in its box, around its center of mass.

        The result is sampled once, so that the strokes stay sharp: a first pass only measures.
        """
        side = images.shape[-1]
        still = torch.zeros(len(images), 2, 1)
        grid = F.affine_grid(torch.cat([linear, still], 2), list(images.shape), align_corners=False)
        extent, center = _measure(F.grid_sample(images, grid, align_corners=False)[:, 0])
        zoom = (extent / BOX) * torch.exp(self.zoom * draw.either())
        aside = self.shift * torch.stack([draw.either(), draw.either()], 1) - 0.5  # MNIST's middle is pixel 14, half a pixel off
        place = center + 2 / side * aside * zoom[:, None]
        theta = torch.cat([linear * zoom.view(-1, 1, 1), linear @ place.unsqueeze(2)], 2)
        return F.affine_grid(theta, list(images.shape), align_corners=False)

    def _field(self, images: torch.Tensor, draw: _RandomWarp) -> torch.Tensor:
        side = images.shape[-1]
        coarse = draw.normal(2, self.knots, self.knots) * draw.positive(1, 1, 1)
        fine = F.interpolate(coarse, size=(side, side), mode="bicubic", align_corners=True)
        return (self.bend * 2 / side) * fine.permute(0, 2, 3, 1)

    def _camera(self, images: torch.Tensor, draw: _RandomWarp) -> torch.Tensor:
        side = images.shape[-1]
        weights = torch.tensor([1.0, 2.0, 1.0]) / 4
        soft = F.conv2d(images, torch.outer(weights, weights)[None, None], padding=1)
        images = torch.lerp(images, soft, self.blur * draw.positive(1, 1, 1))
        ramp = torch.linspace(-1, 1, side)
        slope = draw.either(1, 1, 1) * ramp.view(1, 1, 1, side) + draw.either(1, 1, 1) * ramp.view(1, 1, side, 1)
        images = images * (1 - self.fade * draw.positive(1, 1, 1)) * (1 + self.light * slope)
        grain = self.noise * draw.positive(1, 1, 1) * draw.normal(1, side, side)
        return (images + grain * images.sqrt()).clamp(0, 1)


class _RandomWarp:
    """Random numbers for a batch, scaled by a strength of each picture: some stay as they are, some change in every way."""

    def __init__(self, count: int, generator: torch.Generator) -> None:
        self._count = count
        self._generator = generator
        self._strength = torch.rand(count, generator=generator)

    def positive(self, *shape: int) -> torch.Tensor:
        """Draw (N, *shape), uniform in 0..strength."""
        strength = self._strength.view(-1, *(1 for _ in shape))
        return strength * torch.rand(self._count, *shape, generator=self._generator)

    def either(self, *shape: int) -> torch.Tensor:
        """Draw (N, *shape), uniform in -strength..strength."""
        strength = self._strength.view(-1, *(1 for _ in shape))
        return strength * (2 * torch.rand(self._count, *shape, generator=self._generator) - 1)

    def normal(self, *shape: int) -> torch.Tensor:
        """Draw (N, *shape), standard normal whatever the strength."""
        return torch.randn(self._count, *shape, generator=self._generator)


def _measure(images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Measure (N, S, S): the longest side of each digit in pixels (N,), its center of mass (N, 2) as x, y in -1..1."""
    side = images.shape[-1]
    across, down = (images.amax(axis) > INKED for axis in (1, 2))
    extent = torch.maximum(_span(across), _span(down)).clamp(min=1)
    positions = (2 * torch.arange(side) + 1) / side - 1
    mass = images.sum((1, 2)).clamp(min=1e-6)
    x, y = ((images.sum(axis) * positions).sum(1) / mass for axis in (1, 2))
    return extent, torch.stack([x, y], 1)


def _span(inked: torch.Tensor) -> torch.Tensor:
    """Count the pixels from the first to the last True of each row of bool (N, S)."""
    first = inked.float().argmax(1)
    last = inked.shape[1] - 1 - inked.flip(1).float().argmax(1)
    return (last - first + 1).float()


@dataclass(frozen=True, slots=True)
class Hyperparameters:
    """The hyperparameters of the training; found on 10,000 pictures held out of MNIST's training set.

    The learning rate follows one cycle (Smith, Topin, "Super-convergence", 2019) of AdamW (Loshchilov, Hutter, "Decoupled weight
    decay regularization", 2019), annealed along a cosine.
    """

    epochs: int = 40  # how often every picture is shown
    batch: int = 128  # pictures in a step
    rate: float = 2e-3  # the highest learning rate
    warmup: float = 0.15  # share of all steps until the highest rate is reached
    decay: float = 1e-2  # weight decay
    averaging: float = 0.999  # share of the moving average of the weights, the trained ones, that a step keeps
    augment: Augment = field(default_factory=Augment)  # changes of the pictures


def train(images: Image, labels: Labels, pipeline: InkPipeline, recipe: Hyperparameters, seed: int) -> Lenet:
    """Train a LeNet.

    Args:
        images: uint8 (N, S, S), white on black as `pipeline` shows them.
        labels: uint8 (N,) 0..9.
        pipeline: Its `mean` and `std` are applied to the pictures.
        recipe: Length, learning rate and augmentation.
        seed: Of the first weights, the order of pictures and their changes.

    Returns:
        The network in evaluation mode, with the averaged weights.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = Lenet()
    averaged = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(recipe.averaging))
    total = recipe.epochs * -(-len(images) // recipe.batch)
    optimizer = torch.optim.AdamW(network.parameters(), recipe.rate, weight_decay=recipe.decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.rate, total_steps=total, pct_start=recipe.warmup)
    with tqdm(_batches(images, labels, recipe, seed), total=total, desc="training", unit="step", disable=None) as progress:
        for pictures, digits in progress:
            loss = F.cross_entropy(network.logits((pictures - pipeline.mean) / pipeline.std), digits)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            averaged.update_parameters(network)
    network.load_state_dict(averaged.module.state_dict())
    return network.eval().requires_grad_(False)


def _batches(images: Image, labels: Labels, recipe: Hyperparameters, seed: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield every picture once an epoch, in random order, each time changed: float32 (n, 1, S, S) in 0..1, and int64 (n,)."""
    generator = torch.Generator().manual_seed(seed)
    pictures, digits = torch.tensor(images)[:, None], torch.tensor(labels).long()
    for _ in range(recipe.epochs):
        for chosen in torch.randperm(len(pictures), generator=generator).split(recipe.batch):
            yield recipe.augment(pictures[chosen].float() / 255, generator), digits[chosen]


def preprocess(images: Image, pipeline: InkPipeline) -> tuple[Image, Found]:
    """Put pictures uint8 (N, H, W) through the input pipeline, as live.

    Returns:
        What the network sees, uint8 (N, S, S), and where a digit was found (N,).
    """
    shots = (np.repeat(image[..., None], 3, axis=2) for image in images)
    progress = tqdm(shots, total=len(images), desc="reading the ink", unit="picture", disable=None)
    seen, empty = zip(*((picture.seen, picture.empty) for picture in map(pipeline, progress)), strict=True)
    return np.stack(seen), ~np.array(empty)


def accuracy(network: nn.Module, seen: Image, found: Found, labels: Labels, pipeline: InkPipeline) -> float:
    """Return the share whose highest score is the label, 0..1; a picture in which the pipeline found nothing counts as wrong."""
    with torch.inference_mode():
        pictures = torch.tensor(seen)[:, None].float() / 255
        scores = torch.cat([network((batch - pipeline.mean) / pipeline.std) for batch in pictures.split(1000)])
    return float(np.mean((scores.argmax(1).numpy() == labels) & found))

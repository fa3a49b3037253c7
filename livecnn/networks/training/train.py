"""The training loop. The same pictures, recipe, seed and number of threads give the same weights."""

from __future__ import annotations

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
from livecnn.networks.training.augment import Augment
from livecnn.networks.training.mnist import Labels
from livecnn.types import Image

Found = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Hyperparameters:
    """What the weights depend on besides pictures and seed; found on 10,000 pictures held out of MNIST's training set.

    The learning rate follows one cycle (Smith, Topin, "Super-convergence", 2019) of AdamW (Loshchilov, Hutter, "Decoupled weight
    decay regularization", 2019), annealed along a cosine.

    Attributes:
        epochs: How often every picture is shown.
        batch: Pictures in a step.
        rate: The highest learning rate.
        warmup: Share of all steps until the highest rate is reached.
        decay: Weight decay.
        averaging: Share of the moving average of the weights, the trained ones, that a step keeps.
        augment: Changes of the pictures.
    """

    epochs: int = 40
    batch: int = 128
    rate: float = 2e-3
    warmup: float = 0.15
    decay: float = 1e-2
    averaging: float = 0.999
    augment: Augment = field(default_factory=Augment)


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

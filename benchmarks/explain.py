"""Explanations of all maps of a layer, and of a whole network, against captum's neuron API; prints one line of JSON.

    python benchmarks/explain.py [--rounds 20] [--units 384] [--sample 12] [--threads 2] [--device cpu]

LeNet: guided backpropagation of each of conv2's 50 maps at its strongest position, for the same digit, on one thread. captum gets
the positions, and is asked unit by unit, as its API wants it. Both take turns; the figures are medians. `difference` is the
largest between the two results, relative to the largest value.

AlexNet as of 2012, random weights, 227x227, all 1,376 maps of its five convolutions, on `--threads` or another `--device`:
`alexnet_s` is ours, once, layer by layer; `alexnet_captum_s` is what captum takes for them, reckoned from a random sample of each
layer, which is asked right after ours; `alexnet_difference` is the largest in that sample; `alexnet_mb` is by how much the
resident memory rose at most (null where the system does not tell). Then the forward pass: `bare_ms` by itself, `maps_ms` with all
1,376 maps as normalised pictures (uint8, before any file is written), in turns, medians of `--rounds`.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import time
import warnings
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
from captum.attr import NeuronGuidedBackprop
from torch import nn

from livecnn.app.plan import CAMERA_BOX
from livecnn.engine.crop import Cropper
from livecnn.explain.api import ImageExplainer
from livecnn.explain.methods.guided_backprop import GuidedBackprop
from livecnn.networks.bundle import load
from livecnn.networks.device import pick_device
from livecnn.networks.inspection.probe import Probe
from livecnn.sources import SourceOptions, open_source
from livecnn.types import Prepared

DIGIT = 70  # a frame of the demo in which a digit lies on the paper
UNITS = range(50)
LAYERS = {"conv1": 96, "conv2": 256, "conv3": 384, "conv4": 384, "conv5": 256}


def main() -> None:
    """Measure LeNet, then AlexNet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--units", type=int, default=384, help="at most, of each convolution of AlexNet")
    parser.add_argument("--sample", type=int, default=12, help="of these, which captum is asked for")
    parser.add_argument("--threads", type=int, default=2, help="for AlexNet")
    parser.add_argument("--device", default="cpu", help="for AlexNet")
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # captum tells that it hooks ReLUs
    told = compare(options.rounds)
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    device = pick_device(options.device)
    module, x = Classic().eval().requires_grad_(False).to(device), torch.randn(1, 3, 227, 227).to(device)
    print(json.dumps({**told, **alexnet(module, x, options.units, options.sample), **forward(module, x, options.rounds)}))


class Classic(nn.Sequential):
    """Krizhevsky, Sutskever, Hinton 2012, as in Caffe's prototxt: two columns, local response normalisation."""

    input = {"kind": "plain", "size": [227, 227], "channels": 3}  # noqa: RUF012

    def __init__(self) -> None:
        layers = {
            "conv1": nn.Conv2d(3, 96, 11, 4), "relu1": nn.ReLU(), "norm1": nn.LocalResponseNorm(5), "pool1": nn.MaxPool2d(3, 2),
            "conv2": nn.Conv2d(96, 256, 5, padding=2, groups=2), "relu2": nn.ReLU(), "norm2": nn.LocalResponseNorm(5),
            "pool2": nn.MaxPool2d(3, 2), "conv3": nn.Conv2d(256, 384, 3, padding=1), "relu3": nn.ReLU(),
            "conv4": nn.Conv2d(384, 384, 3, padding=1, groups=2), "relu4": nn.ReLU(),
            "conv5": nn.Conv2d(384, 256, 3, padding=1, groups=2), "relu5": nn.ReLU(), "pool5": nn.MaxPool2d(3, 2),
            "flatten": nn.Flatten(), "fc6": nn.Linear(9216, 4096), "relu6": nn.ReLU(), "fc7": nn.Linear(4096, 4096),
            "relu7": nn.ReLU(), "fc8": nn.Linear(4096, 1000),
        }  # fmt: skip
        super().__init__(OrderedDict(layers))


def compare(rounds: int) -> dict[str, float]:
    """Medians in milliseconds of all 50 units, and their ratio."""
    module, x = load("lenet-mnist").module, digit()
    ours, theirs = GuidedBackprop(module, "conv2"), Peer(module, x, "conv2", UNITS)
    seconds: tuple[list[float], list[float]] = [], []
    for number in range(-2, rounds):  # below zero: warm-up
        pair = timed(lambda: ours.explain(x, UNITS)), timed(lambda: theirs.explain(x))
        for (took, _), taken in zip(pair, seconds, strict=True):
            if number >= 0:
                taken.append(took)
    (_, mine), (_, peer) = pair
    ours_ms, captum_ms = (1000 * statistics.median(taken) for taken in seconds)
    return {
        "ours_ms": round(ours_ms, 3),
        "captum_ms": round(captum_ms, 3),
        "vs_captum": round(captum_ms / ours_ms, 2),
        "difference": float((mine - peer).abs().max() / peer.abs().max()),
    }


class Peer:
    """captum, unit by unit."""

    def __init__(self, module: torch.nn.Module, x: torch.Tensor, layer: str, units: Sequence[int]) -> None:
        self._method = NeuronGuidedBackprop(module, module.get_submodule(layer))
        with Probe(module, [layer]) as probe:
            maps = probe(x)[1][layer][0]
        self._neurons = [(unit, *divmod(int(maps[unit].argmax()), maps.shape[2])) for unit in units]

    def explain(self, x: torch.Tensor) -> torch.Tensor:
        leaf = x.clone().requires_grad_()
        return torch.cat([self._method.attribute(leaf, neuron) for neuron in self._neurons]).detach()


def digit() -> torch.Tensor:
    with open_source("demo", SourceOptions()) as source:
        for _ in range(DIGIT):
            frame = source.read()
    assert frame is not None
    patch = Cropper(load("lenet-mnist").pipeline, CAMERA_BOX)(frame)
    return patch.prepared.tensor


def alexnet(module: torch.nn.Module, x: torch.Tensor, most: int, sample: int) -> dict[str, float | None]:
    """Seconds for all maps of all convolutions, and what they need."""
    chance = random.Random(0)
    ours_s = captum_s = difference = 0.0
    before, grown = most_memory(), None
    for layer, all_of_them in LAYERS.items():
        count = min(all_of_them, most)
        units = sorted(chance.sample(range(count), min(count, sample)))
        method, peer = GuidedBackprop(module, layer), Peer(module, x, layer, units)
        method.explain(x, [0])
        seconds, mine = timed(partial(method.explain, x, range(count)))
        ours_s += seconds
        seconds, theirs = timed(partial(peer.explain, x))
        captum_s += seconds * count / len(units)
        difference = max(difference, float((mine[units] - theirs).abs().max() / theirs.abs().max()))
    if before is not None:
        grown = round((most_memory() or 0) - before, 1)
    return {
        "alexnet_s": round(ours_s, 2),
        "alexnet_captum_s": round(captum_s, 2),
        "alexnet_vs_captum": round(captum_s / ours_s, 2),
        "alexnet_difference": difference,
        "alexnet_mb": grown,
    }


def forward(module: torch.nn.Module, x: torch.Tensor, rounds: int) -> dict[str, float]:
    """Medians in milliseconds of the pass, and of the pass with all maps as pictures."""
    explainer = ImageExplainer(module, list(LAYERS), method="activation")
    prepared = Prepared(x, np.zeros((227, 227, 3), np.uint8))

    def maps() -> torch.Tensor:
        sight = explainer.prepare(prepared)
        for question in sight.questions:
            sight.explain(question).levels()
        return x

    bare, drawn = [], []
    with torch.no_grad():
        for number in range(-2, rounds):
            pair = timed(lambda: module(x))[0], timed(maps)[0]
            if number >= 0:
                bare.append(pair[0])
                drawn.append(pair[1])
    bare_ms, maps_ms = 1000 * statistics.median(bare), 1000 * statistics.median(drawn)
    return {"bare_ms": round(bare_ms, 2), "maps_ms": round(maps_ms, 2), "maps_vs_bare": round(maps_ms / bare_ms, 2)}


def most_memory() -> float | None:
    """The most resident memory so far, in MB."""
    try:
        import resource
    except ImportError:
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def timed(work: Callable[[], torch.Tensor]) -> tuple[float, torch.Tensor]:
    start = time.perf_counter()
    result = work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start, result


if __name__ == "__main__":
    main()

"""Guided backpropagation of all maps of LeNet's conv2, against captum's neuron API; prints one line of JSON.

    python benchmarks/explain.py [--rounds 20]

Both explain each of the 50 maps at its strongest position, for the same digit, on one thread. captum gets the positions, and is
asked unit by unit, as its API wants it. Both take turns; the figures are medians. `difference` is the largest between the two
results, relative to the largest value.

alexnet: all 384 maps of its third convolution at 227x227, random weights, ours only, once; `alexnet_mb` is by how much the
resident memory rose at most (null where the system does not tell).
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
import warnings
from collections.abc import Callable

import torch
from captum.attr import NeuronGuidedBackprop

from livecnn.bundles import load
from livecnn.explain.guided_backprop import GuidedBackprop
from livecnn.nets.alexnet import Alexnet
from livecnn.patch import Cropper
from livecnn.plan import CAMERA_BOX
from livecnn.probe import Probe
from livecnn.sources import SourceOptions, open_source

DIGIT = 70  # a frame of the demo in which a digit lies on the paper
UNITS = range(50)


def main() -> None:
    """Measure both, then the memory."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--units", type=int, default=384, help="of AlexNet")
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # captum tells that it hooks ReLUs
    print(json.dumps({**compare(options.rounds), **alexnet(options.units)}))


def compare(rounds: int) -> dict[str, float]:
    """Medians in milliseconds of all 50 units, and their ratio."""
    module, x = load("lenet-mnist").module, digit()
    ours, theirs = GuidedBackprop(module, "conv2"), Peer(module, x)
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

    def __init__(self, module: torch.nn.Module, x: torch.Tensor) -> None:
        self._method = NeuronGuidedBackprop(module, module.get_submodule("conv2"))
        with Probe(module, ["conv2"]) as probe:
            maps = probe(x)[1]["conv2"][0]
        self._places = [divmod(int(one.argmax()), one.shape[1]) for one in maps]

    def explain(self, x: torch.Tensor) -> torch.Tensor:
        leaf = x.clone().requires_grad_()
        found = [self._method.attribute(leaf, (unit, *place)) for unit, place in zip(UNITS, self._places, strict=True)]
        return torch.cat(found).detach()


def digit() -> torch.Tensor:
    with open_source("demo", SourceOptions()) as source:
        for _ in range(DIGIT):
            frame = source.read()
    assert frame is not None
    patch = Cropper(load("lenet-mnist").pipeline, CAMERA_BOX)(frame)
    return patch.prepared.tensor


def alexnet(units: int) -> dict[str, float | None]:
    """How long many maps of a large network take, and what they need."""
    torch.manual_seed(0)
    module = Alexnet().eval().requires_grad_(False)
    x = torch.randn(1, 3, 227, 227)
    before = most_memory()
    seconds, _ = timed(lambda: GuidedBackprop(module, "features.6").explain(x, range(units)))
    after = most_memory()
    grown = None if before is None or after is None else round(after - before, 1)
    return {"alexnet_s": round(seconds, 2), "alexnet_mb": grown}


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
    return time.perf_counter() - start, result


if __name__ == "__main__":
    main()

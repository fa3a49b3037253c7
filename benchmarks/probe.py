"""What watching a network costs: a whole tick of the model thread against the bare forward pass; prints one line of JSON.

    python benchmarks/probe.py [--ticks 1000]

The tick is livecnn's own (hooks, scaling and tiling of the maps, copies to the host, scores), for the panels of a layout; only
the patch is ready beforehand. The bare pass is the same network as it was loaded, without hooks, on as many threads as livecnn
takes for it. Bare passes and ticks take turns; the figures are medians, the ratio is tick to bare. livecnn turns the weights of
large networks into channels-last order, in which convolutions are faster: turned_ms is a bare pass in that order, own_ratio the
tick to that, which leaves the cost of hooks, scaling, tiling and copies alone.

lenet: the shipped LeNet with its shipped layout (20 + 50 maps, 500 neurons). vgg16: VGG-16 with random weights at 224x224, the
last convolutions of four blocks (960 maps), fc7 (4,096 neurons) and 1,000 scores.
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
import time
from collections.abc import Callable
from typing import cast

import torch
from torch import nn

from livecnn.app.plan import CAMERA_BOX, make_context
from livecnn.app.screen.figure import FigureView
from livecnn.engine.crop import Cropper
from livecnn.engine.engine import WORTH_TURNING
from livecnn.engine.observer import Observer
from livecnn.layout.layout import Layout, load_layout
from livecnn.networks.bundle import Bundle, load
from livecnn.networks.pipelines.plain import PlainPipeline
from livecnn.panels.feature_maps import FeatureMapsPanel
from livecnn.panels.neurons import NeuronsPanel
from livecnn.panels.scores import ScoresPanel
from livecnn.sources import SourceOptions, open_source
from livecnn.types import Frame, Patch

DIGIT = 70  # a frame of the demo in which a digit lies on the paper
VGG_SHARE = 20  # VGG-16 takes some five hundred times longer than LeNet: it gets fewer ticks


def main() -> None:
    """Measure both networks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ticks", type=int, default=1000, help=f"ticks of LeNet; VGG-16 gets one for every {VGG_SHARE}")
    ticks = parser.parse_args().ticks
    layout = load_layout("lenet")
    figures = {"lenet": compare(load(layout.model), layout, ticks)}
    figures["vgg16"] = compare(vgg16(), vgg16_layout(), max(1, ticks // VGG_SHARE))
    print(json.dumps(figures))


def compare(bundle: Bundle, layout: Layout, ticks: int) -> dict[str, float]:
    """Medians in milliseconds of the bare passes and of the tick, and their ratios."""
    frame = demo_frame()
    cropper = Ready(bundle, frame)
    turned = without_hooks(bundle.module)
    large = sum(tensor.numel() for tensor in bundle.module.parameters()) > WORTH_TURNING
    bare = copy.deepcopy(bundle.module) if large else turned  # two copies would chase a small network out of the cache
    observer = Observer(bundle.module, cast(Cropper, cropper), torch.device("cpu"))
    observer.watch(FigureView(layout, make_context(bundle)).reducers)
    x = cropper.patch.prepared.tensor
    seconds: list[tuple[float, float, float]] = []
    with observer as observe, torch.inference_mode():
        for number in range(-max(2, ticks // 10), ticks):  # below zero: warm-up
            times = timed(lambda: bare(x)), timed(lambda: turned(x)), timed(lambda: observe(frame))
            if number >= 0:
                seconds.append(times)
    bare_ms, turned_ms, tick_ms = (1000 * statistics.median(kept) for kept in zip(*seconds, strict=True))
    ratios = {"ratio": round(tick_ms / bare_ms, 3), "own_ratio": round(tick_ms / turned_ms, 3)}
    return {"bare_ms": round(bare_ms, 4), "turned_ms": round(turned_ms, 4), "tick_ms": round(tick_ms, 4), **ratios}


def timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def without_hooks(module: nn.Module) -> nn.Module:
    """Another module over the same weights; what is hooked to the first does not run in it."""
    shared = {id(tensor): tensor for tensor in (*module.parameters(), *module.buffers())}
    return copy.deepcopy(module, cast("dict[int, object]", shared)).eval()


class Ready:
    """In the place of the Cropper: the patch is there already."""

    def __init__(self, bundle: Bundle, frame: Frame) -> None:
        self.pipeline = bundle.pipeline
        self.patch = Cropper(bundle.pipeline, CAMERA_BOX)(frame)

    def __call__(self, _frame: Frame) -> Patch:
        return self.patch


def demo_frame() -> Frame:
    with open_source("demo", SourceOptions()) as source:
        for _ in range(DIGIT):
            frame = source.read()
    assert frame is not None
    return frame


def vgg16() -> Bundle:
    """Configuration D of Simonyan and Zisserman (https://arxiv.org/abs/1409.1556) with random weights, and 1,000 classes."""
    torch.manual_seed(0)
    layers: dict[str, nn.Module] = {}
    channels = 3
    for block, (width, depth) in enumerate(((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)), start=1):
        for i in range(1, depth + 1):
            layers[f"conv{block}_{i}"] = nn.Conv2d(channels, width, 3, padding=1)
            layers[f"relu{block}_{i}"] = nn.ReLU(inplace=True)
            channels = width
        layers[f"pool{block}"] = nn.MaxPool2d(2)
    layers["flatten"] = nn.Flatten()
    for name, inputs, outputs in (("6", 512 * 7 * 7, 4096), ("7", 4096, 4096)):
        layers |= {f"fc{name}": nn.Linear(inputs, outputs), f"relu{name}": nn.ReLU(inplace=True), f"drop{name}": nn.Dropout()}
    layers["fc8"] = nn.Linear(4096, 1000)
    network = nn.Sequential()
    for name, layer in layers.items():
        network.add_module(name, layer)
    pipeline = PlainPipeline(size=(224, 224), channels=3, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
    return Bundle("vgg16", network.eval().requires_grad_(False), tuple(f"class {i}" for i in range(1000)), pipeline)


def vgg16_layout() -> Layout:
    maps = {layer: FeatureMapsPanel(layer=layer) for layer in ("conv1_2", "conv2_2", "conv3_3", "conv4_3")}
    grid = "conv1_2 conv2_2 fc7\nconv3_3 conv4_3 scores"
    return Layout(layout=grid, panels={**maps, "fc7": NeuronsPanel(layer="fc7"), "scores": ScoresPanel()})


if __name__ == "__main__":
    main()

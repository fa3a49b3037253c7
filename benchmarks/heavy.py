"""The picture beside a network that takes all processors: VGG-16 in the real window; prints one line of JSON.

    python benchmarks/heavy.py [--seconds 30]

The window shows camera, patch, scores and four layers of maps (960) of VGG-16 with random weights, for a video of 640x480 at 30
pictures a second. display_fps, frame_age_ms, model_age_ms, model_fps: see live_loop.py. bare_fps: forward passes a second of the
same network alone in a process, measured before and after, the better one; of_bare: the share of it that the live loop leaves.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from display import display
from live_loop import FPS, film, moving

NETWORK = """
import torch
from livecnn.networks.architectures.vgg import Vgg

def make():
    torch.manual_seed(0)
    return Vgg(16).eval().requires_grad_(False)
"""
LAYOUT = """
layout: |
  camera conv1 conv2
  patch  conv3 conv4
  scores conv3 conv4
panels:
  camera: {kind: camera}
  patch: {kind: patch}
  scores: {kind: scores}
  conv1: {kind: feature_maps, layer: features.2}
  conv2: {kind: feature_maps, layer: features.7}
  conv3: {kind: feature_maps, layer: features.14}
  conv4: {kind: feature_maps, layer: features.21}
"""


def main() -> None:
    """Measure; or, as the process that measures the bare network, do that."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=30, help="of video")
    parser.add_argument("--bare", type=float, metavar="SECONDS", help="print the passes a second of the bare network")
    options = parser.parse_args()
    if options.bare:
        print(bare(options.bare))
        return
    with display() as environment, TemporaryDirectory() as place:
        folder = Path(place)
        ticks = max(2, round(options.seconds * FPS))
        film(folder / "film.avi", ticks)
        (folder / "heavy_network.py").write_text(NETWORK)
        (folder / "heavy.yaml").write_text(LAYOUT)
        rates = [alone(options.seconds / 3)]
        words = ["heavy.yaml", "--source", f"video:{folder / 'film.avi'}", "--model", "heavy_network:make", "--allow-code"]
        figures = moving(folder, environment, *words, "--frames", str(ticks))
        rates.append(alone(options.seconds / 3))
    figures["bare_fps"] = round(max(rates), 2)
    figures["of_bare"] = round(figures["model_fps"] / max(rates), 3)
    print(json.dumps(figures))


def alone(seconds: float) -> float:
    command = [sys.executable, __file__, "--bare", str(max(0.5, seconds))]
    return float(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)


def bare(seconds: float) -> float:
    import torch

    names: dict[str, object] = {}
    exec(NETWORK, names)
    network, x = names["make"](), torch.rand(1, 3, 224, 224)  # type: ignore[operator]
    with torch.inference_mode():
        network(x)
        start, passes = time.perf_counter(), 0
        while time.perf_counter() - start < seconds:
            network(x)
            passes += 1
        return passes / (time.perf_counter() - start)


if __name__ == "__main__":
    main()

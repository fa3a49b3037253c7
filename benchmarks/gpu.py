"""What watching a heavy network costs on a GPU; prints one line of JSON. Needs torch and numpy only, beside livecnn's source.

    python benchmarks/gpu.py [--device cuda] [--precision tf32] [--passes 500]

DEX: VGG-16 at 224x224 with 101 classes (random weights), four layers of maps on show at what a window of 1280x720 gives them.
bare_ms: a forward pass alone, on CUDA replayed as a graph, its input on the device. tick_ms: what livecnn does for a frame:
upload of a shot of 396x396 pixels, resizing and normalising, forward pass, averaging, scaling and tiling the maps, copies of the
mosaics and the scores to the host, one wait. Both in the same precision; medians; they take turns in blocks of twenty passes.
ratio: tick to bare. host_bytes: that a tick brings to the host.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch

from livecnn.engine.engine import Engine, on_device
from livecnn.engine.reducers import MosaicReducer
from livecnn.networks.architectures.vgg import Vgg
from livecnn.networks.gpu_resize import Resize

MAPS = {"features.2": 64, "features.7": 128, "features.14": 256, "features.21": 512}
GRIDS = {64: (7, 10), 128: (10, 13), 256: (14, 19), 512: (20, 26)}
ROOM = (28, 28)  # pixels for a map, at most
BLOCK = 20  # passes
WARM_UP = 3  # blocks


def main() -> None:
    """Measure."""
    options = _options()
    device = torch.device(options.device)
    torch.manual_seed(0)
    network = Vgg(16, 101).eval().requires_grad_(False)
    shot = torch.randint(0, 256, (396, 396, 3), dtype=torch.uint8)
    resize = Resize((224, 224), 3, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), 1)
    engine = Engine(network, device, (3, 224, 224), options.precision)
    reducers = {layer: _reducer(layer, count) for layer, count in MAPS.items()}
    engine.watch(reducers)
    with engine, torch.inference_mode():
        bare = _bare(on_device(network, device, engine.precision), device, engine.precision)
        times: tuple[list[float], list[float]] = [], []
        passes = max(1, min(BLOCK, options.passes))
        for block in range(-WARM_UP, max(1, options.passes // BLOCK)):
            for kept, work in zip(times, (bare, lambda: engine(shot, resize)), strict=True):
                seconds = _timed(work, device, passes)
                kept.extend(seconds if block >= 0 else [])
        scores, views = engine(shot, resize)
    bare_ms, tick_ms = (1000 * statistics.median(kept) for kept in times)
    print(
        json.dumps(
            {
                "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
                "precision": engine.precision,
                "bare_ms": round(bare_ms, 4),
                "tick_ms": round(tick_ms, 4),
                "ratio": round(tick_ms / bare_ms, 3),
                "ticks_per_s": round(1000 / tick_ms, 1),
                "host_bytes": scores.nbytes + sum(view.codes.nbytes for view in views.values()),
            }
        )
    )


def _reducer(layer: str, count: int) -> MosaicReducer:
    reducer = MosaicReducer(layer, range(count), count, "map")
    reducer.grid, reducer.room = GRIDS[count], ROOM
    return reducer


def _bare(network: torch.nn.Module, device: torch.device, precision: str) -> Callable[[], object]:
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    x = torch.rand(1, 3, 224, 224, device=device).to(dtype).contiguous(memory_format=torch.channels_last)
    if device.type != "cuda":
        return lambda: network(x)
    stream = torch.cuda.Stream(device)
    stream.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(stream):
        for _ in range(WARM_UP):
            network(x)
    stream.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=stream):
        network(x)
    return graph.replay


def _timed(work: Callable[[], object], device: torch.device, passes: int) -> list[float]:
    """Seconds of each pass of a block, each to its end."""
    seconds = []
    for _ in range(passes):
        start = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds.append(time.perf_counter() - start)
    return seconds


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--precision", default="tf32", choices=["float32", "tf32", "bfloat16"], help="on CUDA")
    parser.add_argument("--passes", type=int, default=500, help="of each, in blocks of twenty")
    return parser.parse_args()


if __name__ == "__main__":
    main()

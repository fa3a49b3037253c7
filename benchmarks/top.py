"""What `livecnn top` costs in time and memory; prints one line of JSON.

    python benchmarks/top.py [--data FOLDER] [--few 2000] [--all 10000] [--layers conv1,conv2,ip1]

memory_few_mb, memory_all_mb: the highest resident memory of a whole run over that many pictures of MNIST as PNG files, each in a
process of its own. images_s: pictures a second of one core's time in the longer run, statistics and writing included;
bare_images_s: of decoding, input pipeline and batched forward passes of the first pictures and nothing else, before and after it.
mb_per_shard: of the longer run's shards.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SHARED = Path(os.environ.get("LIVECNN_SHARED", Path(__file__).resolve().parents[2] / "shared")) / "data"
BARE = 500  # pictures


def main() -> None:
    """Measure, or, as one of the processes that are measured, run."""
    options = _options()
    if options.run:
        print(json.dumps(_run(*options.run, options.layers)))
        return
    with tempfile.TemporaryDirectory() as folder:
        few, every = (_pictures(options.data, Path(folder), count) for count in (options.few, options.all))
        bare = _bare(every)
        one, two = (_apart(pictures, options.layers) for pictures in (few, every))
        bare = (bare + _bare(every)) / 2
    figures = {"memory_few_mb": one["mb"], "memory_all_mb": two["mb"], "growth_mb": two["mb"] - one["mb"]}
    figures |= {"images_s": options.all / two["seconds"], "bare_images_s": 1 / bare, "mb_per_shard": two["mb_per_shard"]}
    print(json.dumps({name: round(value, 2) for name, value in figures.items()}))


def _pictures(data: Path, folder: Path, count: int) -> Path:
    from PIL import Image

    from livecnn.analysis.dataset import ImageDataset

    target = folder / str(count)
    target.mkdir()
    with ImageDataset(f"idx:{data}") as pictures:
        for index in range(count):
            Image.fromarray(pictures.at(index).image).save(target / f"{index}.png")
    return target


def _bare(folder: Path) -> float:
    """Seconds for a picture."""
    import torch

    from livecnn._cv2 import one_thread
    from livecnn.analysis.dataset import ImageDataset
    from livecnn.analysis.scorer import BATCH
    from livecnn.networks.bundle import load

    bundle = load("lenet-mnist")
    torch.set_num_threads(1)  # as livecnn does for a small network
    with one_thread(), torch.no_grad(), ImageDataset(f"folder:{folder}") as pictures:
        start = time.process_time()
        count = min(BARE, len(pictures))
        for first in range(0, count, BATCH):
            shots = [pictures.at(index).image for index in range(first, min(first + BATCH, count))]
            bundle.module(torch.cat([bundle.pipeline(shot).tensor for shot in shots]))
        return (time.process_time() - start) / count


def _apart(pictures: Path, layers: str) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, __file__, "--layers", layers, "--run", str(pictures), out]
        found: dict[str, float] = json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)
        return found


def _run(pictures: str, out: str, layers: str) -> dict[str, float]:
    import livecnn

    start = time.process_time()
    livecnn.top(pictures, layers=layers, out=out)
    sizes = [path.stat().st_size for path in Path(out, "shards").glob("*.npz")]
    return {
        "seconds": time.process_time() - start,
        "mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,  # Linux counts in KiB
        "mb_per_shard": sum(sizes) / len(sizes) / 1e6,
    }


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=SHARED / "mnist")
    parser.add_argument("--few", type=int, default=2000)
    parser.add_argument("--all", type=int, default=10_000)
    parser.add_argument("--layers", default="conv1,conv2,ip1")
    parser.add_argument("--run", nargs=2, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()

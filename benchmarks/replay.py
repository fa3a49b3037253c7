"""How fast pictures become a film, a table of scores, and what that costs in memory; prints one line of JSON.

    python benchmarks/replay.py [--data FOLDER] [--pictures 100] [--scored 10000] [--few 100]

film_fps: `livecnn replay` of MNIST test pictures into a GIF at 1280x720, with the layout lenet, scores and everything else that
belongs to it; naive_fps: the same scenes, computed beforehand, through `FuncAnimation.save(PillowWriter)` of the figure with an
axes for every map (naive.py: its window is on the display that there is, or else on an Xvfb). Imports are left out.

scores_s: `livecnn replay --scores` of `scored` pictures; parts_s: decoding, input pipeline and batched forward passes of the same
pictures, measured apart and added. memory_mb: resident memory at its highest in a process of its own that scores `few` pictures
of a folder, or all of them, and films the first of them at 320x240, a tenth as many.
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
import warnings
from pathlib import Path

from display import display

SHARED = Path(os.environ.get("LIVECNN_SHARED", Path(__file__).resolve().parents[2] / "shared")) / "data"
LAYOUT = "lenet"  # that naive.py draws, too


def main() -> None:
    """Measure, or, as one of the processes whose memory is measured, replay."""
    options = _options()
    if options.peak:
        print(_peak(options.data, options.peak))
        return
    with tempfile.TemporaryDirectory() as folder, display() as environment:
        os.environ.update(environment)
        figures = {**_films(options.data, options.pictures, Path(folder)), **_scores(options.data, options.scored, Path(folder))}
        for name, count in (("few", options.few), ("all", options.scored)):
            figures[f"memory_{name}_mb"] = _memory(options.data, count)
    figures["growth_mb"] = figures["memory_all_mb"] - figures["memory_few_mb"]
    print(json.dumps({name: round(value, 2) for name, value in figures.items()}))


def _films(data: Path, count: int, folder: Path) -> dict[str, float]:
    import livecnn

    livecnn.replay(data, LAYOUT, out=folder / "warm.gif", limit=2)
    ours = livecnn.replay(data, LAYOUT, out=folder / "ours.gif", limit=count, hold=0)
    naive = _naive(data, count, folder / "naive.gif")
    rates = count / ours.seconds, count / naive
    return {"film_fps": rates[0], "naive_fps": rates[1], "vs_naive": rates[0] / rates[1]}


def _naive(data: Path, count: int, path: Path) -> float:
    """Seconds from the first picture to the finished file."""
    import torch
    from matplotlib.animation import FuncAnimation, PillowWriter

    from livecnn.album import Album
    from livecnn.figure import Screen
    from livecnn.patch import Cropper
    from livecnn.plan import Plan
    from livecnn.tick import Observer
    from livecnn.types import LoopStatus, Scene

    plan = Plan.of(LAYOUT, source="demo")
    screen = Screen(plan.layout, plan.context)
    observer = Observer(plan.bundle.module, Cropper(plan.bundle.pipeline, 1.0), torch.device("cpu"))
    observer.watch(screen.reducers)
    status = LoopStatus(display_fps=4.0, model_ms=0.3, picture_age=0.0)
    with Album(f"idx:{data}") as pictures, observer:
        frames = [pictures.at(index) for index in range(count)]
        scenes = [Scene(frame, observer(frame), status) for frame in frames]

    from naive import Naive

    drawn = Naive(scenes[0])
    warnings.filterwarnings("ignore", "Animation was deleted")  # its own, which a window would have drawn

    def draw(number: int) -> list[object]:
        drawn._scene = scenes[number]
        return drawn._tick(number)

    start = time.perf_counter()
    film = FuncAnimation(drawn.figure, draw, frames=count, cache_frame_data=False)
    film.save(path, PillowWriter(fps=4))
    return time.perf_counter() - start


def _scores(data: Path, count: int, folder: Path) -> dict[str, float]:
    import livecnn

    done = livecnn.replay(data, scores=folder / "scores.csv", limit=count)
    parts = _parts(data, count)
    return {"scores_s": done.seconds, "parts_s": parts, "vs_parts": done.seconds / parts}


def _parts(data: Path, count: int) -> float:
    import torch

    from livecnn import bundles
    from livecnn.album import Album
    from livecnn.scoring import BATCH

    bundle = bundles.load("lenet-mnist")
    spent = []
    torch.set_num_threads(1)  # as livecnn does for a network with a short pass
    start = time.perf_counter()
    with Album(f"idx:{data}") as pictures:
        shots = [pictures.at(index).image for index in range(count)]
    spent.append(time.perf_counter() - start)
    start = time.perf_counter()
    tensors = [bundle.pipeline(shot).tensor for shot in shots]
    spent.append(time.perf_counter() - start)
    batch = torch.cat(tensors)
    start = time.perf_counter()
    with torch.no_grad():
        for part in batch.split(BATCH):
            bundle.module(part)
    spent.append(time.perf_counter() - start)
    return sum(spent)


def _memory(data: Path, count: int) -> float:
    """Megabytes at the highest, in a process of its own, over a folder with that many pictures."""
    from PIL import Image

    from livecnn.album import Album

    with tempfile.TemporaryDirectory() as folder, Album(f"idx:{data}") as pictures:
        for index in range(count):
            Image.fromarray(pictures.at(index).image).save(Path(folder, f"{index}.png"))
        command = [sys.executable, __file__, "--data", folder, "--peak", str(count)]
        return float(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)


def _peak(folder: Path, count: int) -> float:
    import livecnn

    with tempfile.TemporaryDirectory() as out:
        livecnn.replay(folder, scores=Path(out, "scores.csv"))
        livecnn.replay(folder, LAYOUT, out=Path(out, "film.gif"), size=(320, 240), limit=max(1, count // 10))
    unit = 2**20 if sys.platform == "darwin" else 2**10  # of ru_maxrss
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=SHARED / "mnist", help="folder of MNIST's idx files")
    parser.add_argument("--pictures", type=int, default=100, help="in the films")
    parser.add_argument("--scored", type=int, default=10_000, help="pictures that are scored")
    parser.add_argument("--few", type=int, default=100, help="the smaller number for the comparison of memory")
    parser.add_argument("--peak", type=int, help="be one of those processes: print its memory")
    return parser.parse_args()


if __name__ == "__main__":
    main()

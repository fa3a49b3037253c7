"""How fast pictures become a film, a table of scores, and what that costs in memory; prints one line of JSON.

    python benchmarks/replay.py [--data FOLDER] [--pictures 100] [--scored 10000] [--few 100] [--filmed 2000]

film_fps: `livecnn replay` of MNIST test pictures into a GIF at 1280x720, with the layout lenet, scores and everything else that
belongs to it; naive_fps: the same scenes, computed beforehand, through `FuncAnimation.save(PillowWriter)` of the figure with an
axes for every map (naive.py: its window is on the display that there is, or else on an Xvfb). Imports are left out.

scores_s: `livecnn replay --scores` of `scored` pictures; parts_s: decoding, input pipeline and batched forward passes of the same
pictures and nothing else.

So that a machine whose load changes does no peer an injustice, half of our films and half of the parts are measured before the
other peer, half after it.

memory_few_mb, memory_all_mb: resident memory at the highest of samples taken every 20 ms, each in a process of its own, after a
replay of a few pictures has loaded everything: of `few` pictures that are scored and filmed, and of `scored` pictures that are
scored and of which the first `filmed` are filmed. These films have 320x240 pixels; ten thousand take some minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from pathlib import Path

import psutil
from display import display

SHARED = Path(os.environ.get("LIVECNN_SHARED", Path(__file__).resolve().parents[2] / "shared")) / "data"
LAYOUT = "lenet"  # that naive.py draws, too
SMALL = (320, 240)
EVERY = 0.02  # seconds, resident memory is read
WARM = 8  # pictures


def main() -> None:
    """Measure, or, as one of the processes whose memory is measured, replay."""
    options = _options()
    if options.resident:
        print(_resident(options.data, *options.resident))
        return
    with tempfile.TemporaryDirectory() as folder, display() as environment:
        os.environ.update(environment)
        figures = {**_films(options.data, options.pictures, Path(folder)), **_scores(options.data, options.scored, Path(folder))}
        figures["memory_few_mb"] = _memory(options.data, options.few, options.few)
        figures["memory_all_mb"] = _memory(options.data, options.scored, min(options.filmed, options.scored))
    figures["growth_mb"] = figures["memory_all_mb"] - figures["memory_few_mb"]
    print(json.dumps({name: round(value, 2) for name, value in figures.items()}))


def _films(data: Path, count: int, folder: Path) -> dict[str, float]:
    import livecnn

    def film(name: str, limit: int = count) -> float:
        return livecnn.replay(data, LAYOUT, out=folder / name, limit=limit, hold=0).seconds

    film("warm.gif", 2)
    before = film("before.gif")
    naive = _naive(data, count, folder / "naive.gif")
    rates = 2 * count / (before + film("after.gif")), count / naive
    return {"film_fps": rates[0], "naive_fps": rates[1], "vs_naive": rates[0] / rates[1]}


def _naive(data: Path, count: int, path: Path) -> float:
    """Seconds from the first picture to the finished file."""
    import torch
    from matplotlib.animation import FuncAnimation, PillowWriter

    from livecnn.analysis.dataset import ImageDataset
    from livecnn.app.plan import Plan
    from livecnn.app.screen.figure import FigureView
    from livecnn.engine.crop import Cropper
    from livecnn.engine.observer import Observer
    from livecnn.types import LoopStatus, Scene

    plan = Plan.of(LAYOUT, source="demo")
    screen = FigureView(plan.layout, plan.context)
    observer = Observer(plan.bundle.module, Cropper(plan.bundle.pipeline, 1.0), torch.device("cpu"))
    observer.watch(screen.reducers)
    status = LoopStatus(display_fps=4.0, model_ms=0.3, picture_age=0.0)
    with ImageDataset(f"idx:{data}") as pictures, observer:
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

    parts = _parts(data, range(count // 2))
    seconds = livecnn.replay(data, scores=folder / "scores.csv", limit=count).seconds
    parts += _parts(data, range(count // 2, count))
    return {"scores_s": seconds, "parts_s": parts, "vs_parts": seconds / parts}


def _parts(data: Path, places: range) -> float:
    import torch

    from livecnn._cv2 import one_thread
    from livecnn.analysis.dataset import ImageDataset
    from livecnn.analysis.scorer import BATCH
    from livecnn.networks.bundle import load

    bundle = load("lenet-mnist")
    torch.set_num_threads(1)  # as livecnn does for a network with a short pass
    with one_thread(), torch.no_grad(), ImageDataset(f"idx:{data}") as pictures:
        start = time.perf_counter()
        for first in range(places.start, places.stop, BATCH):
            shots = [pictures.at(index).image for index in range(first, min(first + BATCH, places.stop))]
            bundle.module(torch.cat([bundle.pipeline(shot).tensor for shot in shots]))
        return time.perf_counter() - start


def _memory(data: Path, scored: int, filmed: int) -> float:
    """Megabytes at the highest, in a process of its own, over a folder with that many pictures."""
    from PIL import Image

    from livecnn.analysis.dataset import ImageDataset

    with tempfile.TemporaryDirectory() as folder, ImageDataset(f"idx:{data}") as pictures:
        for index in range(scored):
            Image.fromarray(pictures.at(index).image).save(Path(folder, f"{index}.png"))
        command = [sys.executable, __file__, "--data", folder, "--resident", str(scored), str(filmed)]
        return float(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)


def _resident(folder: Path, scored: int, filmed: int) -> float:
    import livecnn

    def replay(name: str, scored: int, filmed: int) -> None:
        livecnn.replay(folder, scores=Path(out, f"{name}.csv"), limit=scored)
        livecnn.replay(folder, LAYOUT, out=Path(out, f"{name}.gif"), size=SMALL, limit=filmed)

    done, highest, process = threading.Event(), [0], psutil.Process()

    def sample() -> None:
        while not done.wait(EVERY):
            highest[0] = max(highest[0], process.memory_info().rss)

    with tempfile.TemporaryDirectory() as out:
        replay("warm", WARM, WARM)
        sampler = threading.Thread(target=sample)
        sampler.start()
        try:
            replay("measured", scored, filmed)
        finally:
            done.set()
            sampler.join()
    return highest[0] / 2**20


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=SHARED / "mnist", help="folder of MNIST's idx files")
    parser.add_argument("--pictures", type=int, default=100, help="in the films")
    parser.add_argument("--scored", type=int, default=10_000, help="pictures that are scored")
    parser.add_argument("--few", type=int, default=100, help="the smaller number for the comparison of memory")
    parser.add_argument("--filmed", type=int, default=2_000, help="of the pictures that are scored for the comparison of memory")
    parser.add_argument("--resident", type=int, nargs=2, help="be one of those processes: print its memory")
    return parser.parse_args()


if __name__ == "__main__":
    main()

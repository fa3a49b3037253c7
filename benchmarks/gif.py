"""GIFs of livecnn's figure, ours against ffmpeg's palettegen and paletteuse: size, likeness, time; prints JSON.

    python benchmarks/gif.py [--demo 60] [--sevens 40] [--sizes 960x540,1280x720] [--data FOLDER] [--keep FOLDER]

The pictures are those of the generic view: frames of the demo at 8 a second, and MNIST's first test pictures of a 7 at 4.
ffmpeg comes without dithering and with its other settings as they are, the best of its ways for these pictures. Both films are
decoded by Pillow; PSNR in dB is that of the squared error's mean over all pictures.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image as PillowImage

from livecnn.app.plan import input_box_share, make_context
from livecnn.app.screen.figure import FigureView
from livecnn.engine.crop import Cropper
from livecnn.engine.observer import Observer
from livecnn.io.files import write_png
from livecnn.io.recorders import find_ffmpeg, open_recorder
from livecnn.layout.layout import load_layout
from livecnn.networks.bundle import load
from livecnn.networks.training import mnist
from livecnn.sources import SourceOptions, open_source
from livecnn.types import Image, LoopStatus, Scene, SourceStatus

SHARED = Path(os.environ.get("LIVECNN_SHARED", Path(__file__).resolve().parents[2] / "shared")) / "data"
FILTER = "split[a][b];[a]palettegen[p];[b][p]paletteuse=dither=none"


def main() -> None:
    """Every kind of pictures at every size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--demo", type=int, default=60, help="how many frames of the demo; 0: none")
    parser.add_argument("--sevens", type=int, default=40, help="how many pictures of MNIST; 0: none")
    parser.add_argument("--sizes", default="960x540,1280x720")
    parser.add_argument(
        "--data", type=Path, default=SHARED / "mnist", help="folder of MNIST's idx files; downloaded where absent"
    )
    parser.add_argument("--keep", type=Path, help="folder for the films")
    options = parser.parse_args()
    told = {}
    with tempfile.TemporaryDirectory() as scratch:
        films = options.keep or Path(scratch)
        films.mkdir(parents=True, exist_ok=True)
        for size in options.sizes.split(","):
            if options.demo:
                told[f"demo_{size}"] = compared(render("demo", options.demo, size), 8, films / f"demo_{size}")
            if options.sevens:
                spec = f"folder:{sevens(options.data, Path(scratch) / 'sevens', options.sevens)}"
                told[f"mnist_{size}"] = compared(render(spec, options.sevens, size), 4, films / f"mnist_{size}")
    print(json.dumps(told))


def sevens(data: Path, folder: Path, count: int) -> Path:
    images, labels = mnist.load(data, "test")
    for number, image in enumerate(images[labels == 7][:count]):
        write_png(folder / f"{number:04}.png", image)
    return folder


def render(spec: str, count: int, size: str) -> list[Image]:
    """The figure after each of the first pictures of a source."""
    layout = load_layout("lenet", [f"figure.size={[int(side) for side in size.split('x')]}"])
    bundle = load(layout.model)
    screen = FigureView(layout, make_context(bundle))
    source = open_source(spec, SourceOptions(fps=8))
    observer = Observer(bundle.module, Cropper(bundle.pipeline, input_box_share(layout, source)), torch.device("cpu"))
    observer.watch(screen.reducers)
    pictures = []
    with source, observer as observe:
        while len(pictures) < count and (frame := source.read()) is not None:
            screen.show(Scene(frame, observe(frame), LoopStatus(SourceStatus("live", source.name))))
            screen.draw()
            pictures.append(screen.pixels().copy())
    return pictures


def compared(pictures: Sequence[Image], fps: int, stem: Path) -> dict[str, float]:
    ours, theirs = stem.with_name(f"{stem.name}.ours.gif"), stem.with_name(f"{stem.name}.ffmpeg.gif")
    start = time.perf_counter()
    with open_recorder(ours, fps=fps) as recorder:
        for number, picture in enumerate(pictures):
            recorder.add(picture, number / fps)
    between = time.perf_counter()
    by_ffmpeg(pictures, fps, theirs)
    end = time.perf_counter()
    sizes = ours.stat().st_size / 1e6, theirs.stat().st_size / 1e6
    told = {"ours_mb": sizes[0], "ffmpeg_mb": sizes[1], "size_ratio": sizes[0] / sizes[1]}
    told |= {"ours_psnr": psnr(pictures, fps, ours), "ffmpeg_psnr": psnr(pictures, fps, theirs)}
    told |= {"ours_s": between - start, "ffmpeg_s": end - between}
    return {name: round(value, 3) for name, value in told.items()}


def by_ffmpeg(pictures: Sequence[Image], fps: int, path: Path) -> None:
    height, width, _ = pictures[0].shape
    taken = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", str(fps), "-i", "-"]
    command = [find_ffmpeg(), "-loglevel", "error", "-y", *taken, "-filter_complex", FILTER, str(path)]
    subprocess.run(command, input=b"".join(picture.tobytes() for picture in pictures), check=True)


def psnr(pictures: Sequence[Image], fps: int, path: Path) -> float:
    """Of the film as it is on show in the middle of each picture's time."""
    errors, number, until = [], -1, 0.0
    with PillowImage.open(path) as film:
        for index, picture in enumerate(pictures):
            while until <= 1000 * (index + 0.5) / fps and number + 1 < film.n_frames:
                number += 1
                film.seek(number)
                shown = np.asarray(film.convert("RGB"), np.float32)
                until += film.info["duration"]
            errors.append(np.square(shown - picture).mean(dtype=np.float64))
    return float(10 * np.log10(255**2 / np.mean(errors)))


if __name__ == "__main__":
    main()

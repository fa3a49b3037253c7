"""How fresh the picture in the real window is, also beside a slow network, and what a still one costs; one line of JSON.

    python benchmarks/live_loop.py [--seconds 20] [--idle 10] [--settle 3]

fast, slow: `livecnn run` on a video of 640x480 at 30 pictures a second (made of the built-in demo), with LeNet and with a LeNet
slowed to 300 ms a pass. display_fps, frame_age_ms (since the picture's time came), duplicates and dropped are those of `--stats`;
model_age_ms is the age of the picture that the panels of the network show.
idle: cpu_percent of one core that the whole process takes while the picture stands still.

The window opens on the display that there is, or else on an Xvfb that lives as long as the benchmark.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import psutil

FPS = 30
SLOW = """
import time
from livecnn.networks.bundle import load

def make():
    bundle = load("lenet-mnist")
    network = bundle.module
    network.classes, network.input = bundle.classes, {"kind": "ink"}
    network.register_forward_pre_hook(lambda *_: time.sleep(0.3))
    return network
"""


def main() -> None:
    """Measure all three; or, as one of those runs, be the window."""
    if sys.argv[1:2] == ["--window"]:
        be_window(sys.argv[2:])
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20, help="of video, twice")
    parser.add_argument("--idle", type=float, default=10, help="seconds that the still picture is watched")
    parser.add_argument("--settle", type=float, default=3, help="seconds before that: the window has opened, caches are full")
    options = parser.parse_args()
    from display import display

    with display() as environment, TemporaryDirectory() as place:
        folder = Path(place)
        ticks = max(2, round(options.seconds * FPS))
        film(folder / "film.avi", min(4 * FPS, ticks))
        (folder / "slow.py").write_text(SLOW)
        video = ["--source", f"video:{folder / 'film.avi'}", "--frames", str(ticks)]
        figures = {
            "fast": moving(folder, environment, *video),
            "slow": moving(folder, environment, *video, "--model", "slow:make", "--allow-code"),
            "idle": {"cpu_percent": still(folder, environment, options.settle, options.idle)},
        }
    print(json.dumps(figures))


def be_window(words: list[str]) -> None:
    """The command; prints a line when the first picture is on screen, and at the end the ages of what the network saw."""
    from watched import run

    ages: list[float] = []

    def shown(scene: Any) -> None:
        if not ages:
            print("shown", flush=True)
        ages.append(1000 * (time.monotonic() - scene.tick.frame.time))

    code = run(words, shown)
    p50, p95 = np.percentile(ages, [50, 95])
    print(json.dumps({"p50": round(p50, 1), "p95": round(p95, 1)}))
    raise SystemExit(code)


def film(path: Path, count: int) -> None:
    """A digit being written, as a video file."""
    from livecnn._cv2 import cv2
    from livecnn.sources import open_source

    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), FPS, (640, 480))
    with open_source("demo") as source:
        for _ in range(count):
            frame = source.read()
            assert frame is not None
            writer.write(cv2.cvtColor(frame.image, cv2.COLOR_RGB2BGR))
    writer.release()


def moving(folder: Path, environment: Mapping[str, str], *words: str) -> dict[str, Any]:
    stats = folder / "stats.json"
    with window(folder, environment, *words, "--stats", str(stats)) as process:
        out, err = process.communicate()
    if process.returncode:
        raise SystemExit(f"live_loop: the command ended with {process.returncode}: {err}")
    told = json.loads(stats.read_text())
    kept = {key: told[key] for key in ("display_fps", "frame_age_ms", "duplicates", "dropped")}
    return {**kept, "model_age_ms": json.loads(out.splitlines()[-1]), "model_fps": told["model_fps"]}


def still(folder: Path, environment: Mapping[str, str], settle: float, seconds: float) -> float:
    """Processor time of a window with one picture, in percent of the time that passed."""
    from livecnn._cv2 import cv2

    (folder / "images").mkdir()
    cv2.imwrite(str(folder / "images" / "one.png"), np.full((480, 640, 3), 200, np.uint8))
    with window(folder, environment, "--source", f"folder:{folder / 'images'}", "--fps", "0.01") as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(settle)
            before = psutil.Process(process.pid).cpu_times()
            time.sleep(seconds)
            after = psutil.Process(process.pid).cpu_times()
        finally:
            process.terminate()
    return round(100 * (after.user + after.system - before.user - before.system) / seconds, 1)


def window(folder: Path, environment: Mapping[str, str], *words: str) -> subprocess.Popen[str]:
    command = [sys.executable, str(Path(__file__).resolve()), "--window", *words]
    return subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


if __name__ == "__main__":
    main()

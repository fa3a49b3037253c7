"""The explorer on LeNet with everything on, in the real window; prints one line of JSON.

    python benchmarks/explorer.py [--seconds 20]

Videos of 640x480, made of the built-in demo, with a digit in every picture. unit: 30 pictures a second, as a webcam gives them,
guided backpropagation of a conv2 unit, and all panels of the view. grid: the same of all 50 units. The others have 60 pictures a
second, to see what there is to spare. plain: the generic view. all: three methods of a unit, the grid of all 50, contributions,
occlusion, strongest shots, timeline. searching: the same while the preferred image of a unit is being found all the time
(another unit is selected every second).

display_fps: pictures a second on the window. unit_fps, grid_fps: different explanations a second there. of_all: display_fps of
searching as a share of that of all. strip_ms: what the architecture strip adds to a tick, median.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from display import display

UNIT = ("focus.layer=conv2", "focus.unit=31")
ALL = (
    *UNIT,
    "focus.methods=[guided_backprop, grad_cam, occlusion]",
    "focus.grid=guided_backprop",
    "focus.order=contribution",
)
RUNS = {  # pictures a second, view, where it looks
    "unit": (30, "explorer", (*UNIT, "focus.methods=[guided_backprop]")),
    "grid": (30, "explorer", (*UNIT, "focus.methods=[activation]", "focus.grid=guided_backprop")),
    "plain": (60, "lenet", ()),
    "all": (60, "explorer", ALL),
    "searching": (60, "explorer", ALL),
}


def main() -> None:
    """Measure; or, as one of the runs, be the window."""
    if sys.argv[1:2] == ["--window"]:
        be_window(sys.argv[2] == "searching", sys.argv[3:])
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20, help="of each run, about")
    options = parser.parse_args()
    with display() as environment, TemporaryDirectory() as place:
        folder = Path(place)
        figures: dict[str, Any] = {}
        for name, (fps, view, focus) in RUNS.items():
            film(folder / "film.avi", fps, 4 * fps)
            words = [name, view, "--source", f"video:{folder / 'film.avi'}", "--frames", str(max(2, round(options.seconds * 30)))]
            words += [word for assignment in focus for word in ("--set", assignment)]
            command = [sys.executable, str(Path(__file__).resolve()), "--window", *words, "--stats", "stats.json"]
            done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
            if done.returncode:
                raise SystemExit(f"explorer: the command ended with {done.returncode}: {done.stderr}")
            told = json.loads((folder / "stats.json").read_text())
            figures[name] = {"display_fps": told["display_fps"], **json.loads(done.stdout.splitlines()[-1])}
    figures["of_all"] = round(figures["searching"]["display_fps"] / figures["all"]["display_fps"], 3)
    figures["strip_ms"] = strip()
    print(json.dumps(figures))


def film(path: Path, fps: int, count: int) -> None:
    """Pictures of digits being written, those without any left out."""
    from livecnn._cv2 import cv2
    from livecnn.engine.crop import Cropper
    from livecnn.networks.bundle import load
    from livecnn.sources import open_source

    crop = Cropper(load("lenet-mnist").pipeline, 0.55)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), fps, (640, 480))
    with open_source("demo") as source:
        while count:
            frame = source.read()
            assert frame is not None
            if not crop(frame).prepared.empty:
                writer.write(cv2.cvtColor(frame.image, cv2.COLOR_RGB2BGR))
                count -= 1
    writer.release()


def be_window(searching: bool, words: list[str]) -> None:
    """The command; at the end it prints how often explanations changed."""
    from watched import run

    from livecnn.explain.live import ExplainWorker
    from livecnn.selection import Selection

    if searching:
        want, begin = ExplainWorker.want, time.monotonic()

        def restless(self: ExplainWorker, focus: Selection, *rest: Any) -> None:
            """Another unit is selected every second."""
            from dataclasses import replace

            want(self, replace(focus, unit=int(time.monotonic() - begin) % 50), *rest)

        ExplainWorker.want = restless  # type: ignore[method-assign]
    seen: dict[str, set[int]] = {"unit": set(), "grid": set()}
    kept: list[object] = []
    moments: list[float] = []

    def shown(scene: Any) -> None:
        moments.append(time.monotonic())
        findings = scene.findings
        if findings is not None:
            for what, picture in (("unit", findings.maps.get("guided_backprop")), ("grid", findings.grid)):
                if picture is not None and id(picture) not in seen[what]:
                    kept.append(picture)  # else another may come to have its number
                    seen[what].add(id(picture))

    code = run(words, shown)
    seconds = moments[-1] - moments[0]
    print(json.dumps({f"{what}_fps": round(len(found) / seconds, 1) for what, found in seen.items()}))
    raise SystemExit(code)


def strip(rounds: int = 5, ticks: int = 200) -> float:
    """Milliseconds that a tick of LeNet's strip takes, the shortest of some medians."""
    import numpy as np
    import torch

    from livecnn.app.plan import Plan
    from livecnn.app.screen.figure import FigureView
    from livecnn.engine.crop import Cropper
    from livecnn.engine.observer import Observer
    from livecnn.types import Frame, Scene

    plan = Plan.of("explorer", source="demo")
    screen = FigureView(plan.layout, plan.context, focus=plan.focus)
    frame = Frame(np.full((480, 640, 3), 200, np.uint8), 0, 0.0)
    with Observer(plan.bundle.module, Cropper(plan.bundle.pipeline, 0.5), torch.device("cpu")) as observe:
        scene = Scene(frame, observe(frame))
    screen.show(scene)
    screen.draw()
    drawer, renderer = screen.drawers["strip"], screen.canvas.get_renderer()
    medians = []
    for _ in range(rounds):
        took = []
        for _ in range(ticks):
            start = time.perf_counter()
            drawer.show(scene)
            for artist in drawer.live:
                artist.draw(renderer)
            took.append(time.perf_counter() - start)
        medians.append(median(took))
    return round(1000 * min(medians), 3)


if __name__ == "__main__":
    main()

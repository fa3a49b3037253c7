"""How long it takes until the first picture is on screen, against merely importing torch, cv2 and pyplot; one line of JSON.

    python benchmarks/startup.py [--rounds 7] [--warm-up 1]

Both are timed from the start of a process, warm (the warm-up is not counted): imports_s until the three packages are
imported, first_picture_s until `livecnn run --source demo` has its first whole picture on the window (painted, flushed, and the X
server has answered). The two take turns; the figures are medians, ratio is that of the medians. The window opens on the display
that there is, or else on an Xvfb that lives as long as the benchmark.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping

IMPORTS = "import time, torch, cv2, matplotlib.pyplot; print(time.monotonic())"


def main() -> None:
    """Measure both, in turns; or, as one of those runs, open the window."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7, help="times that each is counted")
    parser.add_argument("--warm-up", type=int, default=1, help="rounds before them that are not counted")
    parser.add_argument("--window", action="store_true", help="be one run: print the monotonic time of the first picture")
    options = parser.parse_args()
    print(open_window() if options.window else json.dumps(compare(options.rounds, options.warm_up)))


def compare(rounds: int, warm_up: int) -> dict[str, float]:
    from display import display

    with display() as environment:
        imports, pictures = [], []
        for _ in range(warm_up + rounds):
            imports.append(seconds(environment, "-c", IMPORTS))
            pictures.append(seconds(environment, __file__, "--window"))
    imported, picture = statistics.median(imports[warm_up:]), statistics.median(pictures[warm_up:])
    return {"imports_s": round(imported, 3), "first_picture_s": round(picture, 3), "ratio": round(picture / imported, 3)}


def seconds(environment: Mapping[str, str], *words: str) -> float:
    """From the start of a Python process to the moment that it prints, on the clock that all processes share."""
    start = time.monotonic()
    done = subprocess.run([sys.executable, *words], env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return float(done.stdout) - start


def open_window() -> float:
    """When the first picture of the command was on the window."""
    from watched import run

    times: list[float] = []

    def shown(_scene: object) -> None:
        from matplotlib.backends.qt_compat import QtGui

        QtGui.QGuiApplication.sync()
        times.append(time.monotonic())

    if run(["--source", "demo", "--frames", "1"], shown):
        raise SystemExit("startup: the command failed")
    return times[0]


if __name__ == "__main__":
    main()

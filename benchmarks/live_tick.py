"""Work time of a tick of the live figure, against naive matplotlib and against pyqtgraph; prints one line of JSON.

    python benchmarks/live_tick.py [--rounds 5] [--ticks 100] [--shots FOLDER]

What is shown, in all three, is the shipped generic view at 1280x720: camera 640x480, patch, prediction bars, 20 + 50 feature
maps, 500 neurons. All show the same scenes, LeNet's answers to the built-in demo, computed beforehand. A tick is timed from
entering the update until its pixels are on the window (painted, flushed, and the X server has answered); the gaps between two
ticks are left out. The peers take turns, each time in a process of its own, and the medians are over all of a peer's ticks.

ours_ms is livecnn's Screen in its Window with its timer, animation and blitting; naive_ms a FuncAnimation with an axes for every
map and a full draw (naive.py); pyqtgraph_ms a GraphicsLayoutWidget with an image item for every layer (pyqtgraph_peer.py, needs
the extra `bench`). The window opens on the display that there is, or else on an Xvfb that lives as long as the benchmark.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from display import display

PEERS = {"ours": "ours", "naive": "naive", "pyqtgraph": "pyqtgraph_peer"}  # name -> module


def main() -> None:
    """Run every peer `rounds` times and compare; or, as one of those runs, be a peer."""
    options = _options()
    if options.peer:
        print(json.dumps(_measure(options.peer, options.ticks, options.shots)))
        return
    if importlib.util.find_spec("pyqtgraph") is None:
        raise SystemExit("live_tick: pyqtgraph is not installed; `pip install pyqtgraph`, which the extra `bench` does")
    spent: dict[str, list[float]] = {peer: [] for peer in PEERS}
    with display() as environment:
        for _ in range(options.rounds):
            for peer in PEERS:
                spent[peer] += _run(peer, sys.argv[1:], environment)
    ours, naive, pyqtgraph = (statistics.median(milliseconds) for milliseconds in spent.values())
    figures = {"ours_ms": ours, "naive_ms": naive, "pyqtgraph_ms": pyqtgraph}
    ratios = {"vs_naive": naive / ours, "vs_pyqtgraph": pyqtgraph / ours}
    print(json.dumps({key: round(value, 2) for key, value in {**figures, **ratios}.items()}))


def _measure(peer: str, ticks: int, shots: Path | None) -> list[float]:
    """Milliseconds of every tick."""
    from ticking import WARM_UP, content

    screen, scenes = content(WARM_UP + ticks)
    shot = None if shots is None else shots / f"{peer}.png"
    milliseconds: list[float] = importlib.import_module(PEERS[peer]).play(screen, scenes, shot).milliseconds()
    return milliseconds


def _run(peer: str, arguments: list[str], environment: Mapping[str, str]) -> list[float]:
    command = [sys.executable, __file__, *arguments, "--peer", peer]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    milliseconds: list[float] = json.loads(done.stdout)
    return milliseconds


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="times that every peer is run")
    parser.add_argument("--ticks", type=int, default=100, help="ticks of a run that are counted")
    parser.add_argument("--shots", type=Path, help="existing folder for a screenshot of every peer's last tick")
    parser.add_argument("--peer", choices=PEERS, help="be one run of that peer: print the milliseconds of its ticks")
    return parser.parse_args()


if __name__ == "__main__":
    main()

"""Whether memory grows while livecnn runs: resident memory early and late in the real loop; prints one line of JSON.

    python benchmarks/memory.py [--ticks 20000] [--early 1000] [--window]

The three loops show the built-in demo as fast as they can, without a window unless --window is given (then on the display that
there is, or else on an Xvfb). Resident memory of the process is read after a garbage collection.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
from contextlib import ExitStack, suppress

import psutil
from display import display
from watched import run


def main() -> None:
    """Run the command in this process until the last tick."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ticks", type=int, default=20_000, help="the late tick")
    parser.add_argument("--early", type=int, default=1_000, help="the early tick")
    parser.add_argument("--window", action="store_true", help="in a window")
    options = parser.parse_args()
    if not 0 < options.early < options.ticks:
        parser.error("--early: must be at least 1 and less than --ticks")
    with ExitStack() as stack:
        if options.window:
            os.environ.update(stack.enter_context(display()))
        resident = watch(options.early, options.ticks, ["--headless"] * (not options.window))
    early, late = resident[options.early], resident[options.ticks]
    figures = {f"at_{options.early}_mb": early, f"at_{options.ticks}_mb": late, "growth_mb": late - early}
    print(json.dumps({name: round(megabytes, 1) for name, megabytes in figures.items()}))


def watch(early: int, late: int, words: list[str]) -> dict[int, float]:
    """Resident memory in MB by tick."""
    resident: dict[int, float] = {}
    ticks = 0

    def shown(_scene: object) -> None:
        nonlocal ticks
        ticks += 1
        if ticks in (early, late):
            gc.collect()
            resident[ticks] = psutil.Process().memory_info().rss / 2**20
        if ticks == late:
            raise SystemExit  # instead of --frames, with which every picture is in order where there is no window

    with suppress(SystemExit):
        run(["--source", "demo", "--fps", "1000", *words], shown)
    return resident


if __name__ == "__main__":
    main()

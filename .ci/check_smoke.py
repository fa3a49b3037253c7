"""Judge what the smoke test left in the working folder: x.gif, s.json, c.csv and one recording. Argument: how many ticks ran."""

from __future__ import annotations

import csv
import importlib.util
import json
import sys
from pathlib import Path

from PIL import Image

RATES = ["display_fps", "model_fps", "tick_ms", "frame_age_ms"]
STATS = ["ticks", "seconds", *RATES, "dropped", "duplicates", "reconnects"]
STATS += ["source_state", "source_reason", "backend", "device", "rss_mb"]
HEADER = ["index", "name", "label", "top_class", "top_score", *"0123456789"]


def frames(path: Path) -> int:
    with Image.open(path) as gif:
        assert gif.format == "GIF", f"{path}: {gif.format}"
        gif.seek(gif.n_frames - 1)
        gif.load()
        return int(gif.n_frames)


def main(ticks: int) -> None:
    package = importlib.util.find_spec("livecnn")
    assert package is not None, "livecnn is not installed"
    assert str(package.origin).startswith(sys.prefix), f"{package.origin} is not the wheel's"
    assert frames(Path("x.gif")) == ticks
    stats = json.loads(Path("s.json").read_text())
    assert list(stats) == STATS, list(stats)
    assert stats["ticks"] == ticks, stats["ticks"]
    with open("c.csv", newline="") as file:
        header, *rows = csv.reader(file)
    assert header == HEADER, header
    assert len(rows) == ticks, len(rows)
    (recording,) = Path("recordings").glob("*.gif")
    assert frames(recording) > 1, recording
    print(f"the wheel works: {ticks} ticks, {recording} of {recording.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main(int(sys.argv[1]))

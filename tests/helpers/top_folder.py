"""A folder as `livecnn top` leaves it, of the toy network of tests.helpers.panel_screen, whose input is (1, 8, 8)."""

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from livecnn.analysis.top.api import COLUMNS
from livecnn.analysis.top.results import MANIFEST, SHOTS, STATISTICS, VERSION
from livecnn.io.files import write_png

IMAGES, DEAD = 12345, 7  # a unit that was never active
BOXES = {"conv": (2, 1, 3, 3), "act_1": (-2, 1, 7, 6), "fc": (0, 0, 8, 8)}  # left, top, width, height of 8x8 pixels
PATCH, WHOLE = 240, 120  # gray levels: a patch, and less by its rank; an image


def write_top(folder: Path, units: Mapping[str, int] | None = None, k: int = 4, **about: Any) -> Path:
    """units: by layer.  about: in top.json."""
    units = units or {"conv": 12, "fc": 30}
    rows: list[tuple[Any, ...]] = []
    arrays = {}
    for number, (layer, count) in enumerate(units.items()):
        box = BOXES[layer]
        for unit in range(count):
            if unit == DEAD:
                continue
            rows += [(layer, unit, r, 100 + r, f"{r}.png", "7" * (r == 0), 9.5 - r, 1, 2, *box) for r in range(k)]
            patches = [np.full((box[3], box[2], 3), PATCH - rank, np.uint8) for rank in range(k)]
            write_png(folder / "shots" / layer / f"{unit:04d}-patch.png", np.concatenate(patches, 1))
            write_png(folder / "shots" / layer / f"{unit:04d}.png", np.full((8, 8 * k, 3), WHOLE, np.uint8))
        for name, value in {"mean": 0.3125, "active": 0.34}.items():
            arrays[f"{number}.{name}"] = np.full((3, count), value)
            arrays[f"{number}.{name}"][1:] = np.inf  # of classes
        arrays[f"{number}.active"][0, [DEAD, DEAD + 1, DEAD + 2]] = 0, 0.001, 0.999
        arrays[f"{number}.active"][0, DEAD + 3] = np.nan
    np.savez_compressed(folder / STATISTICS, allow_pickle=False, **arrays)  # type: ignore[arg-type]
    with (folder / SHOTS).open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([COLUMNS, *rows])
    layers = {
        name: {"file": name, "units": count, "map": [9, 7] * (name != "fc"), "dead": [DEAD]} for name, count in units.items()
    }
    usual = {"version": VERSION, "model": "toy", "weights": None, "classes": ["a", "b"], "images": IMAGES, "skipped": 0}
    (folder / MANIFEST).write_text(json.dumps({**usual, "layers": layers, **about}))
    return folder

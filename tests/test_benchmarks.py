from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT


def figures(script: str, *options: object) -> Any:
    """The JSON that a benchmark prints, run as a user would run it, where there is no display."""
    environment = {key: value for key, value in os.environ.items() if key not in ("DISPLAY", "WAYLAND_DISPLAY")}
    command = [sys.executable, f"benchmarks/{script}", *map(str, options)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=100)
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


@pytest.mark.skipif(shutil.which("Xvfb") is None, reason="Xvfb is not installed")
@pytest.mark.skipif(importlib.util.find_spec("pyqtgraph") is None, reason="pyqtgraph is not installed (extra bench)")
def test_live_tick(tmp_path: Path) -> None:
    told = figures("live_tick.py", "--rounds", 1, "--ticks", 3, "--shots", tmp_path)
    assert list(told) == ["ours_ms", "naive_ms", "pyqtgraph_ms", "vs_naive", "vs_pyqtgraph"]
    assert told["vs_naive"] == pytest.approx(told["naive_ms"] / told["ours_ms"], rel=0.01)
    assert told["vs_pyqtgraph"] == pytest.approx(told["pyqtgraph_ms"] / told["ours_ms"], rel=0.01)
    assert {shot.name for shot in tmp_path.iterdir()} == {"ours.png", "naive.png", "pyqtgraph.png"}


def test_probe() -> None:
    told = figures("probe.py", "--ticks", 1)
    assert list(told) == ["lenet", "vgg16"]
    for measured in told.values():
        assert list(measured) == ["bare_ms", "tick_ms", "ratio"]
        assert measured["ratio"] == pytest.approx(measured["tick_ms"] / measured["bare_ms"], rel=0.01)

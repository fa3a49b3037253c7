import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.mnist_files import typeset, write_mnist
from tests.helpers.paths import ROOT

needs_xvfb = pytest.mark.skipif(shutil.which("Xvfb") is None, reason="Xvfb is not installed")


def figures(script: str, *options: object) -> Any:
    """The JSON that a benchmark prints, run as a user would run it, where there is no display."""
    environment = {key: value for key, value in os.environ.items() if key not in ("DISPLAY", "WAYLAND_DISPLAY")}
    command = [sys.executable, f"benchmarks/{script}", *map(str, options)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=100)
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


@needs_xvfb
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
        assert list(measured) == ["bare_ms", "turned_ms", "tick_ms", "ratio", "own_ratio"]
        assert measured["ratio"] == pytest.approx(measured["tick_ms"] / measured["bare_ms"], rel=0.01)


@pytest.mark.skipif(importlib.util.find_spec("captum") is None, reason="captum is not installed (extra explain)")
def test_explain() -> None:
    told = figures("explain.py", "--rounds", 1, "--units", 2, "--sample", 1)
    assert list(told) == [
        "ours_ms", "captum_ms", "vs_captum", "difference", "alexnet_s", "alexnet_captum_s", "alexnet_vs_captum",
        "alexnet_difference", "alexnet_mb", "bare_ms", "maps_ms", "maps_vs_bare",
    ]  # fmt: skip
    assert told["alexnet_difference"] < 1e-5
    assert told["maps_vs_bare"] == pytest.approx(told["maps_ms"] / told["bare_ms"], rel=0.01)
    assert told["vs_captum"] == pytest.approx(told["captum_ms"] / told["ours_ms"], rel=0.01)
    assert told["difference"] < 1e-5


@pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in ("openTSNE", "sklearn")),
    reason="the extras bench and embed are not installed",
)
def test_embed(tmp_path: Path) -> None:
    write_mnist(tmp_path, *typeset(80), "test")
    told = figures("embed.py", "--data", tmp_path)
    assert list(told) == ["n", "ours_s", "sklearn_s", "ratio", "ours_trust", "ours_knn", "sklearn_trust", "sklearn_knn"]
    assert told["n"] == 80
    assert all(0.5 < told[name] <= 1 for name in ("ours_trust", "ours_knn"))


@needs_xvfb
def test_startup() -> None:
    told = figures("startup.py", "--rounds", 1, "--warm-up", 0)
    assert list(told) == ["imports_s", "first_picture_s", "ratio"]
    assert told["ratio"] == pytest.approx(told["first_picture_s"] / told["imports_s"], abs=0.01)


@pytest.mark.parametrize("words", [[], pytest.param(["--window"], marks=needs_xvfb)])
def test_memory(words: list[str]) -> None:
    told = figures("memory.py", "--early", 2, "--ticks", 4, *words)
    assert list(told) == ["at_2_mb", "at_4_mb", "growth_mb"]
    assert told["growth_mb"] == pytest.approx(told["at_4_mb"] - told["at_2_mb"], abs=0.11)


@needs_xvfb
def test_live_loop() -> None:
    told = figures("live_loop.py", "--seconds", 0.7, "--idle", 0.3, "--settle", 0)
    assert list(told) == ["fast", "slow", "idle"]
    for measured in (told["fast"], told["slow"]):
        assert measured["display_fps"] <= 40
        assert measured["frame_age_ms"]["p50"] <= measured["frame_age_ms"]["p95"]
    assert told["slow"]["model_age_ms"]["p50"] > 300


@pytest.mark.skipif(shutil.which("Xvfb") is None or shutil.which("openbox") is None, reason="Xvfb or openbox is not installed")
def test_soak(tmp_path: Path) -> None:
    command = [sys.executable, "benchmarks/soak.py", "--minutes", "0.04", "--seed", "1547", "--json", str(tmp_path / "soak.json")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=200)
    told = json.loads((tmp_path / "soak.json").read_text())
    assert (told["exit_code"], told["errors"], done.stderr) == (0, [], "")
    assert told["frames"] > 0
    assert "cut" in told["faults"]
    assert all(tally["faults"] == tally["recovered"] > 0 for tally in told["faults"].values())
    assert done.stdout.splitlines()[0].split() == ["fault", "made", "recovered"]


@pytest.mark.skipif(importlib.util.find_spec("imageio_ffmpeg") is None, reason="imageio-ffmpeg is not installed (extra video)")
def test_gif(tmp_path: Path) -> None:
    told = figures("gif.py", "--demo", 3, "--sevens", 0, "--sizes", "640x360", "--keep", tmp_path)
    assert list(told) == ["demo_640x360"]
    measured = told["demo_640x360"]
    assert list(measured) == ["ours_mb", "ffmpeg_mb", "size_ratio", "ours_psnr", "ffmpeg_psnr", "ours_s", "ffmpeg_s"]
    assert measured["size_ratio"] <= 1.1
    assert measured["ours_psnr"] >= measured["ffmpeg_psnr"]
    assert {film.name for film in tmp_path.iterdir()} == {"demo_640x360.ours.gif", "demo_640x360.ffmpeg.gif"}


@needs_xvfb
def test_gpu_needs_torch_and_numpy_only() -> None:
    """On this machine's fastest device, without the packages that a bare GPU machine lacks."""
    absent = ("cv2", "PIL", "click", "matplotlib", "pydantic", "platformdirs", "psutil", "safetensors", "tqdm", "yaml")
    code = "import runpy, sys; sys.modules.update(dict.fromkeys(sys.argv[1].split()))\n"
    code += "sys.argv = ['gpu.py', '--passes', '1']; runpy.run_path('benchmarks/gpu.py', run_name='__main__')"
    command = [sys.executable, "-c", code, " ".join(absent)]
    told = json.loads(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=100).stdout)
    assert list(told) == ["device", "precision", "bare_ms", "tick_ms", "ratio", "ticks_per_s", "host_bytes"]
    assert 101 * 4 < told["host_bytes"] < 4 * 20 * 26 * 28 * 28
    assert told["ratio"] == pytest.approx(told["tick_ms"] / told["bare_ms"], rel=0.01)


@needs_xvfb
def test_heavy() -> None:
    told = figures("heavy.py", "--seconds", 0.3)
    shown = ["display_fps", "frame_age_ms", "duplicates", "dropped", "model_age_ms"]
    assert list(told) == [*shown, "model_fps", "bare_fps", "of_bare"]


def test_replay(shared: Path) -> None:
    told = figures("replay.py", "--data", shared / "mnist", "--pictures", 2, "--scored", 6, "--few", 3, "--filmed", 3)
    assert list(told) == [
        "film_fps", "naive_fps", "vs_naive", "scores_s", "parts_s", "vs_parts", "memory_few_mb", "memory_all_mb", "growth_mb",
    ]  # fmt: skip
    assert told["vs_naive"] == pytest.approx(told["film_fps"] / told["naive_fps"], rel=0.05)
    assert told["growth_mb"] == pytest.approx(told["memory_all_mb"] - told["memory_few_mb"], abs=0.02)


@pytest.mark.skipif(importlib.util.find_spec("resource") is None, reason="this system does not tell the most memory")
def test_caffe_import(tmp_path: Path) -> None:
    text = 'input: "x" input_dim: [1, 3, 8, 8] layer { name: "fc" type: "InnerProduct" bottom: "x" top: "y" '
    (tmp_path / "small.prototxt").write_text(text + "inner_product_param { num_output: 20000 } }")
    told = figures("caffe_import.py", "--prototxt", tmp_path / "small.prototxt")
    assert list(told) == ["file_mb", "seconds", "peak_mb", "ratio"]
    assert told["file_mb"] == pytest.approx(20000 * 193 * 4 / 1e6, rel=0.01)
    assert told["ratio"] == pytest.approx(told["peak_mb"] / told["file_mb"], rel=0.01)


def test_top(tmp_path: Path) -> None:
    write_mnist(tmp_path, *typeset(8), "test")
    told = figures("top.py", "--data", tmp_path, "--few", 4, "--all", 8, "--layers", "conv1")
    assert list(told) == ["memory_few_mb", "memory_all_mb", "growth_mb", "images_s", "bare_images_s", "mb_per_shard"]
    assert told["growth_mb"] == pytest.approx(told["memory_all_mb"] - told["memory_few_mb"], abs=0.02)


def test_zoo(tmp_path: Path) -> None:
    command = [sys.executable, "benchmarks/zoo.py", "--only", "lenet", "--json", str(tmp_path / "table.json")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=100)
    assert json.loads(done.stdout.splitlines()[-1]) == {"networks": 1, "wrong": [], "refused": 0}
    (row,) = json.loads((tmp_path / "table.json").read_text())
    assert row == {"network": "lenet", "layers": "7, 0e+00", "run": "ok", "methods": "ok", "dream": "ok"}

"""The same shards on a real Ray, of which a worker is killed."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import socket
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from livecnn import scanning, shards
from livecnn.cli import main
from livecnn.errors import UsageError
from livecnn.ray_engine import on_ray
from livecnn.scans import Scan
from tests.tiny_mnist import typeset, write_mnist

Output = pytest.CaptureFixture[str]
with_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed")

# In a process of its own: Ray leaves threads and handlers behind, and warns.
CLUSTER = """
import json, sys
import psutil, ray
from livecnn import ray_engine, scanning, shards
from pathlib import Path

folder, out = sys.argv[1:]
ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
killed = []

def engine(job, missing):
    for finished in ray_engine.on_ray()(job, missing):
        if not killed:
            workers = [each for each in psutil.Process().children(recursive=True) if "MapWorker" in "".join(each.cmdline())]
            workers[0].kill()
            killed.append(workers[0].pid)
        yield finished

job = scanning._job(folder, "lenet-mnist", ("conv1", "ip2"), 4, 4, "centre", "auto", allow_code=False)
shards.run(job, Path(out), engine)
open_still = ray.is_initialized()
Path(f"{out}.json").write_text(json.dumps({"killed": killed, "open_still": open_still}))
"""


@with_ray
@pytest.mark.timeout(300)  # processes start slowly on a busy machine
def test_a_cluster_gives_what_one_machine_gives_though_a_worker_is_killed(tmp_path: Path) -> None:
    folder = tmp_path / "digits"
    folder.mkdir()
    write_mnist(folder, *typeset(40), "test")
    job = scanning._job(folder, "lenet-mnist", ("conv1", "ip2"), 4, 4, "centre", "auto", allow_code=False)
    alone = shards.run(job, tmp_path / "alone")
    command = [sys.executable, "-c", CLUSTER, folder, tmp_path / "ray"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads((tmp_path / "ray.json").read_text())
    assert len(told["killed"]) == 1
    assert told["open_still"]  # the connection is the program's own
    assert sorted(path.name for path in (tmp_path / "ray").iterdir()) == [*(f"{n:05d}.npz" for n in range(10)), "job.json"]
    assert_same(shards.run(job, tmp_path / "ray", None), alone)  # type: ignore[arg-type]


def assert_same(one: Scan, other: Scan) -> None:
    assert one.sizes.tolist() == other.sizes.tolist()
    for name, layer in one.layers.items():
        for key, array in layer.arrays().items():
            expected = other.layers[name].arrays()[key]
            if key in ("best.images", "best.positions", "moments.count"):
                assert np.array_equal(array, expected)
            elif not key.startswith("sketch"):  # a value between two bins may fall into either
                assert array == pytest.approx(expected, rel=1e-6, abs=1e-6)
        for share in (0.05, 0.5, 0.95):
            assert layer.sketch.quantile(share) == pytest.approx(
                other.layers[name].sketch.quantile(share), rel=0.021, nan_ok=True
            )


def test_without_ray(tmp_path: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    assert main(["top", str(tmp_path), "--layers", "conv1", "--engine", "ray", "--out", str(tmp_path / "d")]) == 2
    assert capsys.readouterr().err == "livecnn: --engine ray: Ray is not installed; pip install livecnn[scan]\n"


@with_ray
def test_no_cluster_at_that_address(tmp_path: Path) -> None:
    write_mnist(tmp_path, *typeset(4), "test")
    words = ["top", tmp_path, "--layers", "conv1", "--engine", "ray", "--address", "127.0.0.1:1", "--out", tmp_path / "d"]
    done = subprocess.run([sys.executable, "-m", "livecnn", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("livecnn: --engine ray: no cluster at 127.0.0.1:1: ")


class FakeRay:
    """A cluster of four GPUs that works in this process, or cannot be reached, or fails."""

    def __init__(self, error: Exception | None = None, failure: Exception | None = None) -> None:
        self.error, self.failure = error, failure
        self.started: list[Any] = []
        self.options: dict[str, Any] = {}
        self.stopped = 0
        self.data = self
        self.exceptions = types.SimpleNamespace(RayError=RuntimeError)
        self.DataContext = types.SimpleNamespace(get_current=types.SimpleNamespace)

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("ray", "ray.data", "ray.exceptions"):
            monkeypatch.setitem(sys.modules, name, self.exceptions if name == "ray.exceptions" else self)

    def is_initialized(self) -> bool:
        return False

    def init(self, address: str | None, **options: Any) -> None:
        self.started.append(address)
        if self.error is not None:
            raise self.error

    def shutdown(self) -> None:
        self.stopped += 1

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": 16.0, "GPU": 4.0}

    def ActorPoolStrategy(self, min_size: int, max_size: int) -> int:
        return max_size

    def from_items(self, items: list[Any], override_num_blocks: int) -> FakeRay:
        self.items = items
        return self

    def map(self, kind: Any, fn_constructor_args: tuple[Any, ...], **options: Any) -> FakeRay:
        self.work, self.options = kind(*fn_constructor_args), options
        return self

    def iter_rows(self) -> Iterator[Any]:
        for item in self.items:
            yield self.work(item)
            if self.failure is not None:
                raise self.failure


@pytest.fixture
def job(tmp_path: Path) -> shards.Job:
    write_mnist(tmp_path, *typeset(8), "test")
    return scanning._job(tmp_path, "lenet-mnist", ("conv1",), 2, 2, "centre", "auto", allow_code=False)


def test_shards_come_back_and_the_cluster_is_left(job: shards.Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ray = FakeRay()
    ray.install(monkeypatch)
    found = shards.run(job, tmp_path / "ray", on_ray())
    assert_same(found, shards.run(job, tmp_path / "alone"))
    assert (ray.started, ray.stopped) == ([None], 1)
    assert ray.options == {"compute": 4, "num_gpus": 1, "num_cpus": 0}
    list(on_ray()(dataclasses.replace(job, device="cpu"), [0, 1, 2]))
    assert ray.options == {"compute": 3, "num_cpus": 1}


def test_a_shard_that_fails_keeps_the_others(job: shards.Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ray = FakeRay(failure=RuntimeError("traceback\n  of lines\nlivecnn.errors.SourceError: idx x: gone\n"))
    ray.install(monkeypatch)
    with pytest.raises(UsageError, match=r"^--engine ray: a shard failed: SourceError: idx x: gone; finished ones are kept$"):
        shards.run(job, tmp_path / "ray", on_ray())
    assert ray.stopped == 1
    assert (tmp_path / "ray" / "00000.npz").exists()


def test_a_cluster_that_refuses(job: shards.Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"ray://127.0.0.1:{server.getsockname()[1]}"
        FakeRay(error=ConnectionError("another version\nof Ray")).install(monkeypatch)
        with pytest.raises(UsageError, match=f"^--engine ray: no cluster at {address}: another version$"):
            shards.run(job, tmp_path / "ray", on_ray(address))

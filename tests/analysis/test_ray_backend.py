"""The same shards on a real Ray, of which a worker is killed."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

import livecnn
from livecnn.analysis.dataset import ImageDataset
from livecnn.analysis.ray_backend import ray_engine
from livecnn.analysis.top import api as scanning
from livecnn.analysis.top.scan import TopJob
from livecnn.cli import main
from livecnn.errors import UsageError
from tests.helpers.mnist_files import typeset, write_mnist

Output = pytest.CaptureFixture[str]
with_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed")

# In a process of its own: Ray leaves threads and handlers behind, and warns.
PROGRAM = """
import sys
import ray
import livecnn

folder, out = sys.argv[1:]
ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False)
made = livecnn.embed(folder, layer="ip1", method="pca", engine="ray", limit=40)
open(out, "wb").write(made.data())
assert ray.is_initialized()  # the connection is the program's own
"""


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("digits")
    write_mnist(folder, *typeset(240), "test")
    return folder


@with_ray
@pytest.mark.timeout(900)  # processes start slowly on a busy machine
def test_a_cluster_gives_what_one_machine_gives_though_a_worker_is_killed(digits: Path, tmp_path: Path) -> None:
    words = ["top", digits, "--layers", "conv1,ip2", "--k", "4", "--shard", "2", "--out"]
    assert main([*map(str, words), str(tmp_path / "alone")]) == 0
    command = [sys.executable, "-m", "livecnn", *words, tmp_path / "ray", "--engine", "ray"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        kill_a_worker(running, tmp_path / "ray" / "shards")
        told = running.communicate()
    assert running.returncode == 0, told
    assert told[0] == f"{tmp_path / 'ray'}: 30 units of 2 layers, 240 images\n"
    assert "Actor" not in told[1]
    assert_same_folders(tmp_path / "ray", tmp_path / "alone")


def kill_a_worker(running: subprocess.Popen[str], shards: Path) -> None:
    """As soon as one is finished, and in the middle of the others, which are not handed out meanwhile."""
    while not list(shards.glob("*.npz")):
        assert running.poll() is None, running.communicate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            running.wait(0.02)
    running.send_signal(signal.SIGSTOP)
    workers = [each for each in psutil.Process(running.pid).children(recursive=True) if is_worker(each)]
    workers[0].kill()
    assert len(list(shards.glob("*.npz"))) < 120
    running.send_signal(signal.SIGCONT)


def is_worker(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return "MapWorker" in "".join(process.cmdline())
    return False


def assert_same_folders(one: Path, other: Path) -> None:
    files = [sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()) for folder in (one, other)]
    assert files[0] == files[1]
    assert json.loads((one / "top.json").read_text()) == json.loads((other / "top.json").read_text())
    for name in ("shots.csv", "units.csv", "correlation.csv"):
        rows = [list(csv.reader((folder / name).read_text().splitlines())) for folder in (one, other)]
        assert len(rows[0]) == len(rows[1]) > 1
        assert all(same(a, b) for pair in zip(*rows, strict=True) for a, b in zip(*pair, strict=True))


def same(one: str, other: str) -> bool:
    return one == other or float(one) == pytest.approx(float(other), abs=1e-6)


@with_ray
@pytest.mark.timeout(900)
def test_a_map_by_a_program_that_has_a_cluster(digits: Path, tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM, digits, tmp_path / "map"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "map").read_bytes() == livecnn.embed(digits, layer="ip1", method="pca", limit=40).data()


def test_without_ray(tmp_path: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    assert main(["top", str(tmp_path), "--layers", "conv1", "--engine", "ray", "--out", str(tmp_path / "d")]) == 2
    assert capsys.readouterr().err == "livecnn: --engine ray: Ray is not installed; pip install 'livecnn[scan]'\n"


class FakeRay:
    """A cluster of four GPUs that works in this process, or cannot be reached, or fails. It writes past Python and in between."""

    def __init__(
        self, error: Exception | None = None, failure: Exception | None = None, meanwhile: Callable[[], None] = lambda: None
    ) -> None:
        self.error, self.failure, self.meanwhile = error, failure, meanwhile
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

    def init(self, address: str, **options: Any) -> None:
        self.meanwhile()
        self.started.append(address)
        if self.error is not None:
            raise self.error

    def shutdown(self) -> None:
        self.meanwhile()
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
        os.write(2, b"E 1 1] core_worker.cc:2465: Actor\n")
        for item in self.items:
            print("(raylet) A worker died")
            yield self.work(item)
            if self.failure is not None:
                raise self.failure


@pytest.fixture
def images(tmp_path: Path) -> Iterator[ImageDataset]:
    write_mnist(tmp_path, *typeset(8), "test")
    with ImageDataset(f"idx:{tmp_path}") as images:
        yield images


@pytest.fixture
def job(images: ImageDataset) -> TopJob:
    return TopJob(
        place=images.spec, model="lenet-mnist", layers=("conv1",), images=8, fingerprint=images.fingerprint(), size=2,
        labels=tuple(sorted(images.labels())), k=2,
    )  # fmt: skip


def test_shards_come_back_and_the_cluster_is_left(
    job: TopJob, images: ImageDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Output
) -> None:
    ray = FakeRay()
    ray.install(monkeypatch)
    found = scanning.run(job, tmp_path / "ray", images, ray_engine())
    assert found.packed() == scanning.run(job, tmp_path / "alone", images).packed()
    assert (ray.started, ray.stopped) == (["local"], 1)
    assert ray.options == {"compute": 4, "num_gpus": 1, "num_cpus": 0}
    list(ray_engine()(dataclasses.replace(job, device="cpu"), [0, 1, 2], images))
    assert ray.options == {"compute": 3, "num_cpus": 1}
    assert capfd.readouterr() == ("", "")


def test_ctrl_c_waits_until_ray_has_started_and_ended(
    job: TopJob, images: ImageDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ray = FakeRay(meanwhile=lambda: os.kill(os.getpid(), signal.SIGINT))
    ray.install(monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        scanning.run(job, tmp_path / "ray", images, ray_engine())
    assert (ray.started, ray.stopped) == (["local"], 1)
    assert not (tmp_path / "ray").exists()  # nothing is finished


def test_a_shard_that_fails_keeps_the_others(
    job: TopJob, images: ImageDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ray = FakeRay(failure=RuntimeError("traceback\n  of lines\nlivecnn.errors.SourceError: idx x: gone\n"))
    ray.install(monkeypatch)
    with pytest.raises(UsageError, match=r"^--engine ray: a shard failed: SourceError: idx x: gone; finished ones are kept$"):
        scanning.run(job, tmp_path / "ray", images, ray_engine())
    assert ray.stopped == 1
    assert (tmp_path / "ray" / "00000.npz").exists()


def test_an_address_is_tried_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_NUM_REDIS_GET_RETRIES", "")
    monkeypatch.delenv("RAY_NUM_REDIS_GET_RETRIES")
    FakeRay().install(monkeypatch)
    ray_engine()
    assert "RAY_NUM_REDIS_GET_RETRIES" not in os.environ
    ray_engine("auto")
    assert os.environ["RAY_NUM_REDIS_GET_RETRIES"] == "1"


def test_a_cluster_that_refuses(job: TopJob, images: ImageDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"ray://127.0.0.1:{server.getsockname()[1]}"
        FakeRay(error=ConnectionError("another version\nof Ray")).install(monkeypatch)
        with pytest.raises(UsageError, match=f"^--engine ray: no cluster at {address}: another version$"):
            scanning.run(job, tmp_path / "ray", images, ray_engine(address))


def test_no_cluster_at_that_address(tmp_path: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    ray = FakeRay()
    ray.install(monkeypatch)
    write_mnist(tmp_path, *typeset(4), "test")
    words = ["top", tmp_path, "--layers", "conv1", "--engine", "ray", "--address", "127.0.0.1:1", "--out", tmp_path / "d"]
    assert main(list(map(str, words))) == 2
    assert capsys.readouterr().err.startswith("livecnn: --engine ray: no cluster at 127.0.0.1:1: ")
    assert ray.started == []

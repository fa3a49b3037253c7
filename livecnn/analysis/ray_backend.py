"""`--engine ray`: the same shards on the processes and machines of a Ray cluster.

Ray Data starts the workers, hands out the shards, and gives those of a worker that died to another one:
https://docs.ray.io/en/latest/data/data.html.
"""

import logging
import os
import re
import socket
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, nullcontext, redirect_stdout
from dataclasses import replace
from typing import Any

from livecnn.analysis.dataset import ImageDataset
from livecnn.analysis.shards import Engine, Job, Worker, run_locally
from livecnn.errors import SystemLibraryError, UsageError, first_line, nearest
from livecnn.signals import raise_on_signals

ENGINES = ("local", "ray")
PATIENCE = 10.0  # seconds for an address to answer

Row = dict[str, Any]


def make_engine(name: str, address: str | None = None) -> Engine:
    """Return an engine by its name. Raises UsageError, and what `ray_engine` raises."""
    if name not in ENGINES:
        raise UsageError(f"unknown engine {name!r}; {nearest(name, ENGINES)}")
    if name == "ray":
        return ray_engine(address)
    if address is not None:
        raise UsageError(f"--address {address}: allowed with --engine ray")
    return run_locally


def ray_engine(address: str | None = None) -> Engine:
    """Return an engine on a Ray cluster; it raises UsageError if that cannot be reached or a shard fails for good.

    A worker has a CPU, or, where the cluster has GPUs and the job's device is not the CPU, a GPU.

    Args:
        address: `auto`, `HOST:PORT` or `ray://HOST:PORT`; None starts a cluster on this machine alone.

    Raises:
        SystemLibraryError: If Ray is not installed.
    """
    if address is not None:
        os.environ.setdefault("RAY_NUM_REDIS_GET_RETRIES", "1")  # of 40 seconds each; Ray reads it when it is imported
    try:
        import ray.data  # noqa: F401
    except ImportError as error:
        raise SystemLibraryError("--engine ray: Ray is not installed; pip install 'livecnn[scan]'") from error

    def engine(job: Job[Any], shards: Sequence[int], _: ImageDataset) -> Generator[tuple[int, bytes]]:
        with _cluster(address):
            for row in _rows(job, shards):
                yield int(row["shard"]), bytes(row["part"])

    return engine


class _Shards:
    """The state of a worker process."""

    def __init__(self, job: Job[Any]) -> None:
        images = ImageDataset(job.place).__enter__()
        job.check(images)
        self._worker = Worker(job, images)

    def __call__(self, row: Row) -> Row:
        return {"shard": row["shard"], "part": self._worker(int(row["shard"])).packed()}


def _rows(job: Job[Any], shards: Sequence[int]) -> Iterator[Row]:
    import ray
    import ray.data
    import ray.exceptions

    has = ray.cluster_resources()
    gpus = int(has.get("GPU", 0)) if job.device != "cpu" else 0
    most = max(1, min(len(shards), gpus or int(has.get("CPU", 1))))
    each: Row = {"num_gpus": 1, "num_cpus": 0} if gpus else {"num_cpus": 1}
    workers = ray.data.ActorPoolStrategy(min_size=most, max_size=most)
    items = ray.data.from_items([{"shard": shard} for shard in shards], override_num_blocks=len(shards))
    rows = iter(items.map(_Shards, fn_constructor_args=(replace(job),), compute=workers, **each).iter_rows())
    try:
        with _silence_stderr():
            first = next(rows)
        yield first
        yield from rows
    except ray.exceptions.RayError as error:
        reason = str(error).strip().splitlines()[-1].partition("livecnn.errors.")  # the rest is the worker's traceback
        raise UsageError(f"--engine ray: a shard failed: {reason[2] or reason[0]}; finished ones are kept") from error


@contextmanager
def _silence_stderr() -> Iterator[None]:
    """Hide what Ray writes past Python when it starts workers: an error about its own way to do so."""
    terminal = os.dup(2)
    try:
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(terminal, 2)
        os.close(terminal)


@contextmanager
def _cluster(address: str | None) -> Iterator[None]:
    """Connect for the time of the block; a connection of the program's own is used and left as it is."""
    import ray
    import ray.data

    if ray.is_initialized():
        yield
        return
    _check_reachable(address)
    ray.data.DataContext.get_current().enable_progress_bars = False  # there is one of our own
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):  # where Ray tells of workers that died
        try:
            _begin(address)
            yield
        finally:
            with _shielded():
                ray.shutdown()


def _begin(address: str | None) -> None:
    import ray

    dashboard = None if address else False
    try:
        with nullcontext() if address else _shielded():  # connecting starts no processes, and may take a minute
            # None would join a cluster that this machine belongs to.
            ray.init(address or "local", include_dashboard=dashboard, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise UsageError(f"--engine ray: no cluster at {address or 'this machine'}: {first_line(error)}") from error


@contextmanager
def _shielded() -> Iterator[None]:
    """Hold signals back until the end of the block: Ray started or ended by halves leaves processes behind."""
    asked: list[BaseException] = []
    with raise_on_signals(asked.append):
        yield
    if asked:
        raise asked[0]


def _check_reachable(address: str | None) -> None:
    """Raise UsageError at once if nothing answers; Ray itself tries for a minute."""
    place = re.fullmatch(r"(?:ray://)?(.+):([0-9]+)", address or "")
    if place is not None:
        try:
            socket.create_connection((place[1], int(place[2])), PATIENCE).close()
        except (OSError, OverflowError) as error:
            raise UsageError(f"--engine ray: no cluster at {address}: {error}") from error

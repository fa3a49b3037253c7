"""`--engine ray`: the same shards on the processes and machines of a Ray cluster.

Ray Data starts the workers, hands out the shards, and gives those of a worker that died to another one:
https://docs.ray.io/en/latest/data/data.html.
"""

from __future__ import annotations

import logging
import re
import socket
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from livecnn.errors import SystemLibraryError, UsageError
from livecnn.shards import Engine, Job, Worker

PATIENCE = 10.0  # seconds for an address to answer

Row = dict[str, Any]


def on_ray(address: str | None = None) -> Engine:
    """An engine on the cluster at that address (`auto`, `HOST:PORT`, `ray://HOST:PORT`); None: one on this machine alone.

    A worker has a CPU, or, where the cluster has GPUs and the job's device is not the CPU, a GPU. Raises SystemLibraryError
    without Ray; the engine raises UsageError if the cluster cannot be reached or a shard fails for good.
    """
    try:
        import ray.data  # noqa: F401
    except ImportError as error:
        raise SystemLibraryError("--engine ray: Ray is not installed; pip install livecnn[scan]") from error

    def engine(job: Job, shards: Sequence[int]) -> Generator[tuple[int, bytes]]:
        with _cluster(address):
            for row in _rows(job, shards):
                yield int(row["shard"]), bytes(row["scan"])

    return engine


class _Shards:
    """What a worker process holds."""

    def __init__(self, job: Job) -> None:
        self._worker = Worker(job)

    def __call__(self, row: Row) -> Row:
        return {"shard": row["shard"], "scan": self._worker(int(row["shard"])).packed()}


def _rows(job: Job, shards: Sequence[int]) -> Iterator[Row]:
    import ray
    import ray.data
    import ray.exceptions

    has = ray.cluster_resources()
    gpus = int(has.get("GPU", 0)) if job.device != "cpu" else 0
    most = max(1, min(len(shards), gpus or int(has.get("CPU", 1))))
    each: Row = {"num_gpus": 1, "num_cpus": 0} if gpus else {"num_cpus": 1}
    workers = ray.data.ActorPoolStrategy(min_size=1, max_size=most)
    rows = ray.data.from_items([{"shard": shard} for shard in shards], override_num_blocks=len(shards))
    try:
        yield from rows.map(_Shards, fn_constructor_args=(replace(job),), compute=workers, **each).iter_rows()
    except ray.exceptions.RayError as error:
        reason = str(error).strip().splitlines()[-1].partition("livecnn.errors.")  # the rest is the worker's traceback
        raise UsageError(f"--engine ray: a shard failed: {reason[2] or reason[0]}; finished ones are kept") from error


@contextmanager
def _cluster(address: str | None) -> Iterator[None]:
    """Connected inside; a connection of the program's own is used and left as it is."""
    import ray
    import ray.data

    if ray.is_initialized():
        yield
        return
    _check_reachable(address)
    ray.data.DataContext.get_current().enable_progress_bars = False  # there is one of our own
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    try:
        ray.init(address, include_dashboard=None if address else False, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise UsageError(f"--engine ray: no cluster at {address or 'this machine'}: {str(error).splitlines()[0]}") from error
    try:
        yield
    finally:
        ray.shutdown()


def _check_reachable(address: str | None) -> None:
    """Ray itself tries for minutes, and then ends the process."""
    place = re.fullmatch(r"(?:ray://)?(.+):([0-9]+)", address or "")
    if place is not None:
        try:
            socket.create_connection((place[1], int(place[2])), PATIENCE).close()
        except (OSError, OverflowError) as error:
            raise UsageError(f"--engine ray: no cluster at {address}: {error}") from error

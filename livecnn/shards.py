"""A collection of pictures cut into shards, each worked on by itself and written when it is done."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from livecnn import bundles
from livecnn._cv2 import one_thread
from livecnn.album import Album
from livecnn.bundles import Bundle
from livecnn.device import pick
from livecnn.errors import ModelError, OutputError, SourceError, nearest
from livecnn.outputs import write_atomically
from livecnn.patch import Cropper
from livecnn.scans import Scan
from livecnn.scoring import Scored, Scorer

JOB = "job.json"
WORTH_THREADS = 1_000_000  # parameters: threads that share a smaller network's pass mostly wait for each other

# Gives the shards asked for, in any order, each with its number.
Engine = Callable[["Job", Sequence[int]], Generator[tuple[int, bytes]]]


@dataclass(frozen=True)
class Job:
    """Everything that decides on the result.

    place: spec of an album.  model: a name or folder, which workers load themselves, or the network.  labels: that the pictures
    have, if any.  images: how many there are.  fingerprint: of them.  k: strongest images of a unit.  size: images of a shard.
    """

    place: str
    model: str | Bundle
    layers: tuple[str, ...]
    labels: tuple[str, ...]
    images: int
    fingerprint: str
    k: int
    size: int
    finder: str = "centre"
    device: str = "auto"
    allow_code: bool = False

    @cached_property
    def bundle(self) -> Bundle:
        return self.model if isinstance(self.model, Bundle) else bundles.load(self.model, allow_code=self.allow_code)

    @cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """(1, U, …) of each layer. Raises ModelError."""
        found = self.bundle.shapes(self.layers)
        unknown = next((layer for layer in self.layers if layer not in found), None)
        if unknown is not None:
            raise ModelError(f"unknown layer {unknown!r} of {self.bundle.name}; {nearest(unknown, found)}")
        return {layer: found[layer] for layer in self.layers}

    @property
    def classes(self) -> tuple[str, ...]:
        """By which figures are told apart: those of the network, unless the pictures have labels that are none of these."""
        return self.bundle.classes if set(self.labels) <= set(self.bundle.classes) else self.labels

    @property
    def shards(self) -> int:
        return -(-self.images // self.size)

    def places(self, shard: int) -> range:
        return range(shard * self.size, min((shard + 1) * self.size, self.images))

    @property
    def empty(self) -> Scan:
        """A group a class; the last is for pictures without one."""
        return Scan.none({layer: shape[1] for layer, shape in self.shapes.items()}, len(self.classes) + 1, self.k)

    @property
    def cropper(self) -> Cropper:
        return Cropper(self.bundle.pipeline, 1.0, self.finder)

    def settings(self) -> dict[str, Any]:
        """What a run that goes on must have in common with the one before, ready for JSON."""
        card = self.bundle.card
        found = {"model": self.bundle.name, "weights": None if card is None else card.weights.sha256}
        found |= {name: getattr(self, name) for name in ("images", "fingerprint", "k", "size", "finder")}
        return {**found, "layers": list(self.layers), "labels": list(self.labels)}


class Worker:
    """Works on shards of a job, one after the other. Raises LivecnnError, also if the pictures are others than the job's."""

    def __init__(self, job: Job) -> None:
        self._job, album = job, Album(job.place)
        with ExitStack() as stack:
            pictures = stack.enter_context(album)
            if pictures.fingerprint() != job.fingerprint:
                raise SourceError(f"{job.place}: holds other pictures than when the run began; begin anew in another folder")
            module, device = job.bundle.module, pick(job.device)
            stack.callback(torch.set_num_threads, torch.get_num_threads())
            if sum(tensor.numel() for tensor in module.parameters()) < WORTH_THREADS:
                torch.set_num_threads(1)
            self._scorer = Scorer(album, pictures, job.cropper, module, device)
            self._stack = stack.pop_all()
        self._groups = {name: number for number, name in enumerate(job.classes)}

    def close(self) -> None:
        self._stack.close()

    def __call__(self, shard: int) -> Scan:
        scan, self._scorer.skipped = self._job.empty, []
        with one_thread(), closing(self._scorer.watched(self._job.layers, self._job.places(shard))) as batches:
            for scored, activations in batches:
                scan.add(activations, [each.index for each in scored], [self._group(each) for each in scored])
        scan.skipped = self._scorer.skipped
        return scan

    def _group(self, each: Scored) -> int:
        without = len(self._job.classes)
        if self._job.labels:
            return self._groups.get(each.label, without)
        return without if each.top is None else each.top


def in_turn(job: Job, shards: Sequence[int]) -> Generator[tuple[int, bytes]]:
    """The engine of one machine: shard after shard."""
    with closing(Worker(job)) as worker:
        for shard in shards:
            yield shard, worker(shard).packed()


def run(job: Job, folder: Path, engine: Engine = in_turn) -> Scan:
    """Work on the shards that the folder lacks, and merge all.

    They are merged in the order of the pictures, so the result is the same whoever worked on them, and whenever. Whatever ends a
    run, finished shards are kept. Raises LivecnnError; OutputError if the folder holds another run.
    """
    _claim(folder / JOB, job.settings())
    missing = [shard for shard in range(job.shards) if not _file(folder, shard).exists()]
    done = job.images - sum(len(job.places(shard)) for shard in missing)
    bar = tqdm(desc="images", total=job.images, initial=done, unit="picture", disable=None, leave=False)
    if missing:
        with bar, closing(engine(job, missing)) as finished:
            for shard, data in finished:
                write_atomically(_file(folder, shard), data)
                bar.update(len(job.places(shard)))
    total = job.empty
    for scan in _kept(job, folder):
        total.merge(scan)
    return total


def _claim(path: Path, settings: dict[str, Any]) -> None:
    """Raise OutputError if the folder holds the shards of another run."""
    if not path.exists():
        write_atomically(path, json.dumps(settings, indent=1, ensure_ascii=False).encode())
        return
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        other = next((name for name in settings if found[name] != settings[name]), None)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise OutputError(f"{path}: not what a run leaves: {error!r}; name another folder") from error
    if other is not None:
        told = "" if other in ("labels", "fingerprint", "weights") else f", {found[other]}, now {settings[other]}"
        raise OutputError(f"{path.parent.parent}: holds another run ({other}{told}); name another folder")


def _kept(job: Job, folder: Path) -> Iterator[Scan]:
    for shard in range(job.shards):
        path = _file(folder, shard)
        try:
            yield Scan.unpacked(path.read_bytes())
        except (OSError, ValueError) as error:
            raise OutputError(f"{path}: damaged: {error}; delete it, and the same command works on it again") from error


def _file(folder: Path, shard: int) -> Path:
    return folder / f"{shard:05d}.npz"

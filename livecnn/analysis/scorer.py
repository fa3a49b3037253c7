"""What a network says of many pictures, in batches and without showing any: no more than some batches are held."""

from __future__ import annotations

import math
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from livecnn._cv2 import cv2
from livecnn.analysis.dataset import Dataset, ImageDataset
from livecnn.engine.crop import Cropper
from livecnn.engine.engine import on_device
from livecnn.engine.observer import probabilities
from livecnn.errors import ImageError
from livecnn.io.images import thumbnail
from livecnn.networks.inspection.probe import Probe
from livecnn.types import Floats, Image

BATCH = 32  # pictures,
MOST_VALUES = 1 << 20  # but no more than this many values go into a network at once
AHEAD = 2  # batches that each process may be ahead


@dataclass(frozen=True, slots=True, eq=False)
class ScoredImage:
    """A picture's place, name and true class ("" where unknown), and the probabilities (K,); all zero if it is empty.

    top: index of the class that the network sees; None where there is nothing in the box or a score is not a number.
    thumbnail: uint8 (h, w, 3), what was in the box, if the Scorer was asked for any.
    """

    index: int
    name: str
    label: str
    scores: Floats
    top: int | None
    thumbnail: Image | None = None

    @property
    def score(self) -> float:
        """Of the top class; 0 without one."""
        return 0.0 if self.top is None else float(self.scores[self.top])


@dataclass(frozen=True, slots=True, eq=False)
class _Read:
    """A picture on its way to the network, float32 (C, H, W), or why it cannot be read."""

    index: int
    name: str = ""
    label: str = ""
    values: Floats | None = None
    empty: bool = False
    thumbnail: Image | None = None
    error: str = ""


class Scorer:
    """Scores pictures of an album by their places; use it in a `with`.

    jobs: processes that decode pictures and run the input pipeline; 1 is this one. The result does not depend on it.
    thumbnails: pixels of the longer side of those to keep; 0: none.
    skipped: what could not be read, each with its reason: folders, then pictures in the order of the places asked for.
    """

    def __init__(
        self,
        album: ImageDataset,
        pictures: Dataset,
        cropper: Cropper,
        module: nn.Module,
        device: torch.device,
        thumbnails: int = 0,
    ) -> None:
        self.skipped = list(album.source.skipped)
        self._thumbnails = thumbnails
        self._spec, self._pictures, self._cropper = album.spec, pictures, cropper
        self._module, self._device = on_device(module, device), device
        self._pool: ProcessPoolExecutor | None = None

    @contextmanager
    def reading(self, jobs: int) -> Iterator[None]:
        """Inside, so many processes are kept from one call to the next, which would otherwise start its own."""
        with ExitStack() as stack:
            self._pool = self._processes(stack, jobs) if jobs > 1 else None
            try:
                yield
            finally:
                self._pool = None

    def __call__(self, places: Sequence[int], jobs: int = 1) -> Generator[ScoredImage]:
        """Lazily: whoever stops asking saves the rest of the work."""
        with closing(self._batches(places, jobs)) as batches:
            for batch in batches:
                with torch.no_grad():
                    output = self._module(self._values(batch)).cpu()
                yield from _scored(batch, output)

    def activations(
        self, layers: Sequence[str], places: Sequence[int], jobs: int = 1
    ) -> Generator[tuple[list[int], dict[str, torch.Tensor]]]:
        """Batch by batch: the places of those that can be read, and of each layer the activations (N, …), see Probe."""
        with closing(self.watched(layers, places, jobs)) as batches:
            for scored, activations in batches:
                yield [each.index for each in scored], activations

    def watched(
        self, layers: Sequence[str], places: Sequence[int], jobs: int = 1
    ) -> Generator[tuple[list[ScoredImage], dict[str, torch.Tensor]]]:
        """Both in one pass: the pictures of a batch, scored, and of each layer the activations (N, …)."""
        with Probe(self._module, layers) as probe, closing(self._batches(places, jobs)) as batches:
            for batch in batches:
                output, activations = probe(self._values(batch))
                yield list(_scored(batch, output.cpu())), activations

    def _batches(self, places: Sequence[int], jobs: int) -> Generator[list[_Read]]:
        """Pictures that can be read, some at a time, none of these empty."""
        size = max(1, min(BATCH, MOST_VALUES // math.prod(self._cropper.pipeline.shape)))
        batches = [places[start : start + size] for start in range(0, len(places), size)]
        with ExitStack() as stack:
            for batch in self._read(stack, batches, min(jobs, len(batches))):
                self.skipped += [read.error for read in batch if read.error]
                sound = [read for read in batch if not read.error]
                if sound:
                    yield sound

    def _read(self, stack: ExitStack, batches: list[Sequence[int]], jobs: int) -> Iterator[list[_Read]]:
        if jobs < 2:
            return (_read(self._pictures, self._cropper, batch, self._thumbnails) for batch in batches)
        pool = self._pool or self._processes(stack, jobs)

        def submit(batch: Sequence[int]) -> Future[list[_Read]]:
            with _interrupts_held():
                return pool.submit(_Worker.read, batch)

        return _in_order(submit, batches, AHEAD * jobs)

    def _processes(self, stack: ExitStack, jobs: int) -> ProcessPoolExecutor:
        # Not forked: torch and OpenCV have threads that a fork would not take along.
        context = multiprocessing.get_context("spawn")
        pool = ProcessPoolExecutor(jobs, context, _Worker.begin, (self._spec, self._cropper, self._thumbnails))
        stack.callback(_end, pool)
        return pool

    def _values(self, batch: list[_Read]) -> torch.Tensor:
        return torch.from_numpy(np.stack([read.values for read in batch if read.values is not None])).to(self._device)


def _scored(batch: list[_Read], output: torch.Tensor) -> Iterator[ScoredImage]:
    """Of a batch, by what the network gave for it, (N, K)."""
    for read, row in zip(batch, output.split(1), strict=True):
        scores = np.zeros(output.shape[1], np.float32) if read.empty else probabilities(row).copy()  # without torch's part
        top = None if read.empty or not np.isfinite(scores).all() else int(scores.argmax())
        yield ScoredImage(read.index, read.name, read.label, scores, top, read.thumbnail)


def _read(pictures: Dataset, cropper: Cropper, places: Iterable[int], thumbnails: int) -> list[_Read]:
    found = []
    for index in places:
        try:
            frame = pictures.at(index)
        except ImageError as error:
            found.append(_Read(index, error=str(error)))
            continue
        patch = cropper(frame)
        small = thumbnail(patch.shot, thumbnails) if thumbnails else None
        values = patch.prepared.tensor[0].numpy()
        found.append(_Read(index, frame.name, frame.label, values, patch.prepared.empty, small))
    return found


class _Worker:
    """What a process that reads pictures holds, from its beginning to its end."""

    pictures: Dataset
    cropper: Cropper
    thumbnails: int

    @classmethod
    def begin(cls, spec: str, cropper: Cropper, thumbnails: int) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process of a terminal; the first one ends the others
        threading.Thread(target=_end_with_parent, daemon=True).start()
        cv2.setNumThreads(1)
        torch.set_num_threads(1)
        cls.pictures, cls.cropper, cls.thumbnails = ImageDataset(spec).__enter__(), cropper, thumbnails

    @classmethod
    def read(cls, places: Sequence[int]) -> list[_Read]:
        return _read(cls.pictures, cls.cropper, places, cls.thumbnails)


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Processes that start in here never see Ctrl-C, not even while they import; in this one it comes afterwards."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _end(pool: ProcessPoolExecutor) -> None:
    """At once, even while processes still import: nobody waits for what they are at, and impatient Ctrl-C changes nothing."""
    with _interrupts_held():
        for process in list((pool._processes or {}).values()):
            process.terminate()
        pool.shutdown(cancel_futures=True)


def _end_with_parent() -> None:
    """A pool's processes would wait for work for ever if the one that gives it was killed."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _in_order(
    submit: Callable[[Sequence[int]], Future[list[_Read]]], batches: list[Sequence[int]], ahead: int
) -> Iterator[list[_Read]]:
    """The results in the order of the batches; as many as `ahead` are under way."""
    under_way: deque[Future[list[_Read]]] = deque()
    for batch in batches:
        under_way.append(submit(batch))
        if len(under_way) > ahead:
            yield under_way.popleft().result()
    while under_way:
        yield under_way.popleft().result()

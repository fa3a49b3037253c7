"""Run a network over many images in batches; only a few batches are held at a time."""

from __future__ import annotations

import math
import multiprocessing
import signal
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

import numpy as np
import torch
from torch import nn

from livecnn._cv2 import cv2
from livecnn.analysis.dataset import ImageDataset
from livecnn.engine.crop import Cropper
from livecnn.engine.engine import on_device
from livecnn.errors import ImageError, LivecnnError, UsageError
from livecnn.io.images import thumbnail
from livecnn.networks.inspection.probe import LayerHooks, Probe
from livecnn.networks.outputs import Output
from livecnn.types import Floats, Image

BATCH = 32  # pictures,
MOST_VALUES = 1 << 20  # but no more than this many values go into a network at once
AHEAD = 2  # batches that each process may be ahead


@dataclass(frozen=True, slots=True, eq=False)
class ScoredImage:
    """One image of a dataset and its scores."""

    index: int  # its place in the dataset
    name: str  # its file name or number
    label: str  # its true class; "" where unknown
    scores: Floats  # probabilities, float32 (K,), or what `output` makes of them; all zero if the box is empty
    top: int | None  # index of the predicted class; None where the box is empty, or scores are no probabilities
    thumbnail: Image | None = None  # what was in the box, uint8 (h, w, 3); None if no thumbnails are kept

    @property
    def score(self) -> float:
        """Return the probability of the top class; 0 without one."""
        return 0.0 if self.top is None else float(self.scores[self.top])


@dataclass(frozen=True, slots=True, eq=False)
class _Read:
    """Hold an image on its way to the network, float32 (C, H, W), or why it cannot be read."""

    index: int
    name: str = ""
    label: str = ""
    values: Floats | None = None
    empty: bool = False
    thumbnail: Image | None = None
    error: str = ""


class Scorer:
    """Score images of an open dataset by their places; keep thumbnails of so many pixels on the longer side, with 0 none.

    Attributes:
        skipped: What could not be read, each with its reason: folders, then images in the order of the places asked for.
    """

    def __init__(
        self,
        images: ImageDataset,
        cropper: Cropper,
        module: nn.Module,
        device: torch.device,
        thumbnails: int = 0,
        output: Output | None = None,
    ) -> None:
        self._output, self._name = output, "" if output is None else output.name
        self.skipped = list(images.source.skipped)
        self._images, self._cropper, self._thumbnails = images, cropper, thumbnails
        self._module, self._device = on_device(module, device), device
        self._pool: _ProcessPool | None = None

    @contextmanager
    def reading(self, jobs: int) -> Iterator[None]:
        """Keep so many processes from one call to the next; without this each call starts its own."""
        with ExitStack() as stack:
            self._pool = stack.enter_context(closing(self._processes(jobs))) if jobs > 1 else None
            try:
                yield
            finally:
                self._pool = None

    def __call__(self, places: Sequence[int], jobs: int = 1) -> Generator[ScoredImage]:
        """Score one image after the other, by `jobs` processes that read them; the result does not depend on their number.

        Works lazily: closing the generator saves the rest of the work.
        """
        hooks = LayerHooks(self._module, (), lambda *_: None, self._name)
        with closing(self._batches(places, jobs)) as batches:
            for batch in batches:
                output = hooks(self._values(batch)).cpu()
                yield from self._scored(batch, output)

    def activations(
        self, layers: Sequence[str], places: Sequence[int], jobs: int = 1
    ) -> Generator[tuple[list[int], dict[str, torch.Tensor]]]:
        """Yield, batch by batch, the places of the images that can be read and each layer's activations (N, …), see Probe."""
        with closing(self.watched(layers, places, jobs)) as batches:
            for scored, activations in batches:
                yield [each.index for each in scored], activations

    def watched(
        self, layers: Sequence[str], places: Sequence[int], jobs: int = 1
    ) -> Generator[tuple[list[ScoredImage], dict[str, torch.Tensor]]]:
        """Yield, batch by batch, the scored images and each layer's activations (N, …)."""
        with Probe(self._module, layers, self._name) as probe, closing(self._batches(places, jobs)) as batches:
            for batch in batches:
                output, activations = probe(self._values(batch))
                yield list(self._scored(batch, output.cpu())), activations

    def _batches(self, places: Sequence[int], jobs: int) -> Generator[list[_Read]]:
        """Yield the images that can be read, some at a time; no batch is empty."""
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
            return (_read(self._images, self._cropper, batch, self._thumbnails) for batch in batches)
        return (self._pool or stack.enter_context(closing(self._processes(jobs)))).read(batches)

    def _processes(self, jobs: int) -> _ProcessPool:
        return _ProcessPool(jobs, self._images.spec, self._cropper, self._thumbnails)

    def _scored(self, batch: list[_Read], given: torch.Tensor) -> Iterator[ScoredImage]:
        """Yield the images of a batch with their rows of what the network gave, (N, units)."""
        for read, scores in zip(batch, (given if self._output is None else self._output.scores(given)).numpy(), strict=True):
            numbers = self._output is not None and self._output.reading == "numbers"
            top = None if read.empty or numbers or not np.isfinite(scores).all() else int(scores.argmax())
            own = np.zeros_like(scores) if read.empty else scores.copy()  # without the rest of the batch
            yield ScoredImage(read.index, read.name, read.label, own, top, read.thumbnail)

    def _values(self, batch: list[_Read]) -> torch.Tensor:
        return torch.from_numpy(np.stack([read.values for read in batch if read.values is not None])).to(self._device)


def _read(images: ImageDataset, cropper: Cropper, places: Iterable[int], thumbnails: int) -> list[_Read]:
    found = []
    for index in places:
        try:
            frame = images.at(index)
        except ImageError as error:
            found.append(_Read(index, error=str(error)))
            continue
        patch = cropper(frame)
        small = thumbnail(patch.shot, thumbnails) if thumbnails else None
        values = patch.prepared.tensor[0].numpy()
        found.append(_Read(index, frame.name, frame.label, values, patch.prepared.empty, small))
    return found


class _ProcessPool:
    """Processes that read images, each asked in turn over a pipe of its own.

    They share no queue and no lock, so one may be killed at any moment, even in the middle of an answer: nobody waits for it.
    """

    def __init__(self, jobs: int, spec: str, cropper: Cropper, thumbnails: int) -> None:
        context = multiprocessing.get_context("spawn")  # a fork would not take along the threads of torch and OpenCV
        self._workers: list[tuple[BaseProcess, Connection]] = []
        self._asked = 0
        try:
            with _interrupts_held():
                for _ in range(jobs):
                    here, there = context.Pipe()
                    process = context.Process(target=_serve, args=(there, spec, cropper, thumbnails), daemon=True)
                    process.start()
                    there.close()  # so that the pipe ends with the process
                    self._workers.append((process, here))
        except BaseException:
            self.close()
            raise

    def read(self, batches: Iterable[Sequence[int]]) -> Iterator[list[_Read]]:
        """Yield what the batches hold, in their order; each process is AHEAD batches ahead. Raises LivecnnError."""
        under_way: deque[int] = deque()
        for batch in batches:
            under_way.append(self._ask(batch))
            if len(under_way) > AHEAD * len(self._workers):
                yield self._answer(under_way.popleft())
        while under_way:
            yield self._answer(under_way.popleft())

    def close(self) -> None:
        """End the processes at once, even while they still import; Ctrl-C waits until that is done."""
        with _interrupts_held():
            for process, _ in self._workers:
                process.kill()
            for process, connection in self._workers:
                process.join()
                connection.close()

    def _ask(self, places: Sequence[int]) -> int:
        number = self._asked
        self._asked += 1
        process, connection = self._workers[number % len(self._workers)]
        try:
            connection.send((number, places))
        except OSError as error:
            raise _ended(process) from error
        return number

    def _answer(self, number: int) -> list[_Read]:
        process, connection = self._workers[number % len(self._workers)]
        while True:
            try:
                answered, found = connection.recv()
            except (EOFError, OSError) as error:
                raise _ended(process) from error
            if isinstance(found, LivecnnError):
                raise found
            if answered == number:  # and not for a caller who stopped asking
                return list(found)


def _ended(process: BaseProcess) -> UsageError:
    process.join()
    return UsageError(f"--jobs: a process that prepares pictures came to its end by itself (exit code {process.exitcode})")


def _serve(connection: Connection, spec: str, cropper: Cropper, thumbnails: int) -> None:
    """Read what is asked for until nobody asks any more: the pipe ends with the process at its other end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process of a terminal; the first one ends the others
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    with suppress(EOFError, ConnectionError):
        try:
            with ImageDataset(spec) as images:
                while True:
                    number, places = connection.recv()
                    connection.send((number, _read(images, cropper, places, thumbnails)))
        except LivecnnError as error:
            connection.send((None, error))


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Hold Ctrl-C back until the end of the block; processes that start in it never see it, not even while they import."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    resource_tracker.ensure_running()  # started with the first process, it would let Ctrl-C through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)

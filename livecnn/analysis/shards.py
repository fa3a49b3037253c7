"""A collection of pictures cut into shards, each worked on by itself and written when it is done."""

import json
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from torch import nn
from tqdm import tqdm

from livecnn import paths
from livecnn._cv2 import one_thread
from livecnn.analysis.dataset import ImageDataset
from livecnn.analysis.scorer import Scorer
from livecnn.engine.crop import Cropper
from livecnn.errors import ModelError, OutputError, SourceError, UsageError, nearest
from livecnn.io.files import locked, partial_path, write_atomically
from livecnn.networks import bundle as bundles
from livecnn.networks import weights
from livecnn.networks.bundle import Bundle
from livecnn.networks.device import copy_sharing_weights, pick_device, torch_threads
from livecnn.networks.selectors import as_module
from livecnn.sources import split_spec

JOB, SHARDS = "job.json", "[0-9]*.npz"
SHARD, MOST_SHARDS = 256, 1000  # images of a shard, unless there would be more shards than this
HIDDEN_SETTINGS = ("classes", "fingerprint", "labels", "state", "weights")  # settings that are long, or mean nothing to a reader
WORTH_THREADS = 1_000_000  # parameters: threads that share a smaller network's pass mostly wait for each other


class Part(Protocol):
    """The result of a shard of images."""

    def packed(self) -> bytes:
        """Return the content of a file."""


P = TypeVar("P", bound=Part)

# Gives the shards asked for, in any order, each with its number; the images are those of the job, opened.
Engine = Callable[["Job[Any]", Sequence[int], ImageDataset], Generator[tuple[int, bytes]]]


@dataclass(frozen=True, kw_only=True)
class Job(ABC, Generic[P]):
    """Everything that decides on the result of a run; a kind of job says what is gathered of a shard.

    To add a kind, derive a frozen dataclass with the settings of its own, name its `decisive` fields, and define `gather` and
    `unpacked`; `run` works on it, and `read_parts` yields what it gathered.

    Attributes:
        place: Spec of the dataset, such as `folder:DIR`.
        model: A name or folder, which workers load themselves, or the network.
        layers: Names of the layers.
        images: How many there are.
        fingerprint: Of the images, as `ImageDataset` gives it.
        size: Images of a shard.
        unlisted: Folders that cannot be looked into, each with the reason.
        finder: What is cut out of an image, "centre" or "face".
        device: "auto", "cpu", "cuda", "cuda:N" or "mps".
        allow_code: Whether a model may run code of its own.
        jobs: Processes that prepare a worker's images.
        decisive: Names of the fields that a run that goes on must have in common with the one before.
    """

    place: str
    model: str | Bundle
    layers: tuple[str, ...]
    images: int
    fingerprint: str
    size: int
    unlisted: tuple[str, ...] = ()
    finder: str = "centre"
    device: str = "auto"
    allow_code: bool = False
    jobs: int = 1

    decisive: ClassVar[tuple[str, ...]]

    @abstractmethod
    def gather(self, scorer: Scorer, places: Sequence[int]) -> P:
        """Gather what is in the pictures of a shard, by their places in the dataset."""

    @abstractmethod
    def unpacked(self, data: bytes) -> P:
        """Read what `Part.packed` returned. Raises ValueError if that is no packed part."""

    @cached_property
    def bundle(self) -> Bundle:
        """The network, loaded."""
        return self.model if isinstance(self.model, Bundle) else bundles.load(self.model, allow_code=self.allow_code)

    @cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape (1, U, …) of each layer. Raises ModelError."""
        found = self.bundle.shapes(self.layers)
        unknown = next((layer for layer in self.layers if layer not in found), None)
        if unknown is not None:
            raise ModelError(f"unknown layer {unknown!r} of {self.bundle.name}; {nearest(unknown, found)}")
        return {layer: found[layer] for layer in self.layers}

    @property
    def chosen(self) -> Sequence[int]:
        """Places of the pictures that are worked on."""
        return range(self.images)

    @property
    def shards(self) -> int:
        """The number of shards."""
        return -(-len(self.chosen) // self.size)

    def places(self, shard: int) -> Sequence[int]:
        """Return the places of a shard's pictures."""
        return self.chosen[shard * self.size : (shard + 1) * self.size]

    @property
    def cropper(self) -> Cropper:
        """Return the cropper that cuts out and prepares an image."""
        return Cropper(self.bundle.pipeline, 1.0, self.finder)

    def check(self, pictures: ImageDataset) -> None:
        """Raise SourceError if these are others than the job's."""
        if pictures.fingerprint() != self.fingerprint:
            raise SourceError(f"{self.place}: holds other pictures than when the run began; begin anew in another folder")

    @cached_property
    def _state(self) -> str:
        return weights.digest(self.bundle.module)

    @property
    def thumbnails(self) -> int:
        """Pixels of the longer side of the thumbnails that are wanted; 0: none."""
        return 0

    def settings(self) -> dict[str, Any]:
        """Return what a run that goes on must have in common with the one before, ready for JSON."""
        bundle, card = self.bundle, self.bundle.card
        found: dict[str, Any] = {"model": bundle.name, "weights": None if card is None else card.weights.sha256}
        if card is None:
            found["state"] = self._state
        found["input"] = bundle.pipeline.model_dump(mode="json", exclude={"function"})
        found["classes"] = list(bundle.classes)
        fields = {name: getattr(self, name) for name in self.decisive}
        return found | {name: list(value) if isinstance(value, tuple) else value for name, value in fields.items()}


def default_shard_size(images: int) -> int:
    """Return the images of a shard, where nobody says how many."""
    return max(SHARD, -(-images // MOST_SHARDS))


def as_job_model(model: str | Path | Bundle | nn.Module) -> str | Bundle:
    """Return what a job takes of what a user may name. A module is left as it is; its tensors are shared."""
    if isinstance(model, (str, Path)):  # workers may have another current folder
        path = Path(model).expanduser()
        return str(path.resolve()) if path.is_dir() and str(model) not in paths.bundles() else str(model)
    if isinstance(model, Bundle):
        return model
    module = as_module(model)
    return bundles.bundle_from_module(copy_sharing_weights(module), type(module).__name__)  # which changes the mode


def absolute_spec(spec: str) -> str:
    """Return the spec of the same dataset for a worker with another current folder."""
    kind, place = split_spec(spec)
    return f"{kind}:{os.path.abspath(os.path.expanduser(place))}"


def check_apart(place: str, out: Path) -> None:
    """Raise UsageError if what is written would be among the pictures when a run goes on."""
    kind, pictures = split_spec(place)
    if kind == "folder" and out.resolve().is_relative_to(Path(pictures).resolve()):
        raise UsageError(f"--out {out}: lies in the folder of the images; name one outside {pictures}")


class Worker(Generic[P]):
    """Work on shards of a job, one after the other. Raises LivecnnError, also if the pictures are others than the job's."""

    def __init__(self, job: Job[P], images: ImageDataset) -> None:
        self._job = job
        with ExitStack() as stack:
            module, device = job.bundle.module, pick_device(job.device)
            stack.enter_context(torch_threads(short=sum(tensor.numel() for tensor in module.parameters()) < WORTH_THREADS))
            self._scorer = Scorer(images, job.cropper, module, device, job.thumbnails, job.bundle.output)
            stack.enter_context(self._scorer.reading(job.jobs))
            self._stack = stack.pop_all()

    def close(self) -> None:
        """End the processes, and give threads back."""
        self._stack.close()

    def __call__(self, shard: int) -> P:
        self._scorer.skipped = []
        with one_thread():
            return self._job.gather(self._scorer, self._job.places(shard))


def run_locally(job: Job[Any], shards: Sequence[int], images: ImageDataset) -> Generator[tuple[int, bytes]]:
    """Work on shard after shard in this process: the engine of one machine."""
    with closing(Worker(job, images)) as worker:
        for shard in shards:
            yield shard, worker(shard).packed()


def run(job: Job[Any], folder: Path, images: ImageDataset, engine: Engine = run_locally) -> None:
    """Work on the shards that the folder lacks; it is made with the first. Whatever ends a run, finished shards are kept.

    Raises:
        OutputError: If the folder cannot be written, or holds the shards of another run.
        LivecnnError: If a shard fails.
    """
    settings = job.settings()
    _check(folder / JOB, settings)
    missing = [shard for shard in range(job.shards) if not _file(folder, shard).exists()]
    if not missing:
        return
    left = sum(len(job.places(shard)) for shard in missing)
    count = len(job.chosen)
    bar = tqdm(desc="images", total=count, initial=count - left, unit="picture", disable=None, leave=False)
    with bar, closing(engine(job, missing, images)) as finished:
        for shard, data in finished:
            _claim(folder / JOB, settings)
            write_atomically(_file(folder, shard), data)
            bar.update(len(job.places(shard)))


def read_parts(job: Job[P], folder: Path) -> Iterator[P]:
    """Yield what `run` left, in the order of the pictures: the same whoever worked on it. Raises OutputError."""
    for shard in range(job.shards):
        path = _file(folder, shard)
        try:
            yield job.unpacked(path.read_bytes())
        except (OSError, ValueError) as error:
            raise OutputError(f"{path}: damaged: {error}; delete it, and the same command works on it again") from error


def discard(folder: Path) -> None:
    """Delete what `run` left there, and the folder if that was all; at the very end what tells whose the shards are."""
    for path in (*folder.glob(SHARDS), partial_path(folder / JOB), folder / JOB):
        path.unlink(missing_ok=True)
    with suppress(OSError):
        folder.rmdir()


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Keep other programs that ask out of a folder; afterwards it is gone if it is empty. Raises OutputError."""
    try:
        with locked(folder / JOB):
            yield
    finally:
        with suppress(OSError):
            folder.rmdir()


def _claim(path: Path, settings: dict[str, Any]) -> None:
    """Write whose the shards are, only with the first of them, so that a run that comes to none leaves nothing."""
    if path.exists():
        _check(path, settings)
    else:
        write_atomically(path, json.dumps(settings, indent=1, ensure_ascii=False).encode())


def _check(path: Path, settings: dict[str, Any]) -> None:
    """Raise OutputError if the folder holds the shards of another run."""
    if not path.exists():
        if next(path.parent.glob(SHARDS), None) is not None:
            raise OutputError(f"{path.parent}: holds shards, but no {JOB} that tells whose; delete them, or name another folder")
        return
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        other = next((name for name in settings if found[name] != settings[name]), None)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise OutputError(f"{path}: not what a run leaves: {error!r}; name another folder") from error
    if other is not None:
        told = "" if other in HIDDEN_SETTINGS else f", {found[other]}, now {settings[other]}"
        raise OutputError(f"{path.parent}: holds another run ({other}{told}); name another folder, or delete this one")


def _file(folder: Path, shard: int) -> Path:
    return folder / f"{shard:05d}.npz"

"""`livecnn.top`: what every unit of some layers does over a collection, and the images that it answers to most."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from torch import nn

from livecnn import paths
from livecnn._cv2 import one_thread
from livecnn.analysis import shards
from livecnn.analysis.dataset import Dataset, ImageDataset, as_spec
from livecnn.analysis.moments import RunningStats
from livecnn.analysis.ray_backend import make_engine
from livecnn.analysis.shards import Engine, absolute_spec, as_job_model, check_apart, default_shard_size, run_locally
from livecnn.analysis.top import CollectionStats
from livecnn.analysis.top import pictures as top_shots
from livecnn.analysis.top.job import TopJob
from livecnn.analysis.top.results import MANIFEST, QUANTILES, VERSION, TopResults
from livecnn.analysis.top.tables import write_statistics
from livecnn.engine.crop import FINDERS, check_finder
from livecnn.errors import UsageError, nearest
from livecnn.io.file_lock import locked
from livecnn.io.files import check_writable, write_atomically
from livecnn.networks.bundle import Bundle
from livecnn.networks.device import pick_device
from livecnn.networks.selectors import check_positive_int, resolve_layers
from livecnn.sources import split_spec

K = 9
MOST_K = 100
LONGEST = 24  # letters of either half of a folder's name, so that it fits any system whatever the letters
RESERVED = ("shards", "shots")  # other things in the folder
DEFINITIONS = {
    "value": "of a fully connected unit: its activation; of a map: the mean over its positions",
    "count": "images whose value is finite",
    "mean": "of the value over the images",
    "std": "standard deviation of the value over the images, divided by their number",
    "max": "the largest activation at any position of any image",
    "active": "fraction of the images with an activation above 0 at any position",
    "quantiles": "of the value, each within 1 % of the value of rank floor(share * (count - 1))",
    "correlation": "Pearson's coefficient of the values of two units over the images in which all of the layer are finite",
    "dead": "units that are active in no image",
    "shots": "images by the largest activation at any position, of equal ones the first in the folder",
}


def top(
    images: str | Path,
    model: str | Path | Bundle | nn.Module = "lenet-mnist",
    *,
    layers: str | Sequence[str],
    out: str | Path | None = None,
    k: int = K,
    shard: int | None = None,
    engine: str = "local",
    address: str | None = None,
    finder: str = "centre",
    device: str = "auto",
    allow_code: bool = False,
) -> TopResults:
    """For every unit of some layers the k images to which it answers most, and statistics over all images, in all and by class.

        livecnn.top("digits", layers="conv1,conv2")

    images: a folder (sub-folders are labels), a video or `idx:DIR?split=test`.  model: a name or folder as `livecnn.load` takes
    it, what that gives, or a module of your own, which is left as it is.  layers: names as a Probe takes them, a list or with
    commas.  out: a folder; a run that was interrupted there goes on. None: one in the user's data, the same for the same call,
    which the explorer shows.  k: 1 to 100.
    shard: images that are worked on and written at a time; 256 by default, more of more than 256,000 images.  engine: "local" or
    "ray", the latter at an `address` or, without one, on this machine.  finder: "centre" or "face", what is cut out of an image.
    Returns a Top, which reads that folder: `.shots(layer, unit)`, `.figures(layer)`, `.picture(layer)`; a notebook shows that of
    the first. Raises LivecnnError; what is finished stays in the folder.
    """
    work = make_engine(engine, address)
    job = _job(images, as_job_model(model), _names(layers), k, shard, finder, device, allow_code)
    folder = _usual(job) if out is None else Path(out)
    check_apart(job.place, folder)
    check_writable(folder / MANIFEST)
    with locked(folder / MANIFEST), ImageDataset(job.place) as pictures:
        job.check(pictures)
        scan = run(job, folder / "shards", work)
        if not scan.sizes.sum():
            raise UsageError(f"{images}: none of {job.images} pictures can be read; first: {scan.skipped[0]}")
        _write(folder, job, scan, pictures)
    return TopResults.open(folder)


def _usual(job: TopJob) -> Path:
    """Where the same question always leads, and another one never: by the images' folder, the layers, and all that decides."""
    address, question, wish = split_spec(job.place)[1].partition("?")
    images = Path(address).resolve()
    decisive = hashlib.sha256(json.dumps([f"{images}{question}{wish}", job.settings()]).encode()).hexdigest()
    layers = "+".join(map(paths.file_name, job.layers))
    if len(layers) > LONGEST:
        layers = layers[:LONGEST].rpartition("+")[0] or layers[:LONGEST]
    return paths.user_top(job.bundle.name) / "-".join((paths.file_name(images.name[:LONGEST]), layers, decisive[:6]))


def run(job: TopJob, folder: Path, engine: Engine = run_locally) -> CollectionStats:
    """Work on the shards that the folder lacks, and merge all. Raises LivecnnError, see `shards.run`."""
    shards.run(job, folder, engine)
    total = job.empty
    for scan in shards.read_parts(job, folder):
        total.merge(scan)
    return total


def _names(layers: str | Sequence[str]) -> tuple[str, ...]:
    names = layers.split(",") if isinstance(layers, str) else resolve_layers("layers", layers)
    return tuple(dict.fromkeys(name.strip() for name in names if name.strip()))


def _job(
    images: str | Path, model: str | Bundle, layers: tuple[str, ...], k: int, shard: int | None, finder: str, device: str,
    allow_code: bool,
) -> TopJob:  # fmt: skip
    """Everything that can be wrong is found here. Raises LivecnnError."""
    for name, found, most in (("k", k, MOST_K), ("shard", shard, 10_000_000)):
        check_positive_int(name, found, 1, most)
    if finder not in FINDERS:
        raise UsageError(f"unknown finder {finder!r}; {nearest(finder, FINDERS)}")
    check_finder(finder)
    pick_device(device)
    place = absolute_spec(as_spec(images))
    album = ImageDataset(place)
    with album as pictures:
        count, labels, fingerprint = len(pictures), tuple(sorted(pictures.labels())), pictures.fingerprint()
    job = TopJob(
        place=place, model=model, layers=layers, images=count, fingerprint=fingerprint, unlisted=tuple(album.source.skipped),
        size=shard or default_shard_size(count), finder=finder, device=device, allow_code=allow_code, labels=labels, k=k,
    )  # fmt: skip
    if not job.shapes:
        raise UsageError("layers: found none; allowed: names as `livecnn layers MODEL` lists them, conv1,conv2")
    return job


def _write(folder: Path, job: TopJob, scan: CollectionStats, pictures: Dataset) -> None:
    """Everything but the shards, top.json at the very end. pictures: as they were listed when the run began."""
    (folder / MANIFEST).unlink(missing_ok=True)
    files = paths.file_names(job.layers, RESERVED)
    with one_thread():
        write_statistics(folder, scan, job.classes)
        top_shots.write(folder, job, scan, files, pictures)
    skipped = [*job.unlisted, *scan.skipped]
    lines = "".join(f"{line}\n" for line in skipped)
    write_atomically(folder / "skipped.txt", lines.encode("utf-8", "backslashreplace"))
    about = {
        "version": VERSION,
        **job.settings(),
        "images": int(scan.sizes.sum()),
        "skipped": len(skipped),
        "layers": {name: _about(layer.moments, job.shapes[name], files[name]) for name, layer in scan.layers.items()},
        "classes": list(job.classes),
        "classes_are": "true" if job.labels else "predicted",
        "images_per_class": scan.sizes[:-1].tolist(),
        "quantiles": list(QUANTILES),
        "definitions": DEFINITIONS,
    }
    write_atomically(folder / MANIFEST, json.dumps(about, indent=1, ensure_ascii=False).encode())


def _about(moments: RunningStats, shape: tuple[int, ...], file: str) -> dict[str, object]:
    broken = moments.total().not_finite[0]
    return {
        "file": file,
        "units": shape[1],
        "map": list(shape[2:]),
        "dead": list(moments.dead()),
        "not_finite": {int(unit): int(broken[unit]) for unit in broken.nonzero()[0]},
    }

"""`livecnn.top`: statistics of every unit over a collection, and the images that excite it most."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from torch import nn

from livecnn import paths
from livecnn._cv2 import one_thread
from livecnn.analysis import shards
from livecnn.analysis.dataset import ImageDataset, as_spec
from livecnn.analysis.moments import RunningStats
from livecnn.analysis.ray_backend import make_engine
from livecnn.analysis.shards import Engine, absolute_spec, as_job_model, check_apart, default_shard_size, run_locally
from livecnn.analysis.top.export import write_shots, write_statistics
from livecnn.analysis.top.results import MANIFEST, QUANTILES, VERSION, TopResults
from livecnn.analysis.top.scan import CollectionStats, TopJob
from livecnn.engine.crop import FINDERS, check_finder
from livecnn.errors import UsageError, nearest
from livecnn.io.files import check_writable, locked, write_atomically
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
    """Find the `k` images that excite every unit of some layers most, and statistics over all images.

    Args:
        images: A folder (sub-folders are labels), a video or `idx:DIR?split=test`.
        model: A name or folder as `livecnn.load` takes it, what that returns, or a module of your own, which is left as it is.
        layers: Names as a `Probe` takes them, a list or separated by commas.
        out: A folder; a run that was interrupted there goes on. None: one in the user's data, the same for the same call, which
            the explorer shows.
        k: Images of each unit, 1 to 100.
        shard: Images that are worked on and written at a time; by default 256, and more where there are over 256,000 images.
        engine: "local" or "ray".
        address: Of a Ray cluster; None starts one on this machine.
        finder: What is cut out of an image: its "centre" or a "face".
        device: "auto", "cpu", "cuda", "cuda:N" or "mps".
        allow_code: Let a model `package.module:factory` run its code.

    Returns:
        A view of the folder; a notebook shows the picture of its first layer.

    Raises:
        LivecnnError: If an argument is wrong or the folder cannot be written; what is finished stays in the folder.

    Example:
        >>> import livecnn, numpy
        >>> from PIL import Image
        >>> for i, image in enumerate(numpy.random.default_rng(0).integers(0, 256, (3, 28, 28), numpy.uint8)):
        ...     Image.fromarray(image).save(f"{i}.png")
        >>> found = livecnn.top(".", "lenet-mnist", layers="conv1,ip2", out="../top", k=2)
        >>> found.images, found.units("conv1"), len(found.shots("conv1", 3))
        (3, 20, 2)
        >>> found.figures("ip2").mean.shape  # over all images, and by each of ten classes
        (11, 10)
    """
    work = make_engine(engine, address)
    network, names = as_job_model(model), _names(layers)
    for name, value, most in (("k", k, MOST_K), ("shard", shard, 10_000_000)):
        check_positive_int(name, value, 1, most)
    if finder not in FINDERS:
        raise UsageError(f"unknown finder {finder!r}; {nearest(finder, FINDERS)}")
    check_finder(finder)
    pick_device(device)
    with ImageDataset(absolute_spec(as_spec(images))) as dataset:
        job = TopJob(
            place=dataset.spec, model=network, layers=names, images=len(dataset), fingerprint=dataset.fingerprint(),
            unlisted=tuple(dataset.source.skipped), size=shard or default_shard_size(len(dataset)), finder=finder, device=device,
            allow_code=allow_code, labels=tuple(sorted(dataset.labels())), k=k,
        )  # fmt: skip
        if not job.shapes:
            raise UsageError("layers: found none; allowed: names as `livecnn layers MODEL` lists them, conv1,conv2")
        folder = _usual(job) if out is None else Path(out)
        check_apart(job.place, folder)
        check_writable(folder / MANIFEST)
        with locked(folder / MANIFEST):
            scan = run(job, folder / "shards", dataset, work)
            if not scan.sizes.sum():
                raise UsageError(f"{images}: none of {job.images} pictures can be read; first: {scan.skipped[0]}")
            _write(folder, job, scan, dataset)
    return TopResults.open(folder)


def _usual(job: TopJob) -> Path:
    """Return the folder of a job: always the same for the same question, and another one for any other."""
    address, question, wish = split_spec(job.place)[1].partition("?")
    images = Path(address).resolve()
    decisive = hashlib.sha256(json.dumps([f"{images}{question}{wish}", job.settings()]).encode()).hexdigest()
    layers = "+".join(map(paths.file_name, job.layers))
    if len(layers) > LONGEST:
        layers = layers[:LONGEST].rpartition("+")[0] or layers[:LONGEST]
    return paths.user_top(job.bundle.name) / "-".join((paths.file_name(images.name[:LONGEST]), layers, decisive[:6]))


def run(job: TopJob, folder: Path, images: ImageDataset, engine: Engine = run_locally) -> CollectionStats:
    """Work on the shards that the folder lacks, and merge all. Raises LivecnnError, see `shards.run`."""
    shards.run(job, folder, images, engine)
    total = job.empty
    for scan in shards.read_parts(job, folder):
        total.merge(scan)
    return total


def _names(layers: str | Sequence[str]) -> tuple[str, ...]:
    names = layers.split(",") if isinstance(layers, str) else resolve_layers("layers", layers)
    return tuple(dict.fromkeys(name.strip() for name in names if name.strip()))


def _write(folder: Path, job: TopJob, scan: CollectionStats, images: ImageDataset) -> None:
    """Write everything but the shards, top.json at the very end."""
    (folder / MANIFEST).unlink(missing_ok=True)
    files = paths.file_names(job.layers, RESERVED)
    with one_thread():
        write_statistics(folder, scan, job.classes)
        write_shots(folder, job, scan, files, images)
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

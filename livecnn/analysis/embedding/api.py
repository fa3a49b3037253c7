"""`livecnn.embed`: a map of a folder's pictures by what a layer makes of them."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from torch import nn

from livecnn.analysis import shards
from livecnn.analysis.dataset import ImageDataset, as_spec
from livecnn.analysis.embedding import projection
from livecnn.analysis.embedding.embedding import Embedding
from livecnn.analysis.embedding.job import EmbeddingJob
from livecnn.analysis.embedding.pca import MOST, Pca
from livecnn.analysis.ray_backend import make_engine
from livecnn.analysis.shards import absolute_spec, as_job_model, default_shard_size
from livecnn.analysis.top import Covariance
from livecnn.drawing.artists import resize_exactly
from livecnn.errors import UsageError, nearest
from livecnn.networks.bundle import Bundle
from livecnn.networks.device import pick_device
from livecnn.networks.selectors import check_positive_int
from livecnn.types import Floats, Image

COMPONENTS = 50  # that are kept of the features


def embed(
    folder: str | Path,
    model: str | Path | Bundle | nn.Module = "lenet-mnist",
    layer: str | None = None,
    *,
    method: str = "tsne",
    limit: int | None = None,
    seed: int = 0,
    jobs: int = 1,
    engine: str = "local",
    address: str | None = None,
    parts: str | Path | None = None,
    device: str = "auto",
    allow_code: bool = False,
) -> Embedding:
    """A map of pictures: those to which a layer answers alike lie together.

        livecnn.embed("idx:data/mnist", "lenet-mnist", "ip1", limit=2000)

    folder: of pictures (sub-folders are labels), a video or `idx:DIR?split=test`.  model: as for `livecnn.dream`.  layer: a name
    as a Probe takes it.  method: "tsne", "pca" or "umap".  limit: so many of the pictures, 8 or more, chosen at random by the
    seed, 0 or more.  jobs: processes that prepare them, 1 or more.  engine: "local" or "ray", the latter at an `address` or,
    without one, on this machine.
    parts: a folder for what is finished, from which a call that was interrupted goes on; one call at a time; without one nothing
    is kept.

    The layer's values (of more than 4,096 the mean of each map) are reduced to at most 50 principal components, and these to
    two. Returns an Embedding: `.points`, float32 (N, 2); `.features`, float32 (N, at most 50); `.scores`, float32 (N, K); and
    `.picture()`, which a notebook shows. Raises LivecnnError.
    """
    projection.check(method)
    if layer is not None and not isinstance(layer, str):
        raise UsageError(f"layer: found {layer!r}; allowed: the name of one")
    for name, value, least in (("limit", limit, projection.FEWEST), ("seed", seed, 0), ("jobs", jobs, 1)):
        check_positive_int(name, value, least)
    if engine != "local" and jobs > 1:
        raise UsageError(f"--jobs {jobs}: allowed with --engine local; {engine} has workers of its own")
    work = make_engine(engine, address)
    job = _job(folder, as_job_model(model), layer, limit, seed, jobs, device, allow_code)
    with ExitStack() as stack:
        kept = Path(parts or stack.enter_context(tempfile.TemporaryDirectory(prefix="livecnn-")))
        shards.run(job, kept, work)
        try:
            return _embedding(job, kept, method, seed, str(folder))
        except UsageError:  # there is nothing to go on with
            shards.discard(kept)
            raise


def _job(
    folder: str | Path, model: str | Bundle, layer: str | None, limit: int | None, seed: int, jobs: int, device: str,
    allow_code: bool,
) -> EmbeddingJob:  # fmt: skip
    """Everything that can be wrong is found here. Raises LivecnnError."""
    pick_device(device)
    place = absolute_spec(as_spec(folder))
    album = ImageDataset(place)
    with album as pictures:
        images, fingerprint = len(pictures), pictures.fingerprint()
    job = EmbeddingJob(
        place=place, model=model, layers=() if layer is None else (layer,), images=images, fingerprint=fingerprint,
        unlisted=tuple(album.source.skipped), size=default_shard_size(min(images, limit or images)), device=device,
        allow_code=allow_code, jobs=jobs, limit=limit, seed=None if limit is None else seed,
    )  # fmt: skip
    if not job.layers:
        raise UsageError(f"a layer is needed; {nearest('', job.bundle.shapes([]))}")
    if job.width > MOST:
        raise UsageError(
            f"layer {layer!r} gives {job.width} values a picture; allowed: up to {MOST}, or maps, of which it takes means"
        )
    return job


def _embedding(job: EmbeddingJob, kept: Path, method: str, seed: int, folder: str) -> Embedding:
    pca, skipped = _pca(job, kept, folder)
    scored, reduced = [], []
    for answers in shards.read_parts(job, kept):
        scored += answers.scored
        reduced.append(pca(answers.features))
    found = np.concatenate(reduced)
    return Embedding(
        points=projection.project(found, method, seed),
        features=found,
        pca=pca,
        indices=np.array([each.index for each in scored], np.int64),
        names=tuple(each.name for each in scored),
        labels=tuple(each.label for each in scored),
        scores=np.stack([each.scores for each in scored]),
        tops=np.array([-1 if each.top is None else each.top for each in scored], np.int64),
        thumbnails=_alike([each.thumbnail for each in scored if each.thumbnail is not None]),
        classes=job.bundle.classes,
        layer=job.layer,
        model=job.bundle.name,
        method=method,
        seed=seed,
        skipped=tuple(skipped),
    )


def _pca(job: EmbeddingJob, kept: Path, folder: str) -> tuple[Pca, list[str]]:
    """Of all pictures, shard by shard, and what was skipped. Raises UsageError if that gives no map."""
    few = len(job.chosen) < job.width  # then the features are less than their covariance, and the analysis of them is quicker
    rows: list[Floats] = []
    moments = Covariance.none(0 if few else job.width)
    found, skipped = 0, list(job.unlisted)
    for answers in shards.read_parts(job, kept):
        found += len(answers.scored)
        skipped += answers.skipped
        if few:
            rows.append(answers.features)
        else:
            moments.add(answers.features.astype(np.float64))
    if found < projection.FEWEST:
        first = f" ({len(skipped)} skipped; first: {skipped[0]})" if skipped else ""
        raise UsageError(f"{folder}: found {found} pictures{first}; a map needs {projection.FEWEST} or more")
    pca = Pca.of(np.concatenate(rows), COMPONENTS) if few else Pca.from_covariance(moments.mean, moments.products, COMPONENTS)
    if not len(pca.components):
        raise UsageError(f"{folder}: {job.layer} answers the same to all {found} pictures; there is nothing to map")
    return pca, skipped


def _alike(thumbnails: Sequence[Image]) -> Image:
    """All as large as the largest, uint8 (N, s, s, 3)."""
    side = max(max(each.shape[:2]) for each in thumbnails)
    return np.stack([each if each.shape == (side, side, 3) else resize_exactly(each, side, side) for each in thumbnails])

"""`livecnn.embed`: a map of a folder's pictures by what a layer makes of them."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from livecnn import bundles, projection
from livecnn._cv2 import one_thread
from livecnn.album import Album, spec_of
from livecnn.bundles import Bundle
from livecnn.device import pick
from livecnn.embedding import Embedding
from livecnn.embedding_picture import thumbnail_side
from livecnn.errors import ModelError, UsageError, nearest
from livecnn.features import MOST, count, features
from livecnn.patch import Cropper
from livecnn.pca import Pca
from livecnn.pixels import scaled
from livecnn.scoring import Scored, Scorer
from livecnn.types import Floats, Image

COMPONENTS = 50  # that are kept of the features
PRINT = 6000  # pixels of a map's side for which thumbnails are kept


def embed(
    folder: str | Path,
    model: str | Path | Bundle | nn.Module = "lenet-mnist",
    layer: str | None = None,
    *,
    method: str = "tsne",
    limit: int | None = None,
    seed: int = 0,
    jobs: int = 1,
    device: str = "auto",
    allow_code: bool = False,
) -> Embedding:
    """A map of pictures: those to which a layer answers alike lie together.

        livecnn.embed("idx:data/mnist", "lenet-mnist", "ip1", limit=2000)

    folder: of pictures (sub-folders are labels), a video or `idx:DIR?split=test`.  model: as for `livecnn.dream`.  layer: a name
    as a Probe takes it.  method: "tsne", "pca" or "umap".  limit: so many of the pictures, chosen at random by the seed.
    jobs: processes that read them. The layer's values (of more than 4,096 the mean of each map) are reduced to at most 50
    principal components, and these to two. Raises LivecnnError.
    """
    projection.check(method)
    for name, value, least in (("limit", limit, projection.FEWEST), ("seed", seed, 0), ("jobs", jobs, 1)):
        if value is not None and value < least:
            raise UsageError(f"{name}: found {value}; allowed: {least} or more")
    bundle = _bundle(model, allow_code)
    layer = _layer(bundle, layer)
    album = Album(spec_of(folder))
    with one_thread(), album as pictures:
        places = sorted(np.random.default_rng(seed).permutation(len(pictures))[:limit].tolist())
        side = thumbnail_side(PRINT, len(places))
        scorer = Scorer(album, pictures, Cropper(bundle.pipeline, 1.0), bundle.module, pick(device), side)
        scored, values = _gather(scorer, layer, places, jobs)
    return _embedding(bundle, layer, method, seed, scored, values, scorer.skipped, str(folder))


def _bundle(model: str | Path | Bundle | nn.Module, allow_code: bool) -> Bundle:
    if isinstance(model, (str, Path)):
        return bundles.load(model, allow_code=allow_code)
    if isinstance(model, Bundle):
        return model
    shared = {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())}
    return bundles.of_module(copy.deepcopy(model, shared), type(model).__name__)  # which changes the mode


def _layer(bundle: Bundle, layer: str | None) -> str:
    """The one that is meant, if a map of it can be made."""
    shapes = bundle.shapes([] if layer is None else [layer])
    if layer is None:
        raise UsageError(f"a layer is needed; {nearest('', shapes)}")
    if layer not in shapes:
        raise ModelError(f"unknown layer {layer!r}; {nearest(layer, shapes)}")
    found = count(shapes[layer])
    if found > MOST:
        raise UsageError(
            f"layer {layer!r} gives {found} values a picture; allowed: up to {MOST}, or maps, of which it takes means"
        )
    return layer


def _gather(scorer: Scorer, layer: str, places: Sequence[int], jobs: int) -> tuple[list[Scored], Floats]:
    """Each picture's scores and features, in one pass; those whose activation is not finite have no place on a map."""
    scored: list[Scored] = []
    values = []
    bar = tqdm(total=len(places), desc="activations", unit="picture", disable=None, leave=False)
    with bar, closing(scorer.watched([layer], places, jobs)) as batches:
        for batch, activations in batches:
            found = features(activations[layer]).cpu()
            finite = torch.isfinite(found).all(1).tolist()
            scorer.skipped += [
                f"{each.name}: {layer} is not finite" for each, fine in zip(batch, finite, strict=True) if not fine
            ]
            scored += [each for each, fine in zip(batch, finite, strict=True) if fine]
            values.append(found[finite].numpy())
            bar.update(len(batch))
    return scored, np.concatenate(values) if scored else np.empty((0, 1), np.float32)


def _embedding(
    bundle: Bundle,
    layer: str,
    method: str,
    seed: int,
    scored: Sequence[Scored],
    values: Floats,
    skipped: Sequence[str],
    folder: str,
) -> Embedding:
    if len(scored) < projection.FEWEST:
        first = f" ({len(skipped)} skipped; first: {skipped[0]})" if skipped else ""
        raise UsageError(f"{folder}: found {len(scored)} pictures{first}; a map needs {projection.FEWEST} or more")
    pca = Pca.of(values, COMPONENTS)
    if not len(pca.components):
        raise UsageError(f"{folder}: {layer} answers the same to all {len(scored)} pictures; there is nothing to map")
    reduced = pca(values)
    return Embedding(
        points=projection.project(reduced, method, seed),
        features=reduced,
        pca=pca,
        indices=np.array([each.index for each in scored], np.int64),
        names=tuple(each.name for each in scored),
        labels=tuple(each.label for each in scored),
        scores=np.stack([each.scores for each in scored]),
        tops=np.array([-1 if each.top is None else each.top for each in scored], np.int64),
        thumbnails=_alike([each.thumbnail for each in scored if each.thumbnail is not None]),
        classes=bundle.classes,
        layer=layer,
        model=bundle.name,
        method=method,
        seed=seed,
        skipped=tuple(skipped),
    )


def _alike(thumbnails: Sequence[Image]) -> Image:
    """All as large as the largest, uint8 (N, s, s, 3)."""
    side = max(max(each.shape[:2]) for each in thumbnails)
    return np.stack([each if each.shape == (side, side, 3) else scaled(each, side, side) for each in thumbnails])

"""`livecnn.embed`: a map of a folder's images by a layer's activations, and the files that it is written to."""

from __future__ import annotations

import base64
import html
import io
import json
import math
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image as PillowImage
from torch import nn

from livecnn.analysis import shards
from livecnn.analysis.dataset import ImageDataset, as_spec
from livecnn.analysis.embedding.embedding import FEWEST, MOST, Embedding, Pca, check, count, features, project
from livecnn.analysis.embedding.picture import LARGEST, SMALLEST, fit_unit_square, grid_cells, thumbnail_side
from livecnn.analysis.ray_backend import make_engine
from livecnn.analysis.scorer import ScoredImage, Scorer
from livecnn.analysis.shards import Job, absolute_spec, as_job_model, check_apart, default_shard_size
from livecnn.analysis.top.scan import Covariance
from livecnn.drawing.artists import resize_exactly
from livecnn.drawing.shapes import SHAPES, color_of
from livecnn.drawing.theme import THEMES
from livecnn.errors import OutputError, UsageError, nearest
from livecnn.io.files import as_csv, check_writable, npz_bytes, open_npz, write_atomically, write_png
from livecnn.networks.bundle import Bundle
from livecnn.networks.device import pick_device
from livecnn.networks.selectors import check_positive_int
from livecnn.types import Floats, Image

COMPONENTS = 50  # that are kept of the features
PRINT = 6000  # pixels of a map's side for which thumbnails are kept
SUFFIXES = (".png", ".html", ".csv", ".npz")
SIZE = 1600
TEMPLATE = Path(__file__).with_name("html_page.html")
SHEET = 8192  # pixels of a side that every browser takes
SMALL = 32  # pixels of a thumbnail up to which they are kept exactly
BEST = 5  # scores told of each picture, the largest


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
    """Lay out images on a map so that those lie together to which a layer answers alike.

    The layer's values (of more than 4,096 the mean of each map) are reduced to at most 50 principal components, and these to
    two dimensions.

    Args:
        folder: Images (sub-folders are labels), a video or `idx:DIR?split=test`.
        model: A name or folder as `livecnn.load` takes it, what that returns, or a module of your own, which is left as it is.
        layer: A name as a `Probe` takes it.
        method: "tsne", "pca" or "umap".
        limit: So many of the images, 8 or more, chosen at random by the seed; None takes all.
        seed: 0 or more; the same seed gives the same map.
        jobs: Processes that prepare images, 1 or more.
        engine: "local" or "ray".
        address: Of a Ray cluster; None starts one on this machine.
        parts: A folder for what is finished, from which an interrupted call goes on; one call at a time. None keeps nothing.
        device: "auto", "cpu", "cuda", "cuda:N" or "mps".
        allow_code: Let a model `package.module:factory` run its code.

    Returns:
        The map, which a notebook shows as a picture.

    Raises:
        LivecnnError: If an argument is wrong, or there are too few images.

    Example:
        >>> import livecnn
        >>> from PIL import Image
        >>> for i in range(9):
        ...     digit = Image.new("L", (28, 28), "white")
        ...     digit.paste("black", (8, 4, 10 + i, 24))
        ...     digit.save(f"{i}.png")
        >>> made = livecnn.embed(".", "lenet-mnist", "ip1", method="pca")
        >>> made.points.shape, made.scores.shape, made.picture(400).shape[1]
        ((9, 2), (9, 10), 400)
    """
    check(method)
    if layer is not None and not isinstance(layer, str):
        raise UsageError(f"layer: found {layer!r}; allowed: the name of one")
    for name, value, least in (("limit", limit, FEWEST), ("seed", seed, 0), ("jobs", jobs, 1)):
        check_positive_int(name, value, least)
    if engine != "local" and jobs > 1:
        raise UsageError(f"--jobs {jobs}: allowed with --engine local; {engine} has workers of its own")
    work, network = make_engine(engine, address), as_job_model(model)
    pick_device(device)
    with ImageDataset(absolute_spec(as_spec(folder))) as images, ExitStack() as stack:
        job = EmbeddingJob(
            place=images.spec, model=network, layers=() if layer is None else (layer,), images=len(images),
            fingerprint=images.fingerprint(), unlisted=tuple(images.source.skipped),
            size=default_shard_size(min(len(images), limit or len(images))), device=device, allow_code=allow_code, jobs=jobs,
            limit=limit, seed=None if limit is None else seed,
        )  # fmt: skip
        job.check_layer()
        kept = Path(parts or stack.enter_context(tempfile.TemporaryDirectory(prefix="livecnn-")))
        shards.run(job, kept, images, work)
        try:
            return _embedding(job, kept, method, seed, str(folder))
        except UsageError:  # there is nothing to go on with
            shards.discard(kept)
            raise


@dataclass(eq=False)
class Answers:
    """The part of a map that one shard of images contributes."""

    features: Floats  # float32 (n, D)
    scored: list[ScoredImage]  # the same pictures with their thumbnails
    skipped: list[str]  # others, each with the reason

    def packed(self) -> bytes:
        """Return it as an .npz file, not compressed: it is read soon, and then deleted."""
        thumbnails = [each.thumbnail for each in self.scored if each.thumbnail is not None]
        about = {
            "names": [each.name for each in self.scored],
            "labels": [each.label for each in self.scored],
            "skipped": self.skipped,
        }
        arrays: dict[str, npt.NDArray[Any]] = {
            "features": self.features,
            "indices": np.array([each.index for each in self.scored], np.int64),
            "scores": np.array([each.scores for each in self.scored], np.float32),
            "tops": np.array([-1 if each.top is None else each.top for each in self.scored], np.int64),
            "sizes": np.array([each.shape[:2] for each in thumbnails], np.int64).reshape(-1, 2),
            "pixels": np.concatenate([np.empty(0, np.uint8), *(each.ravel() for each in thumbnails)]),
        }
        return npz_bytes(arrays, about, compressed=False)

    @classmethod
    def unpacked(cls, data: bytes) -> Answers:
        """Read what `packed` returned. Raises ValueError if that is no such file."""
        with open_npz(data) as (file, about):
            tops, thumbnails = [None if top < 0 else top for top in file["tops"].tolist()], _apart(file["pixels"], file["sizes"])
            columns = file["indices"].tolist(), about["names"], about["labels"], file["scores"], tops, thumbnails
            return cls(file["features"], [ScoredImage(*row) for row in zip(*columns, strict=True)], about["skipped"])


def _apart(pixels: Image, sizes: npt.NDArray[np.int64]) -> list[Image]:
    """Cut thumbnails of these sizes (n, 2) from pixels that follow one another."""
    ends = np.cumsum(3 * sizes.prod(1))
    return [part.reshape(*size, 3) for part, size in zip(np.split(pixels, ends)[:-1], sizes.tolist(), strict=True)]


@dataclass(frozen=True, kw_only=True)
class EmbeddingJob(Job[Answers]):
    """Gather features and thumbnails."""

    limit: int | None  # so many of the pictures, chosen at random; None takes all
    seed: int | None  # of that choice; None if there is none

    decisive = "images", "fingerprint", "limit", "seed", "size", "layers"

    @cached_property
    def chosen(self) -> Sequence[int]:
        """Return the numbers of the images on the map."""
        if self.limit is None:
            return range(self.images)
        return sorted(np.random.default_rng(self.seed).permutation(self.images)[: self.limit].tolist())

    @property
    def layer(self) -> str:
        """Return the layer whose activations are mapped."""
        return self.layers[0]

    @property
    def width(self) -> int:
        """Return the number of features of an image."""
        return count(self.shapes[self.layer])

    @property
    def thumbnails(self) -> int:
        """Return the side of the thumbnails in pixels."""
        return thumbnail_side(PRINT, len(self.chosen))

    def gather(self, scorer: Scorer, places: Sequence[int]) -> Answers:
        """Leave out pictures whose activation is not finite: they have no place on a map."""
        values, scored = [np.empty((0, self.width), np.float32)], []
        with closing(scorer.watched(self.layers, places, self.jobs)) as batches:
            for batch, activations in batches:
                found = features(activations[self.layer]).cpu()
                finite = torch.isfinite(found).all(1)
                values.append(found[finite].numpy())
                for each, fine in zip(batch, finite.tolist(), strict=True):
                    if fine:
                        scored.append(each)
                    else:
                        scorer.skipped.append(f"{each.name}: {self.layer} is not finite")
        return Answers(np.concatenate(values), scored, scorer.skipped)

    def unpacked(self, data: bytes) -> Answers:
        return Answers.unpacked(data)

    def check_layer(self) -> None:
        """Raise UsageError if no layer was given, or it has too many values."""
        if not self.layers:
            raise UsageError(f"a layer is needed; {nearest('', self.bundle.shapes([]))}")
        if self.width > MOST:
            found = f"layer {self.layer!r} gives {self.width} values a picture"
            raise UsageError(f"{found}; allowed: up to {MOST}, or maps, of which it takes means")


def _embedding(job: EmbeddingJob, kept: Path, method: str, seed: int, folder: str) -> Embedding:
    pca, skipped = _pca(job, kept, folder)
    scored, reduced = [], []
    for answers in shards.read_parts(job, kept):
        scored += answers.scored
        reduced.append(pca(answers.features))
    found = np.concatenate(reduced)
    return Embedding(
        points=project(found, method, seed),
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
    """Analyze all pictures, shard by shard; return what was skipped, too. Raises UsageError if that gives no map."""
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
    if found < FEWEST:
        first = f" ({len(skipped)} skipped; first: {skipped[0]})" if skipped else ""
        raise UsageError(f"{folder}: found {found} pictures{first}; a map needs {FEWEST} or more")
    pca = Pca.of(np.concatenate(rows), COMPONENTS) if few else Pca.from_covariance(moments.mean, moments.products, COMPONENTS)
    if not len(pca.components):
        raise UsageError(f"{folder}: {job.layer} answers the same to all {found} pictures; there is nothing to map")
    return pca, skipped


def _alike(thumbnails: Sequence[Image]) -> Image:
    """Make all as large as the largest, uint8 (N, s, s, 3)."""
    side = max(max(each.shape[:2]) for each in thumbnails)
    return np.stack([each if each.shape == (side, side, 3) else resize_exactly(each, side, side) for each in thumbnails])


def check_out(out: Path, folder: str, size: int | None, *, grid: bool) -> None:
    """Raise OutputError or UsageError before the work begins. folder: of the pictures."""
    suffix = out.suffix.lower()
    if suffix not in SUFFIXES:
        raise OutputError(f"{out}: unknown suffix {out.suffix!r}; allowed: {', '.join(SUFFIXES)}")
    if size is not None and not SMALLEST <= size <= LARGEST:
        raise UsageError(f"--size: found {size}; allowed: {SMALLEST} to {LARGEST} pixels")
    for option, given, allowed in (("--size", size is not None, (".png",)), ("--grid", grid, (".png", ".html"))):
        if given and suffix not in allowed:
            raise UsageError(f"{option}: {out} is no picture; allowed with {' or '.join(allowed)}")
    if suffix == ".png":
        check_apart(absolute_spec(as_spec(folder)), out)
    check_writable(out)


def write(embedding: Embedding, out: Path, size: int | None = None, *, grid: bool = False) -> None:
    """Write an embedding in the form that the suffix names. Raises OutputError."""
    suffix = out.suffix.lower()
    if suffix == ".png":
        write_png(out, embedding.picture(size or SIZE, grid=grid))
    elif suffix == ".html":
        write_atomically(out, page(embedding, grid=grid).encode(errors="backslashreplace"))
    else:
        write_atomically(out, embedding.data() if suffix == ".npz" else table(embedding))


def table(embedding: Embedding) -> bytes:
    """Return CSV: index, name, label, x, y, top_class (empty for none), then a probability per class, by name."""
    rows: list[list[object]] = [["index", "name", "label", "x", "y", "top_class", *embedding.classes]]
    columns = (embedding.indices, embedding.names, embedding.labels, embedding.points, embedding.tops, embedding.scores)
    for index, name, label, (x, y), top, scores in zip(*columns, strict=True):
        seen = "" if top < 0 else embedding.classes[top]
        rows.append([index, name, label, f"{x:.5g}", f"{y:.5g}", seen, *(f"{score:.6f}" for score in scores)])
    return as_csv(rows)


def page(embedding: Embedding, *, grid: bool = False) -> str:
    """Return an HTML page; `grid`: whether it opens with the pictures in cells."""
    title, subtitle = embedding.words()
    theme = THEMES["dark"]
    filled = {
        "title": html.escape(f"{embedding.layer}: {embedding.model}"),
        "heading": html.escape(title),
        "about": html.escape(subtitle),
        "colors": " ".join(
            f"--{role}: rgb{getattr(theme, role)};" for role in ("background", "card", "edge", "text", "muted", "accent")
        ),
        "data": _script(_data(embedding, grid)),
    }
    text = TEMPLATE.read_text(encoding="utf-8")
    for name, value in filled.items():
        text = text.replace(f"<!--{name}-->", value)
    return text


def _data(embedding: Embedding, grid: bool) -> dict[str, Any]:
    names, groups = embedding.groups
    points = fit_unit_square(embedding.points)
    places, side = grid_cells(points)
    picture, tile, columns = _sheet(embedding.thumbnails)
    best = np.argsort(-embedding.scores, axis=1, kind="stable")[:, :BEST]
    return {
        "points": points.round(5).tolist(),
        "cells": ((places[:, ::-1] + 0.5) / side).round(5).tolist(),
        "grid": grid,
        "groups": groups.tolist(),
        "kinds": [{"name": name, "color": f"rgb{color_of(i)}", "shape": i % len(SHAPES)} for i, name in enumerate(names)],
        "shapes": SHAPES,
        "names": embedding.names,
        "labels": embedding.labels,
        "tops": embedding.tops.tolist(),
        "classes": embedding.classes,
        "best": best.tolist(),
        "scores": np.nan_to_num(np.take_along_axis(embedding.scores, best, 1)).astype(float).round(4).tolist(),
        "tile": tile,
        "columns": columns,
        "sheet": picture,
    }


def _sheet(thumbnails: Image) -> tuple[str, int, int]:
    """Return all thumbnails on one picture as a data URI, the side of each, and how many stand in a row."""
    columns = math.ceil(math.sqrt(len(thumbnails)))
    side = min(thumbnails.shape[1], SHEET // columns)
    sheet = np.zeros((-(-len(thumbnails) // columns) * side, columns * side, 3), np.uint8)
    for i, thumbnail in enumerate(thumbnails):
        top, left = i // columns * side, i % columns * side
        sheet[top : top + side, left : left + side] = resize_exactly(thumbnail, side, side)
    kind = "PNG" if side <= SMALL else "JPEG"
    gray = bool((sheet[..., :1] == sheet).all())
    buffer = io.BytesIO()
    PillowImage.fromarray(sheet[..., 0].copy() if gray else sheet).save(buffer, kind, quality=88)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}", side, columns


def _script(data: dict[str, Any]) -> str:
    """Return JSON that cannot end the element it stands in, whatever a file is called."""
    return json.dumps(data, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")

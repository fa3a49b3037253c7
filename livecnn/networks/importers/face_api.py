"""The age and gender network of face-api.js (https://github.com/justadudewhohacks/face-api.js-models).

Its `.weights` file holds float32 numbers, least significant byte first, tensor after tensor, in TensorFlow's layouts: filters as
(height, width, inputs, outputs), matrices as (inputs, outputs). NAME-weights_manifest.json lists their names and shapes.
"""

import json
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from livecnn.errors import ModelError
from livecnn.networks.architectures.tiny_xception import TinyXception
from livecnn.networks.importers import Imported, Importer, read_start

INPUT = {
    "kind": "plain",
    "size": [112, 112],
    "channels": 3,
    "mean": [122.782, 117.001, 104.298],
    "std": [256.0],
    "scale": 255,
    "resize": "bilinear",
}
CLASSES = ("male", "female")  # as AgeGenderNet.predictAgeAndGender reads its two probabilities

MOST_BYTES = 1 << 18  # of a manifest


class FaceApiImporter(Importer):
    """Reads one `.weights` file. A manifest, given or beside it, has to say that this network is in it."""

    suffixes = (".weights", ".json")

    def __call__(self, files: Sequence[Path], **_: object) -> Imported:
        weights = [file for file in files if file.suffix.lower() == ".weights"]
        manifests = [file for file in files if file not in weights]
        if len(weights) != 1 or len(manifests) > 1:
            found = f"{len(weights)} .weights and {len(manifests)} .json files"
            raise ModelError(f"{files[0]}: found {found}; one .weights file is needed, and its manifest if it is at hand")
        beside = weights[0].with_name(f"{weights[0].stem}-weights_manifest.json")
        module = TinyXception().eval().requires_grad_(False)
        parts = [_part(name, tensor) for name, tensor in module.state_dict().items()]
        for manifest in manifests or ([beside] if beside.exists() else []):
            _check(manifest, parts)
        module.load_state_dict(_read(weights[0], parts))
        return Imported(module, "tiny_xception", input=INPUT, classes=CLASSES)


class _Part(NamedTuple):
    """A tensor by our name and by the manifest's, its shape there, and the axes that lead from ours to there."""

    name: str
    foreign: str
    shape: tuple[int, ...]
    axes: tuple[int, ...]


def _part(name: str, tensor: torch.Tensor) -> _Part:
    foreign = re.sub(r"(depthwise|pointwise)\.weight$", r"\1_filter", name)
    foreign = re.sub(r"pointwise\.bias$", "bias", foreign)
    foreign = re.sub(r"^(age|gender)\.(bias|weight)$", r"fc.\1.\2", foreign).replace(".", "/")
    foreign = re.sub(r"weight$", "weights" if tensor.ndim == 2 else "filters", foreign)
    filters = (2, 3, 0, 1) if foreign.endswith("depthwise_filter") else (2, 3, 1, 0)
    axes = {1: (0,), 2: (1, 0), 4: filters}[tensor.ndim]
    return _Part(name, foreign, tuple(tensor.shape[axis] for axis in axes), axes)


def _check(manifest: Path, parts: Sequence[_Part]) -> None:
    try:
        groups = json.loads(read_start(manifest, MOST_BYTES))
        found = [(entry["name"], tuple(entry["shape"]), entry["dtype"]) for group in groups for entry in group["weights"]]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ModelError(f"{manifest}: not a manifest of face-api.js: {type(error).__name__}: {error}") from error
    needed = [(part.foreign, part.shape, "float32") for part in parts]
    wrong = next((f"found {one}; {other} is needed" for one, other in zip(found, needed, strict=False) if one != other), None)
    if wrong or len(found) != len(needed):
        reason = wrong or f"found {len(found)} tensors; {len(needed)} are needed"
        raise ModelError(f"{manifest}: not that of the age and gender network: {reason}")


def _read(path: Path, parts: Sequence[_Part]) -> dict[str, torch.Tensor]:
    count = sum(math.prod(part.shape) for part in parts)
    content = read_start(path, 4 * count + 1)
    if len(content) != 4 * count:
        found = f"{len(content):,} bytes" if len(content) < 4 * count else f"more than {4 * count:,} bytes"
        raise ModelError(f"{path}: found {found}; the age and gender network has {4 * count:,}, uncompressed")
    numbers = np.frombuffer(content, "<f4").astype(np.float32)
    tensors, start = {}, 0
    for part in parts:
        end = start + math.prod(part.shape)
        values = numbers[start:end].reshape(part.shape).transpose(np.argsort(part.axes))
        tensors[part.name], start = torch.from_numpy(np.ascontiguousarray(values)), end
    return tensors

"""`livecnn explain`: a picture, or a folder with a picture a unit that other programs can read (docs/explain.md)."""

import hashlib
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as PillowImage
from tqdm import tqdm

from livecnn import paths
from livecnn.errors import OutputError
from livecnn.explain.api import ExplainedImage, ImageExplainer
from livecnn.explain.rendering import draw_explanations
from livecnn.explain.results import Explanation, Request
from livecnn.io.files import check_same_run, check_writable, is_folder, write_atomically, write_png
from livecnn.types import Image

MANIFEST, SCORES, ARCHITECTURE, INPUT = "manifest.json", "scores.json", "architecture.json", "input.png"
SCHEMA = 1
MOST_VALUES = 1 << 26  # of the maps that are found in one go: 256 MiB
DIGITS = 3  # of a unit's number in a file's name, at least


def check_out(out: str) -> None:
    """Raise OutputError before the work begins."""
    path = Path(out)
    if not is_folder(out) and path.suffix.lower() != ".png":
        raise OutputError(f"{out}: unknown suffix {path.suffix!r}; allowed: .png, or a folder: {out}/")
    check_writable(path / MANIFEST if is_folder(out) else path)


def write(explainer: ImageExplainer, image: Image, name: str, out: str) -> tuple[int, ExplainedImage]:
    """Explain an image of that name, and write it there: how many pictures there are, and what was seen.

    Raises OutputError, ModelError, UsageError; a folder keeps what was found until then.
    """
    sight = explainer(image)
    settings = {"image": name, **explainer.settings}
    if is_folder(out):
        settings["sha256"] = hashlib.sha256(image.tobytes()).hexdigest()
        return _Folder(Path(out), settings, explainer, sight).fill(), sight
    parts = map(sight.explain, _shown(sight.questions))
    write_png(Path(out), draw_explanations(sight.seen, sight.scores, sight.classes, sight.questions, parts, settings))
    return sum(len(question.units) for question in sight.questions), sight


def _shown(questions: tuple[Request, ...]) -> Iterator[Request]:
    """Yield one after the other, with a progress bar on terminals."""
    with tqdm(
        total=sum(len(one.units) for one in questions), desc="explaining", unit="picture", disable=None, leave=False
    ) as bar:
        for question in questions:
            yield question
            bar.update(len(question.units))


class _Folder:
    """A folder and its manifest, which grows with what is found, so that a run that was interrupted goes on."""

    def __init__(self, path: Path, settings: dict[str, Any], explainer: ImageExplainer, sight: ExplainedImage) -> None:
        self._path, self._settings, self._explainer, self._sight = path, settings, explainer, sight
        self._rows = _left(path, settings)
        self._stems = paths.file_names(explainer.layers, ["class"])

    def fill(self) -> int:
        bundle, sight = self._explainer.bundle, self._sight
        write_png(self._path / INPUT, sight.seen)
        self._write(ARCHITECTURE, bundle.architecture.data())
        order = np.argsort(-sight.scores, kind="stable")
        scores = [{"class": int(i), "name": sight.classes[i], "score": _number(sight.scores[i])} for i in order]
        self._write(SCORES, {"model": bundle.name, "image": self._settings["image"], "scores": scores})
        for question in _shown(tuple(self._goes())):
            names = [self._name(question, unit) for unit in question.units]
            if any(name not in self._rows for name in names):
                self._keep(names, sight.explain(question))
        return len(self._rows)

    def _goes(self) -> Iterator[Request]:
        """Yield the questions, cut so that memory does not grow with them."""
        together = max(1, MOST_VALUES // int(np.prod(self._explainer.bundle.pipeline.shape)))
        for question in self._sight.questions:
            for start in range(0, len(question.units), together):
                yield question._replace(units=question.units[start : start + together])

    def _name(self, question: Request, unit: int) -> str:
        """Name a file: conv1_007.png; conv1_007_gradient.png or class_003_grad_cam_conv2.png with several methods or layers."""
        words = ["class" if question.layer is None or question.of_classes else self._stems[question.layer], f"{unit:0{DIGITS}}"]
        if len(self._explainer.methods) > 1:
            words.append(question.method)
        if question.of_classes and len(self._explainer.layers) > 1 and question.layer is not None:
            words.append(self._stems[question.layer])
        return "_".join(words) + ".png"

    def _keep(self, names: list[str], found: Explanation) -> None:
        question = found.question
        levels, low, high = found.levels()
        swapped = self._settings["channels"] == "BGR" and levels.shape[1] == 3
        kind = "class" if question.of_classes else "unit"
        for i, (file, unit, name) in enumerate(zip(names, question.units, found.names, strict=True)):
            write_atomically(self._path / file, _png(levels[i, ::-1] if swapped else levels[i]))
            self._rows[file] = {
                "file": file, "method": question.method, "layer": question.layer, kind: unit, "name": name,
                "value": _number(found.values[i]), "position": found.places[i], "size": levels.shape[2:],
                "normalisation": found.normalisation, "low": _number(low[i]), "high": _number(high[i]),
            }  # fmt: skip
        self._write(MANIFEST, {"schema": SCHEMA, **self._settings, "pictures": list(self._rows.values())})

    def _write(self, file: str, data: object) -> None:
        write_atomically(self._path / file, f"{json.dumps(data, indent=2, ensure_ascii=False)}\n".encode())


def _left(path: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """Read by file what an earlier run of these settings left. Raises OutputError if it was another run."""
    manifest = path / MANIFEST
    if not manifest.exists():
        return {}
    try:
        found = json.loads(manifest.read_bytes())
        rows = {row["file"]: row for row in found["pictures"] if (path / row["file"]).is_file()}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise OutputError(f"{manifest}: not the manifest of a run: {error}; name another folder") from error
    check_same_run(path, found, settings)
    return rows


def _png(levels: Image) -> bytes:
    """Encode uint8 (1 or 3, H, W) as a file."""
    buffer = io.BytesIO()
    PillowImage.fromarray(np.ascontiguousarray(levels.transpose(1, 2, 0)) if len(levels) == 3 else levels[0]).save(buffer, "PNG")
    return buffer.getvalue()


def _number(value: Any) -> float | None:
    """Return a number for JSON; None for what JSON cannot write."""
    return float(value) if np.isfinite(value) else None

"""`livecnn.explanations` and `livecnn explain`: what in an image units of layers, or classes, answer to, by several methods.

It is told as arrays, as a picture, or in a folder with a picture a unit that other programs can read (docs/explain.md).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from livecnn import paths
from livecnn.engine.crop import LARGEST, Cropper
from livecnn.errors import OutputError, UsageError, nearest
from livecnn.explain.base import At, ForwardPass, Method, class_objective, flat_index, to_array
from livecnn.explain.methods import kinds, method_class
from livecnn.explain.results import Explanation, Place, Request
from livecnn.io.files import check_same_run, check_writable, is_folder, write_atomically, write_png
from livecnn.io.images import notebook_png, read_image
from livecnn.networks.bundle import Bundle
from livecnn.networks.inspection.probe import Probe
from livecnn.networks.selectors import Wanted, as_bundle, expand_units, resolve_classes, resolve_layers, resolve_units
from livecnn.types import Floats, Frame, Image, Prepared

if TYPE_CHECKING:
    from typing_extensions import Unpack

ALL = "all"  # convolutions
METHOD = "guided_backprop"
AT = "at"
NUMBERS = ("patch", "stride", "fill", "baseline", "steps")  # options that are numbers
MANIFEST, SCORES, ARCHITECTURE, INPUT = "manifest.json", "scores.json", "architecture.json", "input.png"
SCHEMA = 1
MOST_VALUES = 1 << 26  # of the maps that are found in one go: 256 MiB
DIGITS = 3  # of a unit's number in a file's name, at least


@dataclass(frozen=True, eq=False, repr=False)
class Explanations:
    """All explanations of one image.

    Attributes:
        seen: What the network sees, uint8 (H, W) or (H, W, 3).
        scores: float32 (K,): probabilities; plain numbers where the network gives no probabilities.
        classes: Their K names.
        parts: One for each method and layer.
        settings: The arguments, ready for JSON.
    """

    seen: Image
    scores: Floats
    classes: tuple[str, ...]
    parts: tuple[Explanation, ...]
    settings: dict[str, Any]

    def picture(self) -> Image:
        """Draw all side by side, uint8 (H, W, 3). Raises UsageError if that would be too large."""
        from livecnn.explain.rendering import draw_explanations

        questions = [part.question for part in self.parts]
        return draw_explanations(self.seen, self.scores, self.classes, questions, self.parts, self.settings)

    def _repr_png_(self) -> bytes:
        return notebook_png(self.picture())

    def __repr__(self) -> str:
        asked, image = self.settings, self.settings["image"]
        count = sum(len(part.names) for part in self.parts)
        return f"<{count} explanations of {image or 'an image'} for {asked['model']}: {', '.join(asked['methods'])}>"


class ImageExplainer:
    """Explanations by one network, of any number of images. For the arguments see `explanations`."""

    def __init__(
        self,
        model: str | Path | Bundle | nn.Module,
        layer: str | Sequence[str] | None = None,
        units: Wanted | None = None,
        *,
        classes: Wanted | None = None,
        method: str | Sequence[str] = METHOD,
        device: str | None = None,
        allow_code: bool = False,
        **options: Unpack[Options],
    ) -> None:
        self.methods = resolve_layers("method", method)
        self._kinds: dict[str, type[Method]] = {kind: method_class(kind) for kind in self.methods}
        self.options = options_by_method(self._kinds, options, of_units=classes is None)
        self.bundle = as_bundle(model, device, allow_code)
        self.layers = _layers(self.bundle, layer)
        if not (self.layers or classes is not None) or (units is not None and (classes is not None or not self.layers)):
            raise UsageError("a layer and units of it, or classes, are needed, and not both")
        self._classes = None if classes is None else resolve_classes(self.bundle, classes)
        self._units = {name: resolve_units(self.bundle, name, ALL if units is None else units) for name in self.layers}
        self._check(units)
        self._probe = Probe(self.bundle.module, self.layers, self.bundle.output.name)
        self._cropper = Cropper(self.bundle.pipeline, LARGEST)
        card = self.bundle.card
        every = units is None or (isinstance(units, str) and units == ALL)
        self.settings: dict[str, Any] = {
            "model": self.bundle.name,
            "weights": card.weights.sha256 if card is not None else None,
            "channels": getattr(self.bundle.pipeline, "order", "RGB"),
            "methods": list(self.methods),
            "layers": list(self.layers),
            "units": None if classes is not None else ALL if every else list(next(iter(self._units.values()))),
            "classes": None if self._classes is None else list(self._classes),
            "options": {
                kind: {name: list(value) if isinstance(value, tuple) else value for name, value in own.items()}
                for kind, own in self.options.items()
            },
        }

    def _check(self, units: Wanted | None) -> None:
        for kind in self.methods:
            self._made(kind, None)
        for kind, method in self._kinds.items():
            if not method.of_units and (units is not None or not self.layers):
                raise UsageError(f"{kind} shows where a layer's maps speak for a class; allowed: a layer, and classes")
            if not method.of_classes and self._classes is not None:
                raise UsageError(f"{kind} shows units of a layer; allowed: units, and no class")

    def __call__(self, image: Image) -> ExplainedImage:
        """Look at an image, uint8 (H, W, 3) RGB, or the largest centred box of the network's proportions in it. One pass."""
        return self.prepare(self._cropper(Frame(image, 0, 0.0)).prepared)

    def prepare(self, prepared: Prepared) -> ExplainedImage:
        """Look at what an input pipeline made."""
        tensor = next(self.bundle.module.parameters(), torch.empty(0))
        x = prepared.tensor.to(tensor.device)
        with self._probe as probe:
            given, activations = probe(x)
        return ExplainedImage(self, x, prepared, to_array(self.bundle.output.scores(given)[0]), activations)

    def questions(self, strongest: int) -> Iterator[Request]:
        """Yield all that is asked; `strongest` is the image's strongest class."""
        for kind in self.methods:
            if not self._kinds[kind].of_units:
                for layer in self.layers:
                    yield Request(kind, layer, self._classes or (strongest,), of_classes=True)
            elif self._classes is not None:
                yield Request(kind, None, self._classes, of_classes=True)
            else:
                for layer in self.layers:
                    yield Request(kind, layer, self._units[layer])

    def maps(self, question: Request, x: torch.Tensor) -> torch.Tensor:
        """Return the method's maps, (U, C or 1, H, W)."""
        method = self._made(question.method, question.layer)
        if question.of_classes:
            return torch.cat([method.explain(x, target=target) for target in question.units])
        return method.explain(x, question.units)

    def _made(self, kind: str, layer: str | None) -> Method:
        return self._kinds[kind](self.bundle.module, layer, self.bundle.output, **self.options[kind])


class ExplainedImage:
    """An image that an ImageExplainer looked at: activations are known, everything else is found when asked for.

    Attributes:
        seen, scores, classes: As in Explanations.
        empty: Whether the input pipeline found nothing in it.
        questions: All that is asked of it.
    """

    def __init__(
        self, explainer: ImageExplainer, x: torch.Tensor, prepared: Prepared, scores: Floats, activations: dict[str, torch.Tensor]
    ) -> None:
        self.seen, self.empty, self.scores, self.classes = prepared.seen, prepared.empty, scores, explainer.bundle.classes
        self.questions = tuple(explainer.questions(int(scores.argmax())))
        self._explainer, self._x, self._activations = explainer, x, activations
        for question in self.questions:
            self._check(question)

    def _check(self, question: Request) -> None:
        """Raise UsageError for an unknown unit or position."""
        if question.of_classes or question.layer is None:
            return
        shape = self._activations[question.layer].shape
        if len(shape) < 2:
            raise UsageError(f"layer {question.layer!r} gives the shape {tuple(shape)}; a tensor (N, units, …) is needed")
        try:
            expand_units(question.units, shape[1], "unit", question.layer)
        except ValueError as error:
            raise UsageError(str(error)) from error
        at = self._at(question)
        if isinstance(at, tuple):
            flat_index(at, shape, question.layer)

    def _at(self, question: Request) -> At:
        """Return which value of a map is explained; the strongest for a method without that option."""
        at: At = self._explainer.options[question.method].get("at", "max")
        return at

    def explain(self, question: Request) -> Explanation:
        """Answer one question. Raises ModelError where the method cannot serve the network; the text says why."""
        if question.of_classes:
            names = tuple(self.classes[target] for target in question.units)
            return self._answer(question, names, self._scores(question.units), (None,) * len(names))
        activation = self._activations[question.layer or ""][0]
        found = activation if question.units == tuple(range(len(activation))) else activation[list(question.units)]
        values, places = _valued(found, self._at(question))
        names = tuple(map(str, question.units))
        if question.method == "activation" and found.ndim == 3 and found[0].numel() > 1:
            return Explanation(question, names, to_array(values), places, to_array(found[:, None]))
        return self._answer(question, names, values, places)

    def _answer(self, question: Request, names: tuple[str, ...], values: torch.Tensor, places: Any) -> Explanation:
        return Explanation(question, names, to_array(values), places, to_array(self._explainer.maps(question, self._x)))

    def _scores(self, targets: Sequence[int]) -> torch.Tensor:
        with torch.no_grad():
            bundle = self._explainer.bundle
            seen = ForwardPass(bundle.module, None, bundle.output)(self._x)
        return torch.cat([class_objective(seen, target)(seen)[0] for target in targets])


def explanations(
    model: str | Path | Bundle | nn.Module,
    image: str | Path | Image,
    layer: str | Sequence[str] | None = None,
    units: Wanted | None = None,
    *,
    classes: Wanted | None = None,
    method: str | Sequence[str] = METHOD,
    device: str | None = None,
    allow_code: bool = False,
    **options: Unpack[Options],
) -> Explanations:
    """Explain which parts of an image units of a network's layers, or its classes, respond to.

    Args:
        model: A name or folder as `livecnn.load` takes it, what that returns, or a module with an attribute `input`.
        image: A file, or uint8 (H, W, 3) RGB; its largest centred box of the network's proportions counts.
        layer: A name as a Probe takes it, several, or "all", every convolution.
        units: `5`, `"0-19"`, `[0, 3, "10-19"]`, a range or an array of numbers, or `"all"`, the default.
        classes: The same, or names, instead of units; for "grad_cam" the strongest by default.
        method: One or several of "activation", "gradient", "guided_backprop", "deconvnet", "deconvnet_unpooled", "grad_cam",
            "occlusion", "integrated_gradients".
        device: "auto", "cpu", "cuda", "cuda:N" or "mps".
        allow_code: Let a model `package.module:factory` run its code.
        **options: Each method takes what it knows. `at`: "max", "sum" or (row, column) of a map. `patch`, `stride` of
            occlusion, in pixels, 1 or more, and `fill`, in the network's units. `baseline` of integrated gradients, in the
            network's units, and `steps`, 1 to 1000.

    Returns:
        `.parts`, one a method and layer, whose `.maps` are float32 (U, C or 1, H, W); `.picture()`, which a notebook shows.

    Raises:
        UsageError: An argument makes no sense; the text says what is allowed.
        ModelError: The network cannot be loaded, or a method cannot serve it.
        ImageError: The file cannot be read.

    Example:
        >>> import numpy as np
        >>> import livecnn
        >>> image = np.full((40, 40, 3), 255, np.uint8)
        >>> image[8:32, 18:22] = 0
        >>> found = livecnn.explanations("lenet-mnist", image, "conv2", "0-2", method="gradient")
        >>> found.parts[0].maps.shape
        (3, 1, 28, 28)
    """
    explainer = ImageExplainer(
        model, layer, units, classes=classes, method=method, device=device, allow_code=allow_code, **options
    )
    sight = explainer(read_image(image) if isinstance(image, (str, Path)) else check_image(image))
    parts = tuple(map(sight.explain, sight.questions))
    told = {"image": Path(image).name if isinstance(image, (str, Path)) else None, **explainer.settings}
    return Explanations(sight.seen, sight.scores, sight.classes, parts, told)


def check_image(image: object) -> Image:
    """Return a valid image, uint8 (H, W, 3). Raises UsageError for anything else."""
    if isinstance(image, np.ndarray) and image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3 and image.size:
        return image
    found = f"{image.dtype} {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
    raise UsageError(f"image: found {found}; a file or a NumPy array of uint8 (H, W, 3) is needed")


def _layers(bundle: Bundle, layer: str | Sequence[str] | None) -> tuple[str, ...]:
    names = () if layer is None else resolve_layers("layer", layer)
    if ALL not in names:
        return names
    found = tuple(node.name for node in bundle.architecture.nodes if node.window is not None and "conv" in node.type.lower())
    if not found:
        raise UsageError(f"layer all: {bundle.name} has no convolution")
    return found


def _valued(found: torch.Tensor, at: At) -> tuple[torch.Tensor, tuple[Place | None, ...]]:
    """Return the explained value of each of the activations (U, …), and its place on the map."""
    if found.ndim == 1:
        return found, (None,) * len(found)
    if at == "sum":
        return found.flatten(1).sum(1), (None,) * len(found)
    if at != "max":
        return found[:, at[0], at[1]], (at,) * len(found)
    values, places = found.flatten(1).max(1)
    return values, tuple(divmod(place, found.shape[2]) if found.ndim == 3 else None for place in places.tolist())


class Options(TypedDict, total=False):
    """Options of all methods, described in their classes; None stands for the default."""

    at: At | None
    patch: int | None
    stride: int | None
    fill: float | None
    baseline: float | None
    steps: int | None


def options_by_method(
    methods: Mapping[str, type[Method]], options: Mapping[str, Any], of_units: bool
) -> dict[str, dict[str, Any]]:
    """Return each method's options, as given or by default. Raises UsageError for one that no method takes."""
    given = {name: value for name, value in options.items() if value is not None}
    if AT in given and not of_units:
        raise UsageError("at tells which value of a unit's map counts; found classes")
    for name, value in given.items():
        if name in NUMBERS and not isinstance(value, Real):
            raise UsageError(f"{name}: found {value!r}; a number is needed")
    known = {
        kind: {name: value for name, value in method.options().items() if of_units or name != AT}
        for kind, method in methods.items()
    }
    for name in given:
        if not any(name in own for own in known.values()):
            raise UsageError(_untaken(name, methods))
    return {kind: {name: given.get(name, value) for name, value in own.items()} for kind, own in known.items()}


def _untaken(name: str, methods: Mapping[str, type[Method]]) -> str:
    if name not in Options.__annotations__:
        return f"unknown option {name!r}; {nearest(name, Options.__annotations__)}"
    takers = [kind for kind in sorted(kinds()) if name in method_class(kind).options()]
    return f"{name} is an option of {', '.join(takers)}; found {', '.join(methods)}"


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
    from livecnn.explain.rendering import draw_explanations

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
            picture = np.moveaxis(levels[i, ::-1] if swapped else levels[i], 0, 2)
            write_png(self._path / file, np.ascontiguousarray(picture if picture.shape[2] == 3 else picture[..., 0]))
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


def _number(value: Any) -> float | None:
    """Return a number for JSON; None for what JSON cannot write."""
    return float(value) if np.isfinite(value) else None
